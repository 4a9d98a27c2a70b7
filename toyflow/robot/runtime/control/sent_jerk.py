"""The jerk of what was sent to a robot, across hand-overs, holds and missed steps."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Float

ORDER = 3


class JerkOfSent:
    """The largest |x_(i+3) - 3 x_(i+2) + 3 x_(i+1) - x_i| / dt^3 of the actions sent, by dimension.

    A robot keeps what it was sent last, so a step at which nothing is sent repeats that.

    Args:
        rate: actions per second, 1 / dt.
        dims: numbers of an action.

    Attributes:
        most: the largest so far; 0 before the fourth action.

    >>> jerk = JerkOfSent(rate=10, dims=1)
    >>> jerk.begin(np.zeros(1))
    >>> for step in range(5):
    ...     jerk.add(step, np.ones(1))
    >>> jerk.most
    array([2000.])
    """

    def __init__(self, rate: float, dims: int) -> None:
        self.rate, self._most = rate, np.zeros(dims)
        self.begin(None)

    @property
    def most(self) -> Float[np.ndarray, "action"]:
        """See the class."""
        return self._most * self.rate**ORDER

    def begin(self, still: Float[np.ndarray, "action"] | None) -> None:
        """Start an episode, from rest at `still` where that is known."""
        self._last: deque[np.ndarray] = deque(maxlen=ORDER + 1)
        self._step = -1
        if still is not None:
            self._last.extend([np.asarray(still, float)] * ORDER)

    def add(self, step: int, sent: Float[np.ndarray, "action"] | None) -> None:
        """What was sent at a step; None for nothing."""
        missed, self._step = step - self._step - 1, step
        for _ in range(min(missed, ORDER) if self._last else 0):
            self._take(self._last[-1])
        if sent is not None or self._last:
            self._take(self._last[-1] if sent is None else np.asarray(sent, float))

    def _take(self, action: np.ndarray) -> None:
        self._last.append(action)
        if len(self._last) > ORDER:
            a, b, c, d = self._last
            change = d - a - 3 * (c - b)
            np.fmax(self._most, np.abs(change, out=change), out=self._most)
