"""Inverse kinematics of an arm in MuJoCo, and the path of its hand through poses, for scripted experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

from toyflow.robot.simulation.environments.rendering import load_mujoco

Point = Float[np.ndarray, "xyz"]

DAMPING, ITERATIONS, CLOSE_ENOUGH = 0.02, 12, 1e-4


class Pose(NamedTuple):
    """A hand's pose at a control step; between two of them it moves with minimum jerk. `opening` is 0 for
    closed and 1 for open."""

    step: int
    tip: Point
    facing: Rotation
    opening: float


class Hand:
    """Inverse kinematics of one arm; each solution starts from the one before."""

    def __init__(self, model: Any, data: Any, body: str, joints: Sequence[str], reach: Point) -> None:
        """The arm in its present state.

        Args:
            model, data: mujoco.MjModel and mujoco.MjData; neither is changed.
            body: the hand.
            joints: the arm's six joints.
            reach: the point between the fingertips in the hand's frame, in metres.
        """
        self._mujoco, self._model = load_mujoco(), model
        self._data = self._mujoco.MjData(model)
        self._data.qpos[:] = data.qpos
        self._body, self._reach = model.body(body).id, reach
        ids = [model.joint(joint).id for joint in joints]
        self._angles, self._velocities = model.jnt_qposadr[ids], model.jnt_dofadr[ids]
        self._low, self._high = model.jnt_range[ids].T
        self._mujoco.mj_kinematics(model, self._data)

    @property
    def facing(self) -> Rotation:
        """Orientation of the hand in the last solution."""
        return Rotation.from_matrix(self._data.xmat[self._body].reshape(3, 3))

    @property
    def tip(self) -> Point:
        """Position of the fingertips in the last solution."""
        return self._data.xpos[self._body] + self.facing.apply(self._reach)

    def joints(self, tip: Point, facing: Rotation) -> Float[np.ndarray, "joints=6"]:
        """Angles in radians that bring the fingertips to `tip`, by damped least squares:
        dq = J^T (J J^T + damping^2)^-1 e, e of metres and radians."""
        mujoco, wanted = self._mujoco, facing.as_matrix()
        jacobian, quaternion, error = np.zeros((2, 3, self._model.nv)), np.zeros(4), np.zeros(6)
        for _ in range(ITERATIONS):
            mujoco.mj_kinematics(self._model, self._data)
            turned = self._data.xmat[self._body].reshape(3, 3)
            here = self._data.xpos[self._body] + turned @ self._reach
            error[:3] = tip - here
            mujoco.mju_mat2Quat(quaternion, (wanted @ turned.T).ravel())
            mujoco.mju_quat2Vel(error[3:], quaternion, 1)
            if np.abs(error).max() < CLOSE_ENOUGH:
                break
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_jac(self._model, self._data, jacobian[0], jacobian[1], here, self._body)
            j = jacobian[:, :, self._velocities].reshape(6, 6)
            change = j.T @ np.linalg.solve(j @ j.T + DAMPING**2 * np.eye(6), error)
            angles = self._data.qpos[self._angles] + change
            self._data.qpos[self._angles] = np.clip(angles, self._low, self._high)
        return self._data.qpos[self._angles].copy()


def between(poses: Sequence[Pose], step: int) -> tuple[Point, Rotation, float]:
    """Tip, facing and opening at `step`, s(u) = 10 u^3 - 15 u^4 + 6 u^5 of the way from one pose to the
    next."""
    later = next((i for i, pose in enumerate(poses) if pose.step >= step), len(poses) - 1)
    before, after = poses[max(later - 1, 0)], poses[later]
    u = np.clip((step - before.step) / max(after.step - before.step, 1), 0, 1)
    share = float(10 * u**3 - 15 * u**4 + 6 * u**5)
    facing = after.facing
    if share < 1 and before.facing is not facing:  # else the slow Slerp would give the same
        facing = Slerp([0, 1], Rotation.concatenate([before.facing, facing]))(share)
    tip = before.tip + share * (after.tip - before.tip)
    return tip, facing, before.opening + share * (after.opening - before.opening)
