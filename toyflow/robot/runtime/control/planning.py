"""Planning beside the control loop: in a thread, or for a simulator with a latency counted in steps."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from toyflow.robot.interface import Observation
from toyflow.robot.planner import Commitment, PlanLost, Planner


class PlanRequest(NamedTuple):
    """What to plan from.

    Attributes:
        seed: seed of the plan's noise.
        episode: number of the episode, from 0; a plan of an earlier episode is discarded.
        step: control step of the observation, and of the chunk's first action.
        committed: what the chunk has to agree with; None where it is free.
    """

    observation: Observation
    seed: int
    episode: int
    step: int
    committed: Commitment | None = None


class Plan(NamedTuple):
    """The action chunk for a request, and how many seconds it took."""

    request: PlanRequest
    chunk: Float[np.ndarray, "horizon action"]
    seconds: float


class Planning(ABC):
    """Makes one plan at a time, without the control loop waiting for it. Close it when done."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether a plan was asked for that `received` has not returned yet."""

    @abstractmethod
    def ask(self, request: PlanRequest) -> None:
        """Begin a plan; only while not `busy`."""

    @abstractmethod
    def received(self, step: int) -> Plan | None:
        """The plan that was asked for if it is ready at `step`, else None. Raises what the planner raised;
        after `PlanLost` another may be asked for."""

    def forget(self) -> None:  # noqa: B027
        """The plan under way is no longer wanted. It may still come; its request's episode tells it apart."""

    def close(self) -> None:  # noqa: B027
        """Release the planner. Nothing may be asked for afterwards."""


class SteppedPlanning(Planning):
    """For a clock that stands still while it plans: a plan that is asked for at step s is ready at step
    s + `latency`, however long it took. Deterministic."""

    def __init__(self, planner: Planner, latency: int = 0) -> None:
        self.planner, self.latency = planner, latency
        self._plan: Plan | None = None
        self._lost: PlanLost | None = None

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return self._plan is not None or self._lost is not None

    def ask(self, request: PlanRequest) -> None:
        """See `Planning`; plans at once."""
        try:
            self._plan = _planned(self.planner, request)
        except PlanLost as error:
            self._lost = error

    def received(self, step: int) -> Plan | None:
        """See `Planning`."""
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost
        plan = self._plan
        if plan is None or step < plan.request.step + self.latency:
            return None
        self._plan = None
        return plan

    def forget(self) -> None:
        """See `Planning`."""
        self._plan = self._lost = None


class ThreadedPlanning(Planning):
    """For real time: plans in a thread, a daemon, so that a planner that hangs does not keep the process."""

    # A thread and not a process: torch lets go of the interpreter's lock in its kernels, and with a short
    # switch interval steps begin as punctually beside either. Measured by benchmarks/control_loop.py at 50
    # Hz, nano, two cores, at most 1.2 ms late beside a thread, 0.2 beside a process, 0.3 with no planner at
    # all. A process would need every image copied, and a way to be loaded like a planner.

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._asked: queue.SimpleQueue[PlanRequest | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Plan | Exception] = queue.SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="planning", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return self._busy

    def ask(self, request: PlanRequest) -> None:
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
        """See `Planning`. Waits a second at most."""
        self._asked.put(None)
        self._thread.join(1.0)

    def _work(self) -> None:
        while (request := self._asked.get()) is not None:
            try:
                self._answers.put(_planned(self.planner, request))
            except Exception as error:
                self._answers.put(error)


def _planned(planner: Planner, request: PlanRequest) -> Plan:
    began = time.perf_counter()
    seen, seeds = [request.observation], [request.seed]
    if request.committed is None:
        [chunk] = planner.plan(seen, seeds)
    else:
        [chunk] = planner.continue_plan(seen, seeds, [request.committed])
    return Plan(request, chunk, time.perf_counter() - began)
