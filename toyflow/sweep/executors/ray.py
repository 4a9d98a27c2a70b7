"""Cells as tasks of a Ray cluster, each with its resources. The results folder is the driver's alone."""

from __future__ import annotations

import platform
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from toyflow.cluster import (
    ATTEMPTS,
    QUEUED,
    TICK,
    Cluster,
    TaskFailed,
    TaskLost,
    Tasks,
    check_version,
    scratch_folder,
)
from toyflow.errors import ToyflowError
from toyflow.machine import allow_open_files, describe_environment
from toyflow.sweep.cell import complete, ending
from toyflow.sweep.events import Event, Failed, Finished, Progress, Rescheduled, Started, Waiting
from toyflow.sweep.executors.base import Executor, Send, attempt, streamed
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained
from toyflow.version import __version__

PROGRESS_EVERY = 1.0
"""Seconds between two reports of progress of a cell."""


class RayExecutor(Executor):
    """Cells on a Ray cluster; up to `jobs` at a time, or as many as it takes.

    A cell whose worker or node dies is given to another, up to `ATTEMPTS` times in all; what the driver has
    of it by then, a trained model for one, goes along.
    """

    def __init__(self, cluster: Cluster, jobs: int | None = None) -> None:
        self.cluster, self._most = cluster, jobs

    def jobs(self) -> int:
        """See `Executor`; as many as the cluster had room for when it was first asked."""
        return min(self._size, self._most or self._size)

    @cached_property
    def _size(self) -> int:
        self.cluster.connect()
        return self.cluster.size()

    def environment(self, runner: Runner) -> dict[str, Any]:
        """See `Executor`; each worker adds what it is."""
        return {"jobs": self.jobs()}

    def place(self, runner: Runner) -> str:
        """See `Executor`."""
        self.cluster.connect()
        count = self.cluster.nodes()
        return f"{count} Ray node{'s' * (count > 1)}"

    def run(self, cells: Sequence[Cell], runner: Runner, context: RunContext) -> Generator[Event, None, None]:
        """See `Executor`. Cells that another process is at work on are left for last.

        Ray is spoken to in a thread of its own, as signals that arrive inside of its calls get lost.
        """
        return streamed(partial(self._drive, cells, runner, context))

    def _drive(self, cells: Sequence[Cell], runner: Runner, context: RunContext, send: Send) -> None:
        self.cluster.connect()
        allow_open_files()  # each claim of a cell is one
        sweep = _Sweep(self.cluster, runner, context, send)
        try:
            left, waited_for = deque(cells), set()
            while left or sweep.tasks:
                send()
                room = self._most or QUEUED * self.cluster.size()
                for _ in range(len(left)):
                    if len(sweep.tasks) >= room:
                        break
                    cell = left.popleft()
                    if not sweep.begin(cell):
                        left.append(cell)
                        if not sweep.tasks and cell.training.key not in waited_for:
                            waited_for.add(cell.training.key)
                            send(Waiting(cell.training.key))
                if sweep.tasks:
                    sweep.advance()
                else:
                    time.sleep(TICK)
        finally:
            sweep.close()
            self.cluster.disconnect()


