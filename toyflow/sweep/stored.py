"""Results of a cell, trained models and decodings: as they are made, and as read from a results folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import Tensor

from toyflow.atomic import DamagedError, verified
from toyflow.sweep.records import EvaluationRecord, TrainingRecord

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = "weights.safetensors"
OUTCOMES = "outcomes.csv"
EVALUATIONS = "evaluations"
"""Name of the folder of decodings within a trained model's folder."""

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
    """The result of one decoding of the test set: `outcomes` has a row per example, a column per metric."""

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

    def weights(self) -> dict[str, Tensor]:
        """The weights, checked."""
        if not (self.folder / WEIGHTS).exists():
            out = self.folder.parent.parent
            raise DamagedError(
                f"{self.folder / WEIGHTS} is not here (results may be passed on without weights), so the "
                f"model cannot be decoded again: choose another --out, or first "
                f"`toyflow runs prune {self.record.key} --out {out}`."
            )
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

    def outcomes(self) -> pd.DataFrame:
        """A row per test example, checked."""
        return _read_table(self.folder, OUTCOMES)


def _read_table(folder: Path, name: str) -> pd.DataFrame:
    import pandas as pd  # half a second, which planning does without

    return pd.read_csv(verified(folder, name))
