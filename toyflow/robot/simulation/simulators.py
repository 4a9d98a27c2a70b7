"""Simulators in worker processes, one each: jobs go in, events come out.

A worker that crashes, raises or falls silent is replaced; what becomes of its job is for the caller to say.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from toyflow.errors import ToyflowError, named_line
from toyflow.robot.simulation.environment import Environment
from toyflow.workers import exit_with_parent, worker_context

PATIENCE = 300.0
"""Seconds without a sign of life after which a worker counts as hung; making a simulator takes some."""
BEAT_EVERY = 1.0


@runtime_checkable
class Job(Protocol):
    """What a worker is given: it is of one task of the suite."""

    @property
    def task(self) -> int:
        """The task's number; a worker keeps the simulator of its last one."""
        ...


J = TypeVar("J", bound=Job)
R = TypeVar("R")


class WorkerChannel(ABC):
    """From a job to whoever runs it."""

    @abstractmethod
    def beat(self) -> None:
        """Say that the job goes on; to be called every now and then."""

    @abstractmethod
    def ask(self, question: Any) -> Any:
        """Wait for the answer to `question`."""


class Work(ABC, Generic[J, R]):
    """What workers do; travels to them."""

    @abstractmethod
    def open(self, task: int) -> Environment:
        """The simulator of a task."""

    @abstractmethod
    def run(self, environment: Environment, job: J, channel: WorkerChannel) -> R:
        """Do a job."""


@dataclass(frozen=True)
class JobDone(Generic[J, R]):
    """A job is done."""

    job: J
    result: R
    seconds: float


@dataclass(frozen=True)
class JobLost(Generic[J]):
    """A job's worker has ended before it."""

    job: J
    why: str
    """As in `its process ...`."""
    seconds: float
    error: ToyflowError | None = None
    """What the job raised, if it was meant for the user."""


@dataclass(frozen=True)
class JobQuestion(Generic[J]):
    """A job waits for `answer` to be called; it has to be before the next events are asked for."""

    job: J
    question: Any
    answer: Callable[[Any], None] = field(repr=False)


def run_jobs(
    work: Work[J, R],
    take: Callable[[int | None], J | None],
    size: int,
    patience: float = PATIENCE,
) -> Generator[Sequence[JobDone[J, R] | JobLost[J] | JobQuestion[J]], None, None]:
    """What happens to the jobs that `take` gives, up to `size` at a time, until it gives none and none runs.

    Args:
        take: the next job for a worker that has a simulator of this task, or of none; None for no job. It is
            asked again after every event.
        patience: seconds without a sign after which a worker counts as hung.

    Closing the generator stops all workers.
    """
    workers: list[_Worker] = []
    try:
        while True:
            idle = [worker for worker in workers if worker.job is None]
            while idle or len(workers) < size:
                job = take(idle[-1].task if idle else None)
                if job is None:
                    break
                if not idle:
                    idle.append(_Worker(work, patience))
                    workers.append(idle[-1])
                idle.pop().give(job)
            busy = [worker for worker in workers if worker.job is not None]
            if not busy:
                return
            soonest = min(worker.deadline for worker in busy)
            wait([worker.connection for worker in busy], timeout=max(0.0, soonest - time.monotonic()))
            events = [event for worker in busy if (event := worker.event()) is not None]
            for worker in [worker for worker in busy if worker.ended]:
                workers.remove(worker)
                worker.stop()
            if events:
                yield events
    finally:
        for worker in workers:
            worker.stop()


class _Done(NamedTuple):
    result: Any


class _Question(NamedTuple):
    content: Any


class _Raised(NamedTuple):
    error: ToyflowError | str


class _Worker:
    """A process, seen from outside."""

    def __init__(self, work: Work[Any, Any], patience: float) -> None:
        context = worker_context()
        self.connection, inner = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, inner), daemon=True)
        self._process.start()
        inner.close()
        self._patience = patience
        self._given = self.deadline = 0.0
        self.job: Any = None
        self.task: int | None = None
        self.ended = False

    def give(self, job: Job) -> None:
        """Start it on a job."""
        self.job, self.task, self._given = job, job.task, time.monotonic()
        self._send(job)

    def event(self) -> JobDone[Any, Any] | JobLost[Any] | JobQuestion[Any] | None:
        """What has become of its job, if anything has."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                self.deadline = time.monotonic() + self._patience
                if isinstance(message, _Question):
                    return JobQuestion(self.job, message.content, self._send)
                if isinstance(message, _Raised):
                    return self._lost(str(message.error), message.error)
                if isinstance(message, _Done):
                    job, self.job = self.job, None
                    return JobDone(job, message.result, time.monotonic() - self._given)
        except (EOFError, OSError):
            self._process.join()
            return self._lost(_ending(self._process.exitcode or 0))
        if time.monotonic() >= self.deadline:
            return self._lost(f"gave no sign of life for {self._patience:.0f} s")
        return None

    def stop(self) -> None:
        """End the process, whatever it is at: what it writes appears whole or not at all."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _send(self, message: Any) -> None:
        self.deadline = time.monotonic() + self._patience
        with suppress(OSError):  # it died, which its next event tells
            self.connection.send(message)

    def _lost(self, why: str, error: ToyflowError | str | None = None) -> JobLost[Any]:
        self.ended = True
        meant_for_user = error if isinstance(error, ToyflowError) else None
        return JobLost(self.job, why, time.monotonic() - self._given, meant_for_user)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    hint = "; is the memory enough for so many at a time?" if code == -signal.SIGKILL else ""
    return f"was killed by signal {-code} ({signal.Signals(-code).name}){hint}"


def _serve(work: Work[Any, Any], connection: Connection) -> None:
    """A worker's whole life. Ctrl-C is the parent's to handle; without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    # There is a simulator for each processor already; software OpenGL would start as many threads in each.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    channel = _PipeChannel(connection)
    environment, task = None, None
    try:
        while True:
            job = connection.recv()
            if environment is None or job.task != task:
                if environment is not None:
                    environment.close()
                environment, task = work.open(job.task), job.task
            connection.send(_Done(work.run(environment, job, channel)))
    except (EOFError, BrokenPipeError):
        return
    except ToyflowError as error:
        connection.send(_Raised(error))
    except Exception as error:
        connection.send(_Raised(f"failed with {named_line(error)}"))


class _PipeChannel(WorkerChannel):
    """A line through a pipe, which beats at most once in `BEAT_EVERY` seconds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = time.monotonic()

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_EVERY:
            self._last = now
            self._connection.send(None)

    def ask(self, question: Any) -> Any:
        self._connection.send(_Question(question))
        return self._connection.recv()
