"""When the next step is: absolute deadlines on a real clock, or none on one that stands still."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

SPIN = 0.0005
"""Seconds before a deadline that are spent looking at the clock: sleeping alone ends about 0.1 ms late."""


class Clock(ABC):
    """Step k is due at k / rate seconds.

    Attributes:
        missed: steps that were left out because the one before them took too long.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.missed = 0

    @abstractmethod
    def start(self) -> None:
        """Step 0 is now."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since step 0."""

    @abstractmethod
    def next_step(self, step: int) -> tuple[int, float]:
        """Wait for the step after `step`: (which one it is, seconds by which it came late). Steps whose time
        is already over are left out, so that the schedule never drifts."""


class RealClock(Clock):
    """Monotonic time."""

    def start(self) -> None:
        """See `Clock`."""
        self._origin = time.perf_counter()

    def now(self) -> float:
        """See `Clock`."""
        return time.perf_counter() - self._origin

    def next_step(self, step: int) -> tuple[int, float]:
        """See `Clock`: sleeps, then spins."""
        due = step + 1
        if (left := due / self.rate - self.now() - SPIN) > 0:
            time.sleep(left)
        while (now := self.now()) < due / self.rate:
            pass
        current = max(due, int(now * self.rate))
        self.missed += current - due
        return current, max(0.0, now - current / self.rate)


class SteppedClock(Clock):
    """Time passes from step to step; what happens within one takes none."""

    def start(self) -> None:
        """See `Clock`."""
        self._step = 0

    def now(self) -> float:
        """See `Clock`."""
        return self._step / self.rate

    def next_step(self, step: int) -> tuple[int, float]:
        """See `Clock`."""
        self._step = step + 1
        return self._step, 0.0
