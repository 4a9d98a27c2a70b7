"""Simulators in worker processes, one each: jobs go in, events come out.

A worker that crashes, raises or hangs is replaced; the caller decides what becomes of its job.
"""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from toyflow.errors import ToyflowError, named_line
from toyflow.robot.simulation.environment import Environment
from toyflow.workers import settle, worker_context

PATIENCE = 300.0
"""Seconds without a message after which a worker counts as hung; opening a simulator takes some."""
BEAT_EVERY = 1.0
"""Seconds between two heartbeats, at least."""


@runtime_checkable
class Job(Protocol):
    """What a worker is given to do, in the simulator of one task."""

    @property
    def task(self) -> int:
        """The task's index; a worker keeps its simulator open until a job of another task comes."""
        ...


J = TypeVar("J", bound=Job)
R = TypeVar("R")


class WorkerChannel(ABC):
    """A job's connection, in a worker process, to the process that called `run_jobs`."""

    @abstractmethod
    def beat(self) -> None:
        """Tell that the job is alive; call it at every step. If it is not called for `PATIENCE` seconds the
        job counts as lost."""

    @abstractmethod
    def ask(self, question: Any) -> Any:
        """Send `question`, any picklable object, and wait for the answer; see `JobQuestion`."""


class Work(ABC, Generic[J, R]):
    """What workers do with a job; pickled and sent to each of them."""

    @abstractmethod
    def open(self, task: int) -> Environment:
        """Open the simulator of the task with this index."""

    @abstractmethod
    def run(self, environment: Environment, job: J, channel: WorkerChannel) -> R:
        """Do a job; returns its result, any picklable object."""


@dataclass(frozen=True)
class JobDone(Generic[J, R]):
    """A job is done. `seconds` is how long it took."""

    job: J
    result: R
    seconds: float


@dataclass(frozen=True)
class JobLost(Generic[J]):
    """A job's worker crashed, raised or hung before the job was done.

    Attributes:
        why: the message of `error` if there is one; else what the process did, to follow `its process`, such
            as `exited with 1`.
        seconds: time since the job was given to the worker.
        error: the ToyflowError that the job raised, meant for the user; None if it failed in another way.
    """

    job: J
    why: str
    seconds: float
    error: ToyflowError | None = None


@dataclass(frozen=True)
class JobQuestion(Generic[J]):
    """A job waits: call `answer` before asking `run_jobs` for the next events."""

    job: J
    question: Any
    answer: Callable[[Any], None] = field(repr=False)


def run_jobs(
    work: Work[J, R],
    take: Callable[[int | None], J | None],
    size: int,
    patience: float = PATIENCE,
) -> Generator[Sequence[JobDone[J, R] | JobLost[J] | JobQuestion[J]], None, None]:
    """Run the jobs that `take` gives, up to `size` at a time, until it gives none and none is running; yields
    events in batches. Closing the generator stops all workers.

    Args:
        work: what is done with a job.
        take: the next job for a worker, given the task whose simulator the worker has open (or None); None
            for no job. It is asked again after every event.
        size: the most worker processes.
        patience: seconds without a message after which a worker counts as hung.
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
    """A worker process, seen from the process that started it."""

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
        """The next event of its job, if there is one."""
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
        """Kill the process. Its files stay whole, as they are written atomically."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _send(self, message: Any) -> None:
        self.deadline = time.monotonic() + self._patience
        with suppress(OSError):  # the worker died: its next event says so
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
    """The main function of a worker. The parent handles Ctrl-C; a worker without a parent exits."""
    settle()
    # Each core has a simulator already; software OpenGL would start a thread per core in each of them.
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
    """A channel through a pipe; it sends at most one heartbeat in `BEAT_EVERY` seconds."""

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
