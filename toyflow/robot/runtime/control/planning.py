"""Plans that nobody waits for: in a thread beside the control loop, or with a latency counted in steps."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from toyflow.robot.interface import Observation
from toyflow.robot.planner import Planner


class Request(NamedTuple):
    """What to plan from."""

    observation: Observation
    seed: int
    episode: int
    step: int
    """At which the observation was made; the plan's first action is for it."""


class Plan(NamedTuple):
    """A request answered."""

    request: Request
    chunk: Float[np.ndarray, "horizon action"]
    seconds: float


class Planning(ABC):
    """One plan at a time. Close it when done."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether a plan is asked for that `received` has not given yet."""

    @abstractmethod
    def ask(self, request: Request) -> None:
        """Begin a plan; only while it is not busy."""

    @abstractmethod
    def received(self, step: int) -> Plan | None:
        """The plan that was asked for, once it is there by `step`. Raises what the planner raised."""

    def forget(self) -> None:  # noqa: B027
        """The plan that is under way is of no use any more; if it comes nevertheless, its request tells."""

    def close(self) -> None:  # noqa: B027
        """Ask for no more."""


class SteppedPlanning(Planning):
    """For a clock that stands still meanwhile: a plan asked for at step s is there at step s + `latency`,
    however long it took. Deterministic."""

    def __init__(self, planner: Planner, latency: int = 0) -> None:
        self.planner, self.latency = planner, latency
        self._plan: Plan | None = None

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return self._plan is not None

    def ask(self, request: Request) -> None:
        """See `Planning`. Returns when it is planned."""
        self._plan = _planned(self.planner, request)

    def received(self, step: int) -> Plan | None:
        """See `Planning`."""
        plan = self._plan
        if plan is None or step < plan.request.step + self.latency:
            return None
        self._plan = None
        return plan

    def forget(self) -> None:
        """See `Planning`."""
        self._plan = None


class ThreadedPlanning(Planning):
    """For a real clock. The thread is a daemon: a planner that hangs keeps nobody from stopping the robot."""

    # A thread and not a process: torch lets go of the interpreter's lock in its kernels, and with a short
    # switch interval steps begin as punctually beside either. Measured by benchmarks/control_loop.py at 50
    # Hz, nano, two cores, at most 1.2 ms late beside a thread, 0.2 beside a process, 0.3 with no planner at
    # all. A process would need every image copied, and a way to be loaded like a planner.

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._asked: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Plan | Exception] = queue.SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="planning", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return self._busy

    def ask(self, request: Request) -> None:
        """See `Planning`."""
        self._busy = True
        self._asked.put(request)

    def received(self, step: int) -> Plan | None:
        """See `Planning`; never waits."""
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return None
        self._busy = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """See `Planning`. Waits for a second at most."""
        self._asked.put(None)
        self._thread.join(1.0)

    def _work(self) -> None:
        while (request := self._asked.get()) is not None:
            try:
                self._answers.put(_planned(self.planner, request))
            except Exception as error:
                self._answers.put(error)


def _planned(planner: Planner, request: Request) -> Plan:
    began = time.perf_counter()
    [chunk] = planner.plan([request.observation], [request.seed])
    return Plan(request, chunk, time.perf_counter() - began)
