"""Which pictures of a camera a check looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

EPISODES_SEEN = 12
"""Episodes of each camera whose pictures are decoded: the first, the last, and others evenly between."""
PER_EPISODE = 3
"""Pictures decoded of each: its first, its middle and its last."""

Run = tuple[int, int, int]
"""(episode, first frame, frame after its last) of a stretch of frames of one episode."""


class Picture(NamedTuple):
    """A decoded picture: its frame in the data set, and its pixels [height, width, 3]."""

    frame: int
    pixels: np.ndarray


Sampled = list[tuple[Run, list[Picture]]]
"""Stretches of episodes, and pictures of each."""
Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` of the items, the first and the last among them, evenly spread.

    >>> spread(range(10), 4), spread("ab", 3)
    ([0, 3, 6, 9], ['a', 'b'])
    """
    count = min(most, len(items))
    return [items[place] for place in np.linspace(0, len(items) - 1, count).round().astype(int)]
