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

TEST_SET = "test"
"""The name of a task's own test set, which its data options decide."""

RECIPE_VERSION = 2
"""Raised by hand when a change of the code alters what a training record's numbers mean."""


def name_of_task(identity: str) -> str:
    """The name of a task, without the version that `Subject.identity` adds to it: `dial` of `dial-v2`."""
    return re.sub(r"-v\d+$", "", identity)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class _Record:
    """A frozen dataclass of JSON values with a key."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values; `data` only where there is any, as records from before it have none."""
        values = ((name, getattr(self, name)) for name in _kinds(type(self)))
        return {name: value for name, value in values if name != "data" or value}

    @cached_property
    def key(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the fields as canonical JSON."""
        return hashlib.sha256(_CANONICAL.encode(self.as_dict()).encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: Any) -> Any:
        """The record with these fields. Raises DamagedError where they are not exactly its own."""
        kinds = _kinds(cls)
        if not isinstance(values, dict) or {*values, "data"} != {*kinds, "data"}:
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

    @property
    def alike(self) -> str:
        """Equal where records differ only in their schedule, seed or recipe: their data and models are built
        in the same way."""
        return repr((self.task, self.data, self.model, self.objective))

    @property
    def label(self) -> str:
        """What tables and figures call it: the schedule for `flow`, else the objective (and its schedule)."""
        if self.schedule is None:
            return self.objective
        return self.schedule if self.objective == "flow" else f"{self.objective}({self.schedule})"


@dataclass(frozen=True, eq=False)
class EvaluationRecord(_Record):
    """What identifies one decoding by a trained model; its key names `cells/KEY/evaluations/KEY`."""

    sampler: str | None
    """None where the objective decodes without one."""
    steps: int
    noise_seed: int = 0
    test_set: str = TEST_SET

    @property
    def label(self) -> str:
        """Name for progress and messages: `K=4`, `heun K=4`."""
        return f"K={self.steps}" if self.sampler in (None, "euler") else f"{self.sampler} K={self.steps}"
