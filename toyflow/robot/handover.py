"""Hand-overs: which action to send at each step, given overlapping action chunks.

Action i of a chunk that was planned from the observation of step s is meant for step s + i. Where the chunk
arrives later than that, the actions whose step has passed are dropped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError, unknown
from toyflow.robot.planner import Commitment

Chunk = Float[np.ndarray, "horizon action"]
HANDOVERS = ("switch", "blend", "ensemble", "rtc")
LONGEST_BLEND = 10_000
"""Most steps that a blend may take."""
DELAYS = 10
"""Latest plans, of which the slowest says how long the next is expected to take."""


def blend(
    old: Float[np.ndarray, "left _"], new: Float[np.ndarray, "horizon action"], over: int
) -> Float[np.ndarray, "horizon action"]:
    """Fade linearly from `old` into `new` over the first `over` actions:

        (1 - w_i) old_i + w_i new_i,   w_i = min(1, (i + 1) / (over + 1)).

    Where `old` is shorter its last action is repeated. With `over` = 0, or an empty `old`, it is `new`."""
    if not len(old) or not over:
        return new
    before = old[np.minimum(np.arange(len(new)), len(old) - 1)]
    weight = np.minimum(1, (np.arange(len(new)) + 1) / (over + 1))[:, None]
    return (1 - weight) * before + weight * new


class Handover(ABC):
    """Chooses the action for each step from all chunks so far.

    Attributes:
        continues: whether plans are told what is `committed`, so that the policy has to be one that can go on
            from there.
    """

    continues: bool = False

    @abstractmethod
    def add(self, chunk: Chunk, start: int, now: int) -> int:
        """Take up a chunk that was planned from the observation of step `start` and arrives at step `now`.
        Returns how many of its actions are dropped because their step has passed."""

    @abstractmethod
    def action(self, step: int) -> Float[np.ndarray, "action"] | None:
        """The action for `step`; None beyond the end of all chunks. Steps are asked for in order."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all chunks, as an episode begins."""

    def committed(self, step: int) -> Commitment | None:
        """What a plan from the observation of `step` has to agree with; None where it is free."""
        return None

    def is_over(self, step: int) -> bool:
        """Whether there never will be an action for `step` or later, so that the episode ends."""
        return False


class Blend(Handover):
    """The newest chunk, into which the one before fades over the first `over` steps; see `blend`. `Blend(0)`
    switches at once."""

    def __init__(self, over: int) -> None:
        self.over = over
        self.clear()

    def add(self, chunk: Chunk, start: int, now: int) -> int:
        """See `Handover`."""
        dropped = min(now - start, len(chunk))
        if dropped < len(chunk):
            left = self._planned[max(0, now - self._start) :]
            self._planned, self._start = blend(left, chunk[dropped:], self.over), now
        return dropped

    def action(self, step: int) -> Float[np.ndarray, "action"] | None:
        """See `Handover`."""
        place = step - self._start
        return self._planned[place] if 0 <= place < len(self._planned) else None

    def clear(self) -> None:
        """See `Handover`."""
        self._planned, self._start = np.zeros((0, 0)), 0


class RealTimeChunking(Blend):
    """The newest chunk, from the moment of its arrival on, where each plan is told what is left of the chunk
    before. Of that, as many actions are frozen as the slowest of the last `DELAYS` plans took steps.

    Source: Black et al., Real-Time Execution of Action Chunking Flow Policies, arXiv 2506.07339.
    """

    continues = True

    def __init__(self) -> None:
        super().__init__(0)
        self._delays: deque[int] = deque([0], maxlen=DELAYS)

    def add(self, chunk: Chunk, start: int, now: int) -> int:
        """See `Handover`."""
        self._delays.append(now - start)
        return super().add(chunk, start, now)

    def committed(self, step: int) -> Commitment | None:
        """See `Handover`."""
        left = self._planned[max(0, step - self._start) :]
        if not len(left):
            return None
        return Commitment(np.asarray(left, np.float32), min(max(self._delays), len(left)))


class Ensemble(Handover):
    """ACT's temporal ensemble: the weighted mean of all chunks' actions a_i for a step,

        sum_i w_i a_i / sum_i w_i,   w_i = exp(-decay i),   i = 0 the oldest chunk.

    It needs chunks that overlap: a plan at every step or every few.

    Source: Zhao et al. 2023, Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware.
    """

    def __init__(self, decay: float = 0.01) -> None:
        self.decay = decay
        self.clear()

    def add(self, chunk: Chunk, start: int, now: int) -> int:
        """See `Handover`."""
        dropped = min(now - start, len(chunk))
        if dropped < len(chunk):
            self._chunks.append((start, chunk))
        return dropped

    def action(self, step: int) -> Float[np.ndarray, "action"] | None:
        """See `Handover`."""
        self._chunks = [(start, chunk) for start, chunk in self._chunks if step < start + len(chunk)]
        if not self._chunks:
            return None
        actions = np.stack([chunk[step - start] for start, chunk in self._chunks])
        return np.average(actions, axis=0, weights=np.exp(-self.decay * np.arange(len(actions))))

    def clear(self) -> None:
        """See `Handover`."""
        self._chunks: list[tuple[int, Chunk]] = []


def usual_replan(own: int, handover: str, latest: int, horizon: int) -> int:
    """Steps from one plan's observation to the next one's where the user does not choose: 1 for an ensemble,
    which needs chunks that overlap; else the policy's `own`, but not later than `latest`, nor, with `rtc`,
    which continues what is left of a chunk, later than half the `horizon`.

    >>> [usual_replan(20, way, latest=16, horizon=20) for way in ("blend", "ensemble:0.1", "rtc")]
    [16, 1, 10]
    """
    if handover.startswith("ensemble"):
        return 1
    return max(1, min(own, latest, horizon // 2 if handover == "rtc" else latest))


def check_overlap(handover: str, replan: int, horizon: int, latency_steps: int) -> None:
    """Raise UsageError where nothing is left of a chunk when the next is planned, which `rtc` would continue.

    A plan begins `replan` steps after the one before, or once that has arrived.

    >>> check_overlap("rtc", replan=19, horizon=20, latency_steps=4)
    """
    due = max(replan, latency_steps + 1)
    if handover == "rtc" and due >= horizon:
        raise UsageError(
            f"--handover rtc continues what is left of a chunk of {horizon} actions, and a plan every {due} "
            f"steps leaves none: take --replan {max(1, horizon // 2)} or so and a latency below that, or "
            "another hand-over."
        )


def parse_handover(text: str) -> Handover:
    """Parse `switch`, `blend:STEPS` (`blend` alone: 3 steps), `ensemble:DECAY` (alone: 0.01) or `rtc`.

    Raises:
        UsageError: the text is none of these.
    """
    name, _, argument = text.partition(":")
    if name not in HANDOVERS:
        raise unknown("hand-over", name, HANDOVERS)
    try:
        number = float(argument) if argument else None
        if name == "switch" and number is None:
            return Blend(0)
        if name == "rtc" and number is None:
            return RealTimeChunking()
        if name == "blend" and (number is None or (1 <= number <= LONGEST_BLEND and number.is_integer())):
            return Blend(3 if number is None else int(number))
        if name == "ensemble" and (number is None or (number >= 0 and math.isfinite(number))):
            return Ensemble(0.01 if number is None else number)
    except ValueError:
        pass
    raise UsageError(
        f"--handover takes switch, blend:STEPS with 1 or more, ensemble:DECAY or rtc, not {text!r}."
    )
