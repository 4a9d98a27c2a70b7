"""LIBERO-Plus's 500 poses from which the arm starts."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError

REST = np.array([0, -0.161037389, 0, -2.44459747, 0, 2.2267522, np.pi / 4])
"""The joints' angles in radians from which LIBERO's arm starts."""

POSES, PER_DISTANCE, STEP = 500, 100, 0.1
"""100 poses for each of five distances from `REST`, 0.1 to 0.5 radians."""

SEED = 42


def start_pose(number: int) -> Float[np.ndarray, "joints=7"]:
    """The joints' angles in radians of a robot start, `initstate_NUMBER` in a task's name, from 1 to 500.

    A direction drawn from a normal distribution with LIBERO-Plus's seed, at the distance of the number's
    hundred from `REST`, rounded to 8 decimals.

    Raises:
        UsageError: there is no such pose.

    >>> float(round(np.linalg.norm(start_pose(201) - REST), 3))
    0.3
    """
    if not 1 <= number <= POSES:
        raise UsageError(f"there is no robot start {number}: 1 to {POSES}.")
    return _poses()[number - 1]


@cache
def _poses() -> Float[np.ndarray, "poses=500 joints=7"]:
    directions = np.random.RandomState(SEED).randn(POSES, len(REST))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = STEP * (np.arange(POSES) // PER_DISTANCE + 1)
    return np.round(REST + directions * distances[:, np.newaxis], 8)
