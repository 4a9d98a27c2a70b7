"""Dynamic batching: one thread plans for all clients, and all requests that wait share the next call.

The event loop never waits for the policy. A plan that raises is answered with a fault. A plan that hangs
cannot be stopped, so its requests are given up, and new ones are refused until it returns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from toyflow.errors import UsageError, named_line
from toyflow.robot.interface import Observation
from toyflow.robot.latency import WARM_UP, Times
from toyflow.robot.planner import Commitment, Planner
from toyflow.robot.runtime.serving.faults import (
    NOT_FINITE,
    Fault,
    LateFault,
    ObservationFault,
    PolicyFault,
)
from toyflow.robot.runtime.serving.observations import is_finite

log = logging.getLogger(__name__)

WARM_PLANS = 20
"""Timed plans before the first client; fewer where they take longer than `WARM_SECONDS` together."""
WARM_SECONDS = 5.0


class Planned(NamedTuple):
    """A request's actions, and where its time went.

    Attributes:
        queued: seconds until the call of the policy began.
        planned: seconds of the call.
        stages: seconds of the call's parts, as the planner names them.
    """

    actions: Float32[np.ndarray, "horizon action"]
    queued: float
    planned: float
    stages: Mapping[str, float]


@dataclass
class _Waiting:
    observation: Observation
    seed: int
    steps: int
    committed: Commitment | None
    answer: asyncio.Future[Planned]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Plans of one policy for many clients, in a thread of its own.

    Args:
        timeout: seconds after which a request is given up.
        largest: most observations of one batch.
        on_plan: called with (batch size, seconds) after each call of the policy, from the planning thread.
    """

    def __init__(
        self,
        planner: Planner,
        timeout: float,
        largest: int,
        on_plan: Callable[[int, float], object] = lambda size, seconds: None,
    ) -> None:
        self.planner, self.timeout, self.largest, self.on_plan = planner, timeout, largest, on_plan
        self._decoding = planner.decoding
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether the running plan has taken longer than `timeout`."""
        began = self._began
        return began is not None and time.perf_counter() - began > self.timeout

    @property
    def waiting(self) -> int:
        """Requests that no plan has taken up yet, those that were given up included."""
        return self._queue.qsize()

    async def warm_up(self) -> Times:
        """Plan a few times, without a timeout, and return the times of the later plans. A policy that can go
        on from what is committed does so once, too: where it is compiled, that is compiled apart.

        Raises:
            Fault: the policy cannot plan.
        """
        observation, began = self.planner.any_observation(), time.perf_counter()
        seconds: list[float] = []
        for number in range(WARM_UP + WARM_PLANS):
            seconds.append((await self._ask(observation, number)).planned)
            if number >= WARM_UP and time.perf_counter() - began > WARM_SECONDS:
                break
        if self.planner.can_continue:
            await self._ask(observation, 0, committed=self.planner.any_commitment())
        return Times.of(seconds[WARM_UP:])

    async def plan(
        self,
        observation: Observation,
        seed: int,
        steps: int | None = None,
        committed: Commitment | None = None,
    ) -> Planned:
        """The action chunk for an observation, with noise from `seed`, in `steps` denoising steps.

        Args:
            steps: None for as many as the policy was set to when the server started.
            committed: what the chunk has to agree with; None where it is free.

        Raises:
            ObservationFault: the policy refuses the observation, or cannot decode in so many steps.
            PolicyFault: the policy raises, or its actions are not finite.
            LateFault: there is no plan within `timeout`.
        """
        if self.hangs:
            raise LateFault(f"the policy hangs: a plan has taken more than {self.timeout:g} s already.")
        answer = self._ask(observation, seed, steps, committed)
        late = answer.get_loop().call_later(self.timeout, self._give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()
            # Else the fault's traceback holds these, they hold the fault, and all hold the client's message.
            del answer, late

    def close(self) -> None:
        """End the thread once it is idle. A thread that hangs ends with the process."""
        self._queue.put(None)

    def _give_up(self, answer: asyncio.Future[Planned]) -> None:
        message = f"there is no plan after {self.timeout:g} s: the policy hangs, or too many clients wait."
        _settle(answer, LateFault(message))

    def _ask(
        self,
        observation: Observation,
        seed: int,
        steps: int | None = None,
        committed: Commitment | None = None,
    ) -> asyncio.Future[Planned]:
        answer = asyncio.get_running_loop().create_future()
        waiting = _Waiting(observation, seed, steps or self._decoding.steps, committed, answer)
        self._queue.put(waiting)
        return waiting.answer

    def _work(self) -> None:
        while batch := self._next_batch():
            for steps in dict.fromkeys(waiting.steps for waiting in batch):
                self._answer([waiting for waiting in batch if waiting.steps == steps])

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Plan for requests in the same number of steps, and hand over the answers."""
        self._began = time.perf_counter()
        answers = self._answers(batch)
        self._began = None
        for waiting, answer in zip(batch, answers, strict=True):
            with suppress(RuntimeError):  # the event loop is closed: nobody waits
                waiting.answer.get_loop().call_soon_threadsafe(_settle, waiting.answer, answer)

    def _next_batch(self) -> list[_Waiting]:
        """Blocks for a request, then takes all that wait, but those given up; empty after `close`."""
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
        """An answer for each request. Where the batch fails each is planned alone, so that only the client
        whose observation is at fault gets a fault."""
        try:
            return self._planned(batch)
        except Exception as error:
            if len(batch) > 1:
                return [answer for waiting in batch for answer in self._answers([waiting])]
            return [_as_fault(error)]

    def _planned(self, batch: Sequence[_Waiting]) -> list[Planned | Fault]:
        before, began = dict(self.planner.stage_seconds), time.perf_counter()
        if batch[0].steps != self.planner.decoding.steps:
            self.planner.set_decoding(replace(self._decoding, steps=batch[0].steps))
        seen, seeds = [each.observation for each in batch], [each.seed for each in batch]
        committed = [each.committed for each in batch]
        if any(each is not None for each in committed):
            chunks = self.planner.continue_plan(seen, seeds, committed)
        else:
            chunks = self.planner.plan(seen, seeds)
        taken = time.perf_counter() - began
        self.on_plan(len(batch), taken)
        shape = (len(batch), self.planner.horizon, self.planner.interface.action_dim)
        if chunks.shape != shape:
            raise PolicyFault(f"the policy answered with actions of shape {chunks.shape}, not {shape}.")
        stages = {name: total - before.get(name, 0.0) for name, total in self.planner.stage_seconds.items()}
        return [
            Planned(chunk, began - waiting.since, taken, stages)
            if is_finite(chunk)
            else PolicyFault(NOT_FINITE)
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
    if future.done():  # the request was given up
        return
    if isinstance(answer, Fault):
        future.set_exception(answer)
    else:
        future.set_result(answer)
