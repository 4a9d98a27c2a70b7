"""Attempts in worker processes, each of which keeps one simulator. One that dies or hangs is replaced and its
attempt made again."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from toyflow.errors import ToyflowError
from toyflow.robot.demos.episode import Attempt, Outcome
from toyflow.robot.environment import Environment
from toyflow.sweep.workers import exit_with_parent, worker_context

MOST_LOSSES = 3
"""How often one attempt may lose its worker before all ends."""
PATIENCE = 300.0
"""Seconds without a sign of life after which a worker counts as hung; making a simulator takes some."""
BEAT_EVERY = 1.0

Take = Callable[[int | None], Attempt | None]
"""Gives the next attempt to a worker that has a simulator for this task, or for none; None: nothing to do."""


class Work(ABC):
    """What workers do; travels to them."""

    @abstractmethod
    def open(self, task: int) -> Environment:
        """The simulator for a task."""

    @abstractmethod
    def run(self, environment: Environment, attempt: Attempt, beat: Callable[[], None]) -> Outcome:
        """Make an attempt, calling `beat` every now and then."""


class Lost(NamedTuple):
    """An attempt whose worker ended; it is made again."""

    attempt: Attempt
    why: str


def run_attempts(
    work: Work, take: Take, jobs: int, patience: float = PATIENCE
) -> Generator[Outcome | Lost, None, None]:
    """Make the attempts that `take` gives, up to `jobs` at a time, until it has none and none is running.

    `take` is asked again after each event. Closing the generator stops all workers.

    Raises:
        ToyflowError: what a worker raised; or an attempt lost its worker `MOST_LOSSES` times.
    """
    workers: list[_Worker] = []
    again: list[Attempt] = []
    losses: Counter[Attempt] = Counter()
    try:
        while True:
            idle = [worker for worker in workers if worker.attempt is None]
            while idle or len(workers) < jobs:
                attempt = again.pop() if again else take(idle[-1].task if idle else None)
                if attempt is None:
                    break
                if not idle:
                    idle.append(_Worker(work, patience))
                    workers.append(idle[-1])
                idle.pop().give(attempt)
            busy = [worker for worker in workers if worker.attempt is not None]
            if not busy:
                return
            soonest = min(worker.deadline for worker in busy)
            wait([worker.connection for worker in busy], timeout=max(0.0, soonest - time.monotonic()))
            for worker in busy:
                event = worker.event()
                if isinstance(event, Lost):
                    workers.remove(worker)
                    worker.stop()
                    again.append(event.attempt)
                    losses[event.attempt] += 1
                    _check_losses(event, losses[event.attempt])
                if event is not None:
                    yield event
    finally:
        for worker in workers:
            worker.stop()


def _check_losses(lost: Lost, times: int) -> None:
    if times >= MOST_LOSSES:
        task, number = lost.attempt
        raise ToyflowError(
            f"attempt {number} at task {task} was made {times} times and its process {lost.why}. What is "
            "finished is kept; the same command goes on from there."
        )


class _Worker:
    """A process, seen from outside."""

    def __init__(self, work: Work, patience: float) -> None:
        context = worker_context()
        self.connection, inner = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, inner), daemon=True)
        self._process.start()
        inner.close()
        self._patience = patience
        self.deadline = 0.0
        self.attempt: Attempt | None = None
        self.task: int | None = None

    def give(self, attempt: Attempt) -> None:
        """Start it on an attempt."""
        self.attempt, self.task = attempt, attempt.task
        self.deadline = time.monotonic() + self._patience
        with suppress(OSError):  # it died while idle, which its next event tells
            self.connection.send(attempt)

    def event(self) -> Outcome | Lost | None:
        """What has become of its attempt, if that is known. Raises what the attempt raised for the user."""
        attempt = self.attempt
        assert attempt is not None
        try:
            while self.connection.poll():
                message = self.connection.recv()
                self.deadline = time.monotonic() + self._patience
                if isinstance(message, Outcome):
                    self.attempt = None
                    return message
                if isinstance(message, ToyflowError):
                    raise message
                if isinstance(message, str):
                    return Lost(attempt, message)
        except (EOFError, OSError):
            self._process.join()
            return Lost(attempt, _ending(self._process.exitcode or 0))
        if time.monotonic() >= self.deadline:
            return Lost(attempt, f"gave no sign of life for {self._patience:.0f} s")
        return None

    def stop(self) -> None:
        """End the process, whatever it is at: what it writes appears whole or not at all."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    hint = "; is the memory enough for this many --jobs?" if code == -signal.SIGKILL else ""
    return f"was killed by signal {-code} ({signal.Signals(-code).name}){hint}"


def _serve(work: Work, connection: Connection) -> None:
    """A worker's whole life. Ctrl-C is the parent's to handle; without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    beat = _Beat(connection)
    environment, task = None, None
    try:
        while True:
            attempt = connection.recv()
            if environment is None or attempt.task != task:
                if environment is not None:
                    environment.close()
                environment, task = work.open(attempt.task), attempt.task
            connection.send(work.run(environment, attempt, beat))
    except (EOFError, BrokenPipeError):
        return
    except ToyflowError as error:
        connection.send(error)
    except Exception as error:
        connection.send(f"failed with {type(error).__name__}: {error}")


class _Beat:
    """Tells the parent, at most once in `BEAT_EVERY` seconds, that the attempt goes on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_EVERY:
            self._last = now
            self._connection.send(None)
