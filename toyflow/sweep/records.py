"""The records that identify a trained model and a decoding, and their keys.

This file alone decides the key of a cell, which names its folder in a results folder. A key is a hash of a
record's fields and of nothing else, so a change here, of a field, a default or the JSON, orphans the results
that users have. What the fields hold comes from the options: `plan.py` fills them in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, get_args, get_origin, get_type_hints

from toyflow.atomic import DamagedError
from toyflow.flow.decoding import Decoding, decoding_label
from toyflow.optionset import number_text

TEST_SET = "test"
"""The name of a task's own test set, which its data options decide."""

RECIPE_VERSION = 2
"""Raised by hand when a change of the code alters what a training record's numbers mean."""


_LATER: Mapping[str, Any] = {"data": {}, "prediction": None, "grid": None, "draws": 1}
"""Fields that records of earlier versions do not have, with what those mean. A field is left out of the JSON,
and so of the key, where it has this value."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def name_of_task(identity: str) -> str:
    """The name of a task, without the version that `Subject.identity` adds to it: `dial` of `dial-v2`."""
    return re.sub(r"-v\d+$", "", identity)


class _Record:
    """A frozen dataclass of JSON values with a key."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values, without those of `_LATER` at the value that older records mean."""
        values = ((name, getattr(self, name)) for name in _kinds(type(self)))
        return {name: value for name, value in values if name not in _LATER or value != _LATER[name]}

    @cached_property
    def key(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the fields as canonical JSON."""
        return hashlib.sha256(_CANONICAL.encode(self.as_dict()).encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: Any) -> Any:
        """The record with these fields. Raises DamagedError where they are not exactly its own."""
        kinds = _kinds(cls)
        if not isinstance(values, dict) or not {*kinds} - {*_LATER} <= {*values} <= {*kinds}:
            raise DamagedError(f"a record must have the fields {', '.join(kinds)}")
        for name, value in values.items():
            if not _fits(value, kinds[name]):
                raise DamagedError(f"a record's {name} cannot be {value!r:.60}")
        return cls(**values)


@cache
def _kinds(record: type[_Record]) -> dict[str, Any]:
    """The types of a record's fields by name."""
    hints = get_type_hints(record)
    return {f.name: hints[f.name] for f in fields(record)}  # pyright: ignore[reportArgumentType]


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type."""
    if get_origin(kind) is Mapping:
        names, of = get_args(kind)
        return isinstance(value, dict) and all(_fits(k, names) and _fits(v, of) for k, v in value.items())
    kinds = get_args(kind) or (kind,)
    return type(value) in kinds or (float in kinds and type(value) is int)


@dataclass(frozen=True, eq=False)
class TrainingRecord(_Record):
    """What identifies one trained model; its key names `cells/KEY`."""

    task: str
    model: Mapping[str, str]
    objective: str
    schedule: str | None
    """None for an objective that draws no time."""
    time_sampling: str | None
    seed: int
    recipe: Mapping[str, float]
    recipe_version: int = RECIPE_VERSION
    data: Mapping[str, str] = field(default_factory=dict)
    """The task's data options: what the examples are."""
    prediction: str | None = None
    """What the model says, see `toyflow.flow.predictions`; None for the velocity, and where there is no
    choice."""

    @property
    def alike(self) -> str:
        """Equal where records differ only in their schedule, seed or recipe: their data and models are built
        in the same way."""
        return repr((self.task, self.data, self.model, self.objective))

    @property
    def recipe_texts(self) -> dict[str, str]:
        """The recipe as text by name, as tables show it: `learning rate`, 0.004."""
        return {name.replace("_", " "): number_text(value) for name, value in self.recipe.items()}

    @property
    def label(self) -> str:
        """What tables and figures call it: the schedule for `flow`, `data(shift:4)` where that predicts the
        data, else the objective with both: `consistency(beta)`, `consistency-data(beta)`."""
        said = [] if self.objective == "flow" else [self.objective]
        said += [] if self.prediction is None else [self.prediction]
        if self.schedule is None:
            return "-".join(said)
        return f"{'-'.join(said)}({self.schedule})" if said else self.schedule


@dataclass(frozen=True, eq=False)
class EvaluationRecord(_Record):
    """What identifies one decoding by a trained model; its key names `cells/KEY/evaluations/KEY`."""

    sampler: str | None
    """None where the objective decodes without one."""
    steps: int
    noise_seed: int = 0
    test_set: str = TEST_SET
    grid: str | None = None
    """Name of the times of the steps; None for equal steps."""
    draws: int = 1
    """Number of noises whose answers are averaged."""

    @property
    def decoding(self) -> Decoding:
        """How the model is asked for a sample."""
        return Decoding(self.steps, self.sampler, self.grid, self.draws)

    @property
    def label(self) -> str:
        """Name for progress and messages: `K=4`, `heun K=4`, `K=1 M=8`."""
        return decoding_label(self.steps, self.sampler, self.grid, self.draws)
