"""The scripted expert of cube transfer: it knows the cube's position and solves inverse kinematics.

Positions are in metres in the world's frame, whose z axis points up; the arms stand at x = -0.47 (left) and
0.47 (right), facing each other. A hand points along its x axis and opens along its y axis.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.aloha.aloha_scene import (
    ARMS,
    GRIPPER_CLOSED,
    GRIPPER_OPEN,
    JOINTS,
    AlohaScene,
)
from toyflow.robot.simulation.environments.hands import Hand, Point, Pose, between

REACH = np.array([0.14, 0.0, 0.0])
"""From the origin of a hand to the point between its fingertips, in its frame."""
FROM_ABOVE = Rotation.from_euler("yz", [1.05, np.pi])
"""The right hand, 60 degrees nose down."""
FROM_THE_SIDE = Rotation.from_euler("x", np.pi / 2)
"""The left hand, level, its fingers one above the other."""
MEETING = np.array([0.0, 0.5, 0.27])
HOVER, READY, DEPTH = 0.09, 0.14, 0.012
"""How far above the cube the right hand waits, how far from the meeting point the left hand waits, and how
far beyond the cube's middle the fingertips reach; in metres."""


class CubeTransfer(Expert):
    """The right arm takes the cube from above and holds it up, the left takes it from there."""

    noise_scale = np.array([*[0.02] * 6, 0.0] * 2)

    def __init__(self, scene: AlohaScene) -> None:
        self._hands = [_hand(scene, arm) for arm in ARMS]
        self._scene = scene
        left, right = self._hands
        self._keys = (_taking(left), _bringing(right, self._scene.cube))
        self._step = 0

    def act(self) -> Float32[np.ndarray, "action=14"]:
        """See `Expert`."""
        self._step += 1
        positions: list[float] = []
        for hand, keys in zip(self._hands, self._keys, strict=True):
            tip, facing, opening = between(keys, self._step)
            finger = GRIPPER_CLOSED + opening * (GRIPPER_OPEN - GRIPPER_CLOSED)
            positions += [*hand.joints(tip, facing), finger]
        return self._scene.scaled(np.array(positions)).clip(-1, 1).astype(np.float32)


def _hand(scene: AlohaScene, arm: str) -> Hand:
    joints = [f"vx300s_{arm}/{joint}" for joint in JOINTS[:-1]]
    return Hand(scene.model, scene.data, f"vx300s_{arm}/gripper_link", joints, REACH)


def _bringing(hand: Hand, cube: Point) -> list[Pose]:
    """The right hand: over the cube, down, close, up to the meeting, and let go once the left has it."""
    grasp = cube + FROM_ABOVE.apply([DEPTH, 0, 0])
    meeting = MEETING + FROM_ABOVE.apply([DEPTH, 0, 0])
    away = meeting - FROM_ABOVE.apply([HOVER, 0, 0])
    return [
        Pose(0, hand.tip, hand.facing, 0),
        Pose(70, cube + np.array([0, 0, HOVER]), FROM_ABOVE, 1),
        Pose(110, grasp, FROM_ABOVE, 1),
        Pose(135, grasp, FROM_ABOVE, 0),
        Pose(205, meeting, FROM_ABOVE, 0),
        Pose(285, meeting, FROM_ABOVE, 0),
        Pose(305, meeting, FROM_ABOVE, 1),
        Pose(345, away, FROM_ABOVE, 1),
    ]


def _taking(hand: Hand) -> list[Pose]:
    """The left hand: beside the meeting, in, and close."""
    grasp = MEETING + FROM_THE_SIDE.apply([DEPTH, 0, 0])
    ready = grasp - FROM_THE_SIDE.apply([READY, 0, 0])
    return [
        Pose(0, hand.tip, hand.facing, 0),
        Pose(120, ready, FROM_THE_SIDE, 1),
        Pose(205, ready, FROM_THE_SIDE, 1),
        Pose(255, grasp, FROM_THE_SIDE, 1),
        Pose(285, grasp, FROM_THE_SIDE, 0),
    ]
