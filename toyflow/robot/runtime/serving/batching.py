"""One thread that plans, for all clients: whoever waits when a plan is done is in the next one.

The event loop never waits for the policy. A plan that raises is an answer to whoever asked for it; one that
hangs cannot be stopped, so it is given up: its clients are told, newcomers are refused until it returns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from toyflow.errors import UsageError, named_line
from toyflow.robot.interface import Observation
from toyflow.robot.latency import WARM_UP, Times
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.serving.faults import Fault, LateFault, ObservationFault, PolicyFault
from toyflow.robot.runtime.serving.observations import is_finite

log = logging.getLogger(__name__)

WARM_PLANS = 20
"""Timed plans before the first client; fewer where they take longer than `WARM_SECONDS` together."""
WARM_SECONDS = 5.0


class Planned(NamedTuple):
    """What a client gets."""

    actions: Float32[np.ndarray, "horizon action"]
    stage_seconds: Mapping[str, float]
    """Seconds by stage: `queue`, `plan`, and what the planner says of itself."""


@dataclass
class _Waiting:
    observation: Observation
    seed: int
    answer: asyncio.Future[Planned]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Plans of one policy for many clients, in a thread of its own.

    Args:
        timeout: seconds after which a request is given up.
        largest: most observations of one batch.

    Attributes:
        sizes: number of plans by size of the batch.
    """

    def __init__(self, planner: Planner, timeout: float, largest: int) -> None:
        self.planner, self.timeout, self.largest = planner, timeout, largest
        self.sizes: Counter[int] = Counter()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether the running plan has taken longer than it may."""
        began = self._began
        return began is not None and time.perf_counter() - began > self.timeout

    async def warm_up(self) -> Times:
        """Plan a few times, however long it takes, and say how long the later plans took, in ms.

        Raises:
            Fault: the policy cannot plan.
        """
        observation, began = self.planner.any_observation(), time.perf_counter()
        seconds: list[float] = []
        for number in range(WARM_UP + WARM_PLANS):
            seconds.append((await self._ask(observation, number)).stage_seconds["plan"])
            if number >= WARM_UP and time.perf_counter() - began > WARM_SECONDS:
                break
        return Times.of(seconds[WARM_UP:])

    async def plan(self, observation: Observation, seed: int) -> Planned:
        """The chunk for an observation, and what it took.

        Raises:
            ObservationFault: the policy refuses the observation.
            PolicyFault: it raises, or answers something else than finite actions.
            LateFault: there is no answer within `timeout`.
        """
        if self.hangs:
            raise LateFault(f"the policy hangs: a plan has taken more than {self.timeout:g} s already.")
        answer = self._ask(observation, seed)
        late = answer.get_loop().call_later(self.timeout, self._give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()
            # A fault's traceback would hold these, they the fault, and all of it the client's message.
            del answer, late

    def close(self) -> None:
        """End the thread once it is idle; one that hangs ends with the process."""
        self._queue.put(None)

    def _give_up(self, answer: asyncio.Future[Planned]) -> None:
        said = f"there is no plan after {self.timeout:g} s: the policy hangs, or too many clients wait."
        _settle(answer, LateFault(said))

    def _ask(self, observation: Observation, seed: int) -> asyncio.Future[Planned]:
        waiting = _Waiting(observation, seed, asyncio.get_running_loop().create_future())
        self._queue.put(waiting)
        return waiting.answer

    def _work(self) -> None:
        while batch := self._next_batch():
            self._began = time.perf_counter()
            answers = self._answers(batch)
            self._began = None
            for waiting, answer in zip(batch, answers, strict=True):
                with suppress(RuntimeError):  # the loop is closed, and nobody waits
                    waiting.answer.get_loop().call_soon_threadsafe(_settle, waiting.answer, answer)

    def _next_batch(self) -> list[_Waiting]:
        """All who wait, but for those who have given up, once anybody does; none at the end."""
        batch: list[_Waiting] = []
        while len(batch) < self.largest:
            try:
                waiting = self._queue.get(block=not batch)
            except Empty:
                break
            if waiting is None:
                self._queue.put(None)
                break
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _answers(self, batch: Sequence[_Waiting]) -> list[Planned | Fault]:
        """An answer for each; where the batch fails each is tried alone, so that one client's observation
        spoils no other's plan."""
        try:
            return self._planned(batch)
        except Exception as error:
            if len(batch) > 1:
                return [answer for waiting in batch for answer in self._answers([waiting])]
            return [_as_fault(error)]

    def _planned(self, batch: Sequence[_Waiting]) -> list[Planned | Fault]:
        before, began = dict(self.planner.stage_seconds), time.perf_counter()
        chunks = self.planner.plan([each.observation for each in batch], [each.seed for each in batch])
        taken = time.perf_counter() - began
        self.sizes[len(batch)] += 1
        shape = (len(batch), self.planner.horizon, self.planner.interface.action_dim)
        if chunks.shape != shape:
            raise PolicyFault(f"the policy answered with actions of shape {chunks.shape}, not {shape}.")
        stages = {name: total - before.get(name, 0.0) for name, total in self.planner.stage_seconds.items()}
        return [
            Planned(chunk, {"queue": began - waiting.since, "plan": taken, **stages})
            if is_finite(chunk)
            else PolicyFault("the policy answered with actions that are not finite.")
            for waiting, chunk in zip(batch, chunks, strict=True)
        ]


def _as_fault(error: Exception) -> Fault:
    if isinstance(error, Fault):
        return error
    if isinstance(error, UsageError):
        return ObservationFault(str(error))
    log.error("the policy failed", exc_info=error)
    return PolicyFault(f"the policy failed: {named_line(error)}")


def _settle(future: asyncio.Future[Planned], answer: Planned | Fault) -> None:
    if future.done():  # given up
        return
    if isinstance(answer, Fault):
        future.set_exception(answer)
    else:
        future.set_result(answer)
