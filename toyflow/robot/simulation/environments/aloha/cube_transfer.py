"""The scripted expert of cube transfer: it knows the cube's position and solves inverse kinematics.

Positions are in metres in the world's frame, whose z axis points up; the arms stand at x = -0.47 (left) and
0.47 (right), facing each other. A hand points along its x axis and opens along its y axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation, Slerp

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.aloha.aloha_scene import (
    ARMS,
    GRIPPER_CLOSED,
    GRIPPER_OPEN,
    AlohaScene,
)
from toyflow.robot.simulation.environments.rendering import load_mujoco

Point = Float[np.ndarray, "xyz"]

REACH = 0.14
"""Distance from the origin of a hand to the point between its fingertips."""
FROM_ABOVE = Rotation.from_euler("yz", [1.05, np.pi])
"""The right hand, 60 degrees nose down."""
FROM_THE_SIDE = Rotation.from_euler("x", np.pi / 2)
"""The left hand, level, its fingers one above the other."""
MEETING = np.array([0.0, 0.5, 0.27])
HOVER, READY, DEPTH = 0.09, 0.14, 0.012
"""How far above the cube the right hand waits, how far from the meeting point the left hand waits, and how
far beyond the cube's middle the fingertips reach; in metres."""
DAMPING, ITERATIONS, CLOSE_ENOUGH = 0.02, 12, 1e-4


class Key(NamedTuple):
    """A hand's pose at a control step; between two keys it moves with minimum jerk. `opening` is 0 for closed
    and 1 for open."""

    step: int
    tip: Point
    facing: Rotation
    opening: float


class CubeTransfer(Expert):
    """The right arm takes the cube from above and holds it up, the left takes it from there."""

    noise_scale = np.array([*[0.02] * 6, 0.0] * 2)

    def __init__(self, scene: AlohaScene) -> None:
        self._hands = [Hand(scene, arm) for arm in ARMS]
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


class Hand:
    """Inverse kinematics of one arm; each solution starts from the one before."""

    def __init__(self, scene: AlohaScene, arm: str) -> None:
        self._mujoco, self._model = load_mujoco(), scene.model
        self._data = self._mujoco.MjData(self._model)
        self._data.qpos[:] = scene.data.qpos
        self._body = self._model.body(f"vx300s_{arm}/gripper_link").id
        first = self._model.joint(f"vx300s_{arm}/waist").id
        self._joints = slice(first, first + 6)
        self._low, self._high = self._model.jnt_range[self._joints].T
        self._mujoco.mj_kinematics(self._model, self._data)

    @property
    def facing(self) -> Rotation:
        """Orientation of the hand in the last solution."""
        return Rotation.from_matrix(self._data.xmat[self._body].reshape(3, 3))

    @property
    def tip(self) -> Point:
        """Position of the fingertips in the last solution."""
        return self._data.xpos[self._body] + self.facing.apply([REACH, 0, 0])

    def joints(self, tip: Point, facing: Rotation) -> Float[np.ndarray, "joints=6"]:
        """Angles in radians that bring the fingertips to `tip`, by damped least squares:
        dq = J^T (J J^T + damping^2)^-1 e, e of metres and radians."""
        jacobian = np.zeros((2, 3, self._model.nv))
        for _ in range(ITERATIONS):
            self._mujoco.mj_kinematics(self._model, self._data)
            error = np.concatenate([tip - self.tip, (facing * self.facing.inv()).as_rotvec()])
            if np.abs(error).max() < CLOSE_ENOUGH:
                break
            self._mujoco.mj_comPos(self._model, self._data)
            self._mujoco.mj_jac(self._model, self._data, jacobian[0], jacobian[1], self.tip, self._body)
            j = jacobian[:, :, self._joints].reshape(6, 6)
            change = j.T @ np.linalg.solve(j @ j.T + DAMPING**2 * np.eye(6), error)
            angles = self._data.qpos[self._joints] + change
            self._data.qpos[self._joints] = np.clip(angles, self._low, self._high)
        return self._data.qpos[self._joints].copy()


def between(keys: list[Key], step: int) -> tuple[Point, Rotation, float]:
    """Tip, facing and opening at `step`, s(u) = 10 u^3 - 15 u^4 + 6 u^5 of the way from one key to the
    next."""
    later = next((i for i, key in enumerate(keys) if key.step >= step), len(keys) - 1)
    before, after = keys[max(later - 1, 0)], keys[later]
    u = np.clip((step - before.step) / max(after.step - before.step, 1), 0, 1)
    share = float(10 * u**3 - 15 * u**4 + 6 * u**5)
    facing = Slerp([0, 1], Rotation.concatenate([before.facing, after.facing]))(share)
    tip = before.tip + share * (after.tip - before.tip)
    return tip, facing, before.opening + share * (after.opening - before.opening)


def _bringing(hand: Hand, cube: Point) -> list[Key]:
    """The right hand: over the cube, down, close, up to the meeting, and let go once the left has it."""
    grasp = cube + FROM_ABOVE.apply([DEPTH, 0, 0])
    meeting = MEETING + FROM_ABOVE.apply([DEPTH, 0, 0])
    away = meeting - FROM_ABOVE.apply([HOVER, 0, 0])
    return [
        Key(0, hand.tip, hand.facing, 0),
        Key(70, cube + np.array([0, 0, HOVER]), FROM_ABOVE, 1),
        Key(110, grasp, FROM_ABOVE, 1),
        Key(135, grasp, FROM_ABOVE, 0),
        Key(205, meeting, FROM_ABOVE, 0),
        Key(285, meeting, FROM_ABOVE, 0),
        Key(305, meeting, FROM_ABOVE, 1),
        Key(345, away, FROM_ABOVE, 1),
    ]


def _taking(hand: Hand) -> list[Key]:
    """The left hand: beside the meeting, in, and close."""
    grasp = MEETING + FROM_THE_SIDE.apply([DEPTH, 0, 0])
    ready = grasp - FROM_THE_SIDE.apply([READY, 0, 0])
    return [
        Key(0, hand.tip, hand.facing, 0),
        Key(120, ready, FROM_THE_SIDE, 1),
        Key(205, ready, FROM_THE_SIDE, 1),
        Key(255, grasp, FROM_THE_SIDE, 1),
        Key(285, grasp, FROM_THE_SIDE, 0),
    ]
