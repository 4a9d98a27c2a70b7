"""The block's outline, and ways of the agent round it. Positions are in pixels, and y points down.

Ways lead over the corners of a wider outline, those of them that lie on the board: the shortest of such ways
whose every part keeps clear of the block.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from toyflow.robot.simulation.environments.pusht.board import SIDE

Point = Float[np.ndarray, "xy"]

OUTLINE = np.array(
    [(-60, 0), (60, 0), (60, 30), (15, 30), (15, 120), (-15, 120), (-15, 30), (-60, 30)], np.float64
)
"""Corners of the block in its own frame, in order."""
OUTWARD = np.array([(-1, -1), (1, -1), (1, 1), (1, 1), (1, 1), (-1, 1), (-1, 1), (-1, 1)], np.float64)
"""Where each corner of the wider outline lies from the block's."""
RADIUS = 15.0
"""Of the agent."""
CLEARANCE = 21.0
"""Distance of the wider outline from the block's."""
WALL = 20.0
"""Distance from the board's edge that the agent's centre keeps."""


def corners(pose: Float[np.ndarray, "pose=3"]) -> Float[np.ndarray, "corners=8 xy"]:
    """Corners of the block at x, y and an angle in radians.

    >>> corners(np.array([100.0, 200.0, np.pi / 2]))[1].round(6).tolist()
    [100.0, 260.0]
    """
    return OUTLINE @ _turned(pose[2]).T + pose[:2]


def on_board(points: Float[np.ndarray, "points xy"]) -> Bool[np.ndarray, "points"]:
    """Which points the agent's centre may be at."""
    return np.all((points >= WALL) & (points <= SIDE - WALL), axis=1)


class Routes:
    """Ways round the block at one pose: x, y and angle."""

    def __init__(self, pose: Float[np.ndarray, "pose=3"]) -> None:
        import shapely  # optional

        self._shapely: Any = shapely
        self._block = shapely.Polygon(corners(pose))
        nodes = (OUTLINE + CLEARANCE * OUTWARD) @ _turned(pose[2]).T + pose[:2]
        self._nodes = nodes[on_board(nodes)]

    def distance(self, points: Float[np.ndarray, "points xy"]) -> Float[np.ndarray, "points"]:
        """How far points are from the block; 0 within it."""
        return self._shapely.distance(self._shapely.points(points), self._block)

    def lengths(self, start: Point, ends: Float[np.ndarray, "ends xy"]) -> Float[np.ndarray, "ends"]:
        """Lengths of the ways from `start`; infinite where there is none."""
        return np.minimum(self._straight(start[None], ends)[0], self._round(start, ends).min(1))

    def way(self, start: Point, end: Point) -> list[Point]:
        """The points of the way after `start`; straight where there is none."""
        over = self._round(start, end[None])[0]
        straight = self._straight(start[None], end[None])[0, 0]
        if not len(over) or straight <= over.min():
            return [end]
        way, here = [end], int(over.argmin())
        first = self._straight(start[None], self._nodes)[0]
        while True:
            way.insert(0, self._nodes[here])
            through = first + self._between[0][:, here]
            before = int(self._between[1][int(through.argmin()), here])
            if before == here:
                return way
            here = before

    def _round(self, start: Point, ends: Float[np.ndarray, "ends xy"]) -> Float[np.ndarray, "ends nodes"]:
        """Lengths over each last node."""
        first = self._straight(start[None], self._nodes)[0]
        to_node = (first[:, None] + self._between[0]).min(0) if len(first) else first
        return to_node + self._straight(ends, self._nodes)

    @cached_property
    def _between(self) -> tuple[Float[np.ndarray, "nodes nodes"], np.ndarray]:
        """Lengths of the shortest ways between nodes (Floyd and Warshall), and each way's last node but
        one."""
        length = self._straight(self._nodes, self._nodes)
        count = len(length)
        before = np.broadcast_to(np.arange(count)[:, None], (count, count)).copy()
        for middle in range(count):
            through = length[:, middle, None] + length[middle]
            shorter = through < length - 1e-9
            length = np.where(shorter, through, length)
            before = np.where(shorter, before[middle], before)
        return length, before

    def _straight(
        self, one: Float[np.ndarray, "one xy"], two: Float[np.ndarray, "two xy"]
    ) -> Float[np.ndarray, "one two"]:
        """Lengths of straight ways; infinite where the agent would touch the block on its way. Where it
        begins or ends nearer than that, it may not come nearer still."""
        if not len(one) or not len(two):
            return np.zeros((len(one), len(two)))
        pairs = np.stack(np.broadcast_arrays(one[:, None], two[None]), axis=2)
        nearest = self._shapely.distance(self._shapely.linestrings(pairs), self._block)
        ends = np.minimum(self.distance(one)[:, None], self.distance(two)[None])
        clear = nearest >= np.minimum(ends - 0.5, RADIUS + 1)
        return np.where(clear, np.linalg.norm(pairs[:, :, 1] - pairs[:, :, 0], axis=-1), np.inf)


def _turned(angle: float) -> Float[np.ndarray, "2 2"]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
