"""Results of a cell, trained models and decodings: as they are made, and as read from a results folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import Tensor

from toyflow import scene_assets
from toyflow.atomic import DamagedError, manifest_of, verified
from toyflow.sweep.records import EvaluationRecord, TrainingRecord

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = "weights.safetensors"
OUTCOMES = "outcomes.csv"
EVALUATIONS = "evaluations"
"""Name of the folder of decodings within a trained model's folder."""

EPISODE_SCORE = "episode_score"
"""The metric of an environment that scores episodes, 0 to 1, beside success; see `Environment.score`."""

NOT_FINITE = "is not finite"
"""What errors of older results say where the policy failed by itself."""

Code = Mapping[str, str]
"""Hashes of the code of a task and of plug-ins, by a name for messages (see `code_hash.py`)."""


@dataclass(frozen=True)
class Trained:
    """The result of training."""

    weights: dict[str, Tensor]
    curve: pd.DataFrame
    details: dict[str, Any]
    code: Code | None = None
    """The code that trained it; None where toyflow's version says it."""


@dataclass(frozen=True)
class Evaluated:
    """The result of one decoding of the test set: `outcomes` has a row per example, a column per metric.

    An example may have no result, as where a simulator crashed: its column `error` says why. `details` then
    count those as `errors`, and all else is of the `examples` that have a result.
    """

    outcomes: pd.DataFrame
    details: dict[str, Any]
    code: Code | None = None
    """The code that decoded and scored it; None where toyflow's version says it."""


@dataclass(frozen=True)
class StoredTraining:
    """A trained model on disk."""

    folder: Path
    record: TrainingRecord
    environment: Mapping[str, Any]
    details: Mapping[str, Any]
    code: Code | None = None

    @property
    def data_options(self) -> dict[str, str]:
        """The data options of the record, and the name of the data set that its fingerprint stands for, which
        is no part of what identifies a model: a data set may be renamed."""
        name = self.details.get("dataset")
        return {**({"dataset": name} if name else {}), **self.record.data}

    @cached_property
    def weights_checksum(self) -> str:
        """The checksum of its weights, which may themselves not be here."""
        with curable(self.folder):
            return manifest_of(self.folder)[WEIGHTS]

    def weights(self) -> dict[str, Tensor]:
        """The weights, checked."""
        if not (self.folder / WEIGHTS).exists():
            out = self.folder.parent.parent
            raise DamagedError(
                f"{self.folder / WEIGHTS} is not here (results may be passed on without weights), so the "
                f"model cannot be decoded again: choose another --out, or first "
                f"`toyflow runs prune {self.record.key} --out {out}`.",
                hint="",
            )
        with curable(self.folder):
            return load_file(verified(self.folder, WEIGHTS))

    def curve(self) -> pd.DataFrame:
        """The training curve, checked."""
        return _read_table(self.folder, "curve.csv")

    def trained(self) -> Trained:
        """The whole training result, checked."""
        return Trained(self.weights(), self.curve(), dict(self.details), self.code)


@dataclass(frozen=True)
class StoredEvaluation:
    """A decoding on disk."""

    folder: Path
    training: StoredTraining
    record: EvaluationRecord
    details: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Where the decoding was done; the model may have been trained elsewhere."""

    @property
    def score(self) -> float:
        """Mean of the headline metric, the first of the task's."""
        return next(iter(self.details["metrics"].values()))

    @property
    def errors(self) -> int:
        """How many test examples have no result; no number of `details` knows of them."""
        return self.details.get("errors", 0)

    def outcomes(self) -> pd.DataFrame:
        """A row per test example that has a result, checked; the index is the number of the example."""
        outcomes = _read_table(self.folder, OUTCOMES)
        return outcomes if "error" not in outcomes else outcomes[~is_error(outcomes["error"])]

    def recounted(self) -> StoredEvaluation:
        """The same, its details without the errors that older results count as not solved."""
        if not self.errors or "episodes" in self.details:
            return self
        counted = self.outcomes()
        details = {**self.details, "examples": len(counted), "episodes": self.details["examples"]}
        details["errors"] = details["episodes"] - len(counted)
        details["metrics"] = {name: float(counted[name].mean()) for name in self.details["metrics"]}
        details["tasks"] = [
            {
                **row,
                "episodes": episodes,
                "errors": row["episodes"] - episodes,
                **wilson_bounds(row["hits"], episodes),
            }
            for row in self.details.get("tasks", ())
            for episodes in [int((counted["task"] == row["task"]).sum())]
        ]
        return replace(self, details=details)


