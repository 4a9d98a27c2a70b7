"""Clocks that pace the control loop: real time with absolute deadlines, or time that only steps advance."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

SPIN = 0.0005
"""Seconds before a deadline that are spent spinning, as sleep alone ends about 0.1 ms late."""


class Clock(ABC):
    """Step k is due at k / rate seconds after `start`.

    Attributes:
        rate: steps per second.
        missed: steps that were skipped because the one before took too long.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.missed = 0

    @abstractmethod
    def start(self) -> None:
        """Begin an episode: step 0 is due now."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since `start`."""

    @abstractmethod
    def next_step(self, step: int) -> tuple[int, float]:
        """Wait until the step after `step` is due. Returns its number, and by how many seconds it is late.
        Steps whose time is over are skipped, so that the schedule does not drift."""


class RealClock(Clock):
    """Real time. Both arguments can be replaced, by a test for one.

    Args:
        time_source: monotonic seconds.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        rate: float,
        time_source: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(rate)
        self._time, self._sleep = time_source, sleep

    def start(self) -> None:
        """See `Clock`."""
        self._origin = self._time()

    def now(self) -> float:
        """See `Clock`."""
        return self._time() - self._origin

    def next_step(self, step: int) -> tuple[int, float]:
        """See `Clock`: sleeps, then spins."""
        due = step + 1
        if (left := due / self.rate - self.now() - SPIN) > 0:
            self._sleep(left)
        while (now := self.now()) < due / self.rate:
            pass
        current = max(due, int(now * self.rate))
        self.missed += current - due
        return current, max(0.0, now - current / self.rate)


class SteppedClock(Clock):
    """Time that advances by 1 / rate from step to step, and stands still within a step."""

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
