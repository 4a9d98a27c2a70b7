"""What trains and evaluates the cells of a sweep: the toy has one runner and the robot another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from toyflow import plugins
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Code, Evaluated, StoredTraining, Trained
from toyflow.sweep.subject import Subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.training import Bench

OnProgress = Callable[[str, int, int, str | None], None]
"""(stage, done, total, what to show instead of the stage)"""


class Seconds(NamedTuple):
    """A duration in seconds, estimated to lie between low and high."""

    low: float
    high: float

    def __add__(self, other: Seconds) -> Seconds:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Seconds(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Seconds:
        """The duration multiplied by `factor`."""
        return Seconds(self.low * factor, self.high * factor)


class Estimate(NamedTuple):
    """Estimated durations of one cell's training and decodings."""

    training: Seconds
    decoding: Seconds


class Runner(ABC):
    """Trains models and evaluates them. Declared under `toyflow.runners`; a subject names its runner. Must be
    picklable, as cells run in processes of their own."""

    @classmethod
    @abstractmethod
    def from_options(cls, subject: type[Subject], options: SweepOptions) -> Runner:
        """The runner for a sweep of `subject` with these options."""

    @classmethod
    @abstractmethod
    def bench(
        cls, training: StoredTraining, examples: int, device: torch.device, data_dir: str | None = None
    ) -> Bench:
        """What a trained model is probed on: at most `examples` of them. Raises UsageError where its data
        are not on this machine."""

    @abstractmethod
    def train(self, record: TrainingRecord, on_progress: OnProgress) -> Trained:
        """Train the model that `record` describes."""

    @abstractmethod
    def evaluate(
        self, training: StoredTraining, evaluations: Sequence[EvaluationRecord], on_progress: OnProgress
    ) -> Iterator[Evaluated]:
        """Decode the test set with a trained model, once per evaluation, in order, from equal noise."""

    @abstractmethod
    def estimate(self, record: TrainingRecord, evaluations: Sequence[EvaluationRecord]) -> Iterator[Estimate]:
        """What a training and these evaluations of it take on this machine, from trials: each estimate is
        better than the one before. It may go on without end; it runs in a process of its own, which is ended
        when the caller's time is over."""

    @abstractmethod
    def prepare(self, records: Sequence[TrainingRecord]) -> None:
        """Fetch or unpack what these cells need, once, before any of them starts."""

    @abstractmethod
    def environment(self) -> Mapping[str, Any]:
        """What a result keeps of how it was made: device, threads."""

    def code(self, record: TrainingRecord, evaluation: EvaluationRecord | None = None) -> Code | None:
        """Hashes of the code that the training, or this evaluation of it, depends on, by name; kept beside
        results, and compared when they are used again. None where the version of toyflow says it all; empty
        where the code's source is not at hand."""
        return None

    def finish(self, store: Store, key: str) -> None:  # noqa: B027
        """Called whenever a cell is complete in its results folder."""

    def elsewhere(self, out: str, processors: int) -> Runner:
        """This runner for another machine, with the results folder and the number of processors there."""
        return self


@dataclass(frozen=True)
class RunContext:
    """Where and how cells run; kept beside their results, and no part of their identity."""

    out: str
    """The results folder."""
    environment: Mapping[str, Any]


def load_runner(subject: type[Subject]) -> type[Runner]:
    """The class of runner that `subject` names. Raises UsageError where it is not installed."""
    return plugins.load("runners", subject.runner)


def make_runner(subject: type[Subject], options: SweepOptions) -> Runner:
    """The runner of `subject`. Raises UsageError where it is not installed."""
    return load_runner(subject).from_options(subject, options)