class _Sweep:
    """The driver's side: cells go out, events come in, results are written."""

    def __init__(self, cluster: Cluster, runner: Runner, context: RunContext, send: Send) -> None:
        self.runner, self.context, self.send = runner, context, send
        self.store = Store(context.out)
        self.tasks: Tasks[Cell] = Tasks(cluster)
        self._task = cluster.task(cell_events)
        self._processors = max(1, int(cluster.cpus))
        self._claims: dict[str, ExitStack] = {}
        self._tries: Counter[str] = Counter()

    def begin(self, cell: Cell) -> bool:
        """Claim a cell and give it to the cluster; False where another process has claimed it."""
        key = cell.training.key
        claim = self._claims[key] = ExitStack()
        claimed = True

        def begin() -> None:
            nonlocal claimed
            claimed = claim.enter_context(self.store.try_claim(cell.training))
            if claimed:
                self._give(cell)

        self._guarded(cell, begin)
        if not claimed:
            del self._claims[key]
        return claimed

    def advance(self) -> None:
        """Deal with what has come, after waiting for it a little."""
        for cell, event in self.tasks.events(TICK):
            self._guarded(cell, partial(self._take, cell, event))

    def close(self) -> None:
        """Let go of all cells."""
        for claim in self._claims.values():
            claim.close()

    def _guarded(self, cell: Cell, work: Callable[[], None]) -> None:
        attempt(cell.training.key, self.context.out, work, partial(self._end, cell))

    def _give(self, cell: Cell) -> None:
        """Give the cell to a worker, with the part of it that exists; or finish the cell, if nothing is
        missing."""
        left = cell.missing(self.store)
        if left is None:
            self._finish(cell)
            return
        key = cell.training.key
        self._tries[key] += 1
        had = None
        if self.store.has_training(cell.training):
            stored = self.store.training(key)
            had = TrainingDone(key, stored.trained(), stored.environment)
        self.tasks.start(
            cell, self._task, left, self.runner, self._processors, had, self.context.environment, __version__
        )

    def _take(self, cell: Cell, event: Event | TaskLost | TaskFailed) -> None:
        key = cell.training.key
        if isinstance(event, TrainingDone):
            self.store.write_training(cell.training, event.trained, event.environment)
        elif isinstance(event, EvaluationDone):
            self.store.write_evaluation(cell.training, event.record, event.evaluated, event.environment)
        elif isinstance(event, Finished):
            self.tasks.forget(cell)
            self._finish(cell)
        elif isinstance(event, Failed):
            self.tasks.forget(cell)
            self._end(cell, event)
        elif isinstance(event, TaskFailed):
            raise ToyflowError(event.why)
        elif isinstance(event, TaskLost) and self._tries[key] < ATTEMPTS:
            self.send(Rescheduled(key, event.why))
            self._give(cell)
        elif isinstance(event, TaskLost):
            raise ToyflowError(f"{event.why}, {ATTEMPTS} times in a row")
        else:
            self.send(event)

    def _finish(self, cell: Cell) -> None:
        self.runner.finish(self.store, cell.training.key)
        self._end(cell, ending(cell, self.store))

    def _end(self, cell: Cell, event: Event) -> None:
        self.tasks.cancel(cell)
        self._claims.pop(cell.training.key).close()
        self.send(event)


# The worker's side.


@dataclass(frozen=True)
class TrainingDone(Event):
    """A model that a worker has trained, on its way to the driver; or back to one that only decodes."""

    trained: Trained
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class EvaluationDone(Event):
    """A decoding that a worker has made, on its way to the driver."""

    record: EvaluationRecord
    evaluated: Evaluated
    environment: Mapping[str, Any]


def cell_events(
    cell: Cell,
    runner: Runner,
    processors: int,
    had: TrainingDone | None,
    environment: Mapping[str, Any],
    version: str,
) -> Generator[Event, None, None]:
    """Complete `cell` in a folder that goes when it ends; what is written there is sent as well.

    Args:
        had: the trained model, where only decodings are missing.
        environment: what the driver has to say of how it is made.
        version: the driver's.
    """
    key, host = cell.training.key, platform.node()

    def work(send: Send) -> None:
        check_version(version)
        with scratch_folder() as folder:
            store = _SendingStore(folder, send)
            store.prepare()
            if had is not None:
                Store.write_training(store, cell.training, had.trained, had.environment)
            own = runner.elsewhere(folder, processors)
            send(Started(key))
            _prepare(own, cell.training)
            made = {**describe_environment(), **own.environment(), "host": host, **environment}
            complete(cell, own, store, made, _paced(send))
        send(Finished(key, ""))

    for event in streamed(lambda send: attempt(key, "there", partial(work, send), send)):
        yield replace(event, message=f"{event.message} (on {host})") if isinstance(event, Failed) else event


def _prepare(runner: Runner, record: TrainingRecord) -> None:
    """Called once for all cells of a worker that differ only in their schedule, seed or recipe."""
    if record.alike not in _prepared:
        runner.prepare([record])
        _prepared.add(record.alike)


_prepared: set[str] = set()


class _SendingStore(Store):
    """A store that also sends what it writes to the driver."""

    def __init__(self, root: str, send: Send) -> None:
        super().__init__(root)
        self._send = send

    def write_training(
        self, record: TrainingRecord, trained: Trained, environment: Mapping[str, Any]
    ) -> None:
        super().write_training(record, trained, environment)
        self._send(TrainingDone(record.key, trained, environment))

    def write_evaluation(
        self,
        training: TrainingRecord,
        record: EvaluationRecord,
        evaluated: Evaluated,
        environment: Mapping[str, Any],
    ) -> None:
        super().write_evaluation(training, record, evaluated, environment)
        self._send(EvaluationDone(training.key, record, evaluated, environment))


def _paced(send: Send) -> Callable[[Event], None]:
    """`send`, but of progress only some: each report costs the driver a little."""
    due = 0.0

    def paced(event: Event) -> None:
        nonlocal due
        if not isinstance(event, Progress):
            send(event)
        elif time.monotonic() >= due:
            due = time.monotonic() + PROGRESS_EVERY
            send(event)

    return paced
