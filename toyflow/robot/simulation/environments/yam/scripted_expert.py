"""Scripted experts at the station: hands go from pose to pose, and joints are told ahead of their lag."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.hands import Point, Pose, between
from toyflow.robot.simulation.environments.yam import arm_constants as arm
from toyflow.robot.simulation.environments.yam.arm_constants import ARMS
from toyflow.robot.simulation.environments.yam.station import HIGH, HOME, LOW, RATE, Station

LAG = np.divide(arm.DAMPING, arm.STIFFNESS)
"""Seconds by which each joint follows its target: the driver damps velocity itself, not its error."""


class Way(NamedTuple):
    """Where a hand goes next: within so many control steps, with minimum jerk. `opening` is 0 for closed and
    1 for open."""

    steps: int
    tip: Point | Sequence[float]
    facing: Rotation
    opening: float


class ScriptedExpert(Expert):
    """Follows `parts`, which plans one part of the task after the other from what is seen then.

    Targets q + lag dq/dt make the joints follow q, as they lag by a constant time (`LAG`).
    """

    noise_scale = np.array([*[0.05] * 6, 0.0] * 2)

    def __init__(self, station: Station) -> None:
        self.station = station
        self._hands = {side: station.hand(side) for side in ARMS}
        self._paths = {side: [Pose(0, hand.tip, hand.facing, HOME[-1])] for side, hand in self._hands.items()}
        self._joints = {side: np.array(HOME[:-1]) for side in ARMS}
        self._step, self._until = 0, 0
        self._parts = self.parts()

    @abstractmethod
    def parts(self) -> Iterator[int]:
        """Sends hands on their way with `go`, and yields the steps after which it is asked again. It never
        ends."""

    def go(self, side: str, *ways: Way) -> int:
        """Have a hand go from where it now is sent through `ways`, in place of what it still had to go;
        returns the steps that it takes."""
        path = [Pose(self._step, *between(self._paths[side], self._step))]
        for steps, tip, facing, opening in ways:
            path.append(Pose(path[-1].step + steps, np.asarray(tip), facing, opening))
        self._paths[side] = path
        return path[-1].step - self._step

    def act(self) -> Float32[np.ndarray, "action=14"]:
        """See `Expert`."""
        if self._step >= self._until:
            self._until = self._step + max(next(self._parts), 1)
        self._step += 1
        action: list[float] = []
        for side, hand in self._hands.items():
            tip, facing, opening = between(self._paths[side], self._step)
            arrived = self._step > self._paths[side][-1].step + 1
            joints = self._joints[side] if arrived else hand.joints(tip, facing)
            action += [*(joints + LAG * RATE * (joints - self._joints[side])), opening]
            self._joints[side] = joints
        return np.clip(action, LOW, HIGH).astype(np.float32)
