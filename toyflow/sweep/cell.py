"""One cell, start to end: train unless it was, decode what is missing, keep each result as it comes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from toyflow.sweep.events import Event, Finished, Noted, Progress, Started, Waiting
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Evaluated, Store, StoredTraining, Trained

OnProgress = Callable[[str, int, int, str | None], None]
"""(stage, done, total, what to show instead of the stage)"""


class Study(ABC):
    """What a sweep needs of its subject; the toy has one and the robot another. Must be picklable."""

    @abstractmethod
    def train(self, record: TrainingRecord, on_progress: OnProgress) -> Trained:
        """Train the model that `record` describes."""

    @abstractmethod
    def evaluate(
        self, training: StoredTraining, evaluations: Sequence[EvaluationRecord], on_progress: OnProgress
    ) -> Iterator[Evaluated]:
        """Decode the test set with a trained model, once per evaluation, in order, on equal noise."""

    @abstractmethod
    def estimate(
        self, record: TrainingRecord, evaluations: Sequence[EvaluationRecord]
    ) -> tuple[float, float]:
        """(seconds to train, seconds to decode) on this machine, from a short trial."""

    @abstractmethod
    def prepare(self, records: Sequence[TrainingRecord]) -> None:
        """Fetch or unpack what these cells need, once, before any starts."""

    @abstractmethod
    def environment(self) -> Mapping[str, Any]:
        """What to keep beside a result of how it was made: device, threads."""

    def finish(self, store: Store, key: str) -> None:  # noqa: B027
        """Called whenever a cell is complete in its results folder."""

    def elsewhere(self, out: str, processors: int) -> Study:
        """The study on another machine: with a results folder of its own there, and so many processors."""
        return self


@dataclass(frozen=True)
class Setting:
    """Where and how cells run; recorded, and not part of a result's identity."""

    out: str
    environment: Mapping[str, Any]


def run_cell(cell: Cell, study: Study, setting: Setting, send: Callable[[Event], None]) -> None:
    """Complete `cell` in the store and say so. What another process finished meanwhile is kept."""
    key = cell.training.key
    store = Store(setting.out)
    with store.claim(cell.training, on_wait=lambda: send(Waiting(key))):
        if cell.missing(store):
            send(Started(key))
        complete(cell, study, store, setting.environment, send)
        study.finish(store, key)
    send(Finished(key, summary(cell, store)))


def complete(
    cell: Cell, study: Study, store: Store, environment: Mapping[str, Any], send: Callable[[Event], None]
) -> None:
    """Make what `store` does not hold of `cell`, which the caller has claimed."""
    key = cell.training.key

    def on_progress(stage: str, done: int, total: int, note: str | None = None) -> None:
        send(Progress(key, stage, done, total, note))

    with _noted(key, send):
        if not store.has_training(cell.training):
            store.write_training(cell.training, study.train(cell.training, on_progress), environment)
        left = cell.missing(store)
        if left:
            evaluated = study.evaluate(store.training(key), left.evaluations, on_progress)
            for record, result in zip(left.evaluations, evaluated, strict=True):
                store.write_evaluation(cell.training, record, result, environment)


@contextmanager
def _noted(key: str, send: Callable[[Event], None]) -> Iterator[None]:
    """Warnings of toyflow's loggers, as events."""
    handler = logging.Handler()
    handler.emit = lambda record: send(Noted(key, record.getMessage()))
    logger = logging.getLogger("toyflow")
    before, logger.propagate = logger.propagate, False  # libraries that set up logging would say it again
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def summary(cell: Cell, store: Store) -> str:
    """The scores of a cell that is complete, in words."""
    asked = {evaluation.key for evaluation in cell.evaluations}
    stored = store.evaluations(store.training(cell.training.key))
    return ", ".join(f"{e.record.label}: {e.score:.1%}" for e in stored if e.record.key in asked)