def cure(folder: Path, by_key: bool = False) -> str:
    """What to do where the result in `folder`, a trained model or a decoding, cannot be used. `by_key` names
    its cell, for a fault that no checksum shows.

    Example:
        >>> cure(Path("results/sweep/cells/0123456789abcdef"))  # doctest: +ELLIPSIS
        '`toyflow runs prune --damaged --out results/sweep` deletes it; the same sweep makes it again ...
    """
    cell = folder.parents[1] if folder.parent.name == EVALUATIONS else folder
    which = cell.name if by_key else "--damaged"
    return (
        f"`toyflow runs prune {which} --out {cell.parents[1]}` deletes it; the same sweep makes it again "
        "(for a policy: robot-train or robot-eval)."
    )


@contextmanager
def curable(folder: Path) -> Iterator[None]:
    """Give a DamagedError of the files in `folder` its cure."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(str(error), cure(folder)) from None


def caveat_of(*evaluations: StoredEvaluation) -> str:
    """What to say beside the score of one evaluation, or of several together, of what the scenes were made of
    and what could not run; "" where there is nothing."""
    trials = [each.details["trials"] for each in evaluations if each.details.get("trials")]
    assets = dict.fromkeys(scene_assets.caveat(each["environment"], each["assets"]) for each in trials)
    missing = sum(row["tasks"] for row in missing_tasks(evaluations).values())
    lacking = f"without {missing} tasks that cannot run here" if missing else ""
    return "; ".join(filter(None, (*assets, lacking)))


def remark_of(*evaluations: StoredEvaluation) -> str:
    """`caveat_of`, and how many test examples have no result; "" where there is nothing to say."""
    errors = sum(evaluation.errors for evaluation in evaluations)
    left_out = f"{errors_in_words(errors)} left out" if errors else ""
    return "; ".join(filter(None, (caveat_of(*evaluations), left_out)))


def missing_tasks(evaluations: Iterable[StoredEvaluation]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What was asked for and cannot run here, by suite and perturbation: the row of `missing` in the details
    that has the most tasks, as every decoding and seed of a suite lacks the same ones."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for evaluation in evaluations:
        for row in evaluation.details.get("missing", ()):
            where = evaluation.details["trials"]["suite"], row["perturbation"]
            found[where] = max(found.get(where, row), row, key=lambda each: each["tasks"])
    return found


def errors_in_words(count: int) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} error{'s' * (count != 1)}"


def is_error(errors: pd.Series) -> pd.Series:
    """Which rows of a column `error` have no result. An action that is not finite, which older results have
    in it, is the policy's own failure: a result."""
    return errors.notna() & ~errors.astype("string").str.contains(NOT_FINITE, regex=False, na=False)


def wilson_bounds(hits: int, trials: int) -> dict[str, float]:
    """`low` and `high` of Wilson's 95 % interval; from 0 to 1 where there is no trial."""
    from toyflow.stats import wilson  # imports scipy, which planning does without

    if not trials:
        return {"low": 0.0, "high": 1.0}
    interval = wilson(hits, trials)
    return {"low": interval.low, "high": interval.high}


def on_common_examples(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of outcomes on the test examples of which both have a result, in the same order."""
    common = one.index.intersection(other.index)
    return one.loc[common], other.loc[common]


def _read_table(folder: Path, name: str) -> pd.DataFrame:
    import pandas as pd  # half a second, which planning does without

    with curable(folder):
        return pd.read_csv(verified(folder, name))
