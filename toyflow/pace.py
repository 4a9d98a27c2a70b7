"""How long the rest of a piece of work takes, from how long its first part took."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Watches work that has `done` parts behind it when it is first seen.

    Args:
        clock: seconds.

    >>> now = iter([0.0, 30.0, 60.0])
    >>> pace = Pace(0, clock=lambda: next(now))
    >>> pace.left(1, 5), pace.left(2, 12)
    ('2 min left', '5 min left')
    """

    def __init__(self, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._clock, self._began = done, clock, clock()

    def left(self, done: int, total: int) -> str:
        """`40 s left`, `3 min left`, `2.1 h left`, or `time left unknown` while nothing more is done."""
        if done <= self._first:
            return "time left unknown"
        seconds = (self._clock() - self._began) / (done - self._first) * (total - done)
        if seconds < 90:
            return f"{seconds:.0f} s left"
        return f"{seconds / 60:.0f} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"
