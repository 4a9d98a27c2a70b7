"""The scene's model and physics: gym-aloha's MJCF files in MuJoCo itself.

Only the package's files are used, not its Python code, which needs dm-control and renders three images of 640
x 480 at every step. Constants are those of gym-aloha 0.1.5.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments.rendering import load_mujoco

HINT = "pip install 'toyflow[aloha]'"
FILE = "bimanual_viperx_transfer_cube.xml"
RATE = 50
"""Control steps per second."""

ARMS = ("left", "right")
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
"""Joints of an arm, in the order of gym-aloha's state and action."""
START = (0.0, -0.96, 1.16, 0.0, -0.3, 0.0)
"""Joint angles of each arm at the start, in radians."""
GRIPPER_CLOSED, GRIPPER_OPEN = 0.021, 0.057
"""Distance of a finger from the middle in metres: the range of its motor."""
STATE_CLOSED, STATE_OPEN = 0.01844, 0.05800
"""The same distance where gym-aloha's state is 0 and 1."""

ARM_LOW = (-3.14158, -1.85005, -1.76278, -3.14158, -1.8675, -3.14158)
ARM_HIGH = (3.14158, 1.25664, 1.6057, 3.14158, 2.23402, 3.14158)
"""Range of each joint's motor in radians."""
LOW = np.array([*ARM_LOW, GRIPPER_CLOSED] * len(ARMS))
HIGH = np.array([*ARM_HIGH, GRIPPER_OPEN] * len(ARMS))
GRIPPERS = [6, 13]
"""Places of the grippers in a state or action."""

Action = Float[np.ndarray, "action=14"]
Actions = Float[np.ndarray, "*chunk action=14"]


def from_gym(actions: Actions) -> Actions:
    """The actions of gym-aloha, joints in radians and a gripper of 0 closed and 1 open as in its state, as
    actions in [-1, 1], see `AlohaScene`. Beyond these they exceed the motors' ranges.

    >>> to_gym(from_gym(np.full((5, 14), 0.5))).round(6).tolist() == [[0.5] * 14] * 5
    True
    """
    positions = np.array(actions, np.float64)
    positions[..., GRIPPERS] = STATE_CLOSED + positions[..., GRIPPERS] * (STATE_OPEN - STATE_CLOSED)
    return 2 * (positions - LOW) / (HIGH - LOW) - 1


def to_gym(actions: Actions) -> Actions:
    """The reverse of `from_gym`."""
    positions = LOW + (np.asarray(actions, np.float64) + 1) / 2 * (HIGH - LOW)
    positions[..., GRIPPERS] = (positions[..., GRIPPERS] - STATE_CLOSED) / (STATE_OPEN - STATE_CLOSED)
    return positions


def scene_file() -> Path:
    """The scene's MJCF file. Raises UsageError, with what to do, where gym-aloha is not installed."""
    spec = find_spec("gym_aloha")  # does not import it
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "assets" / FILE).is_file():
            return Path(place) / "assets" / FILE
    raise UsageError(f"the environment aloha needs the package gym-aloha, which is not installed: {HINT}.")


class AlohaScene:
    """Both arms, a table and a cube.

    An action has seven numbers in [-1, 1] for each arm, left before right: six target positions of joints, -1
    and 1 being the ends of the motor's range, and the gripper, -1 closed and 1 open.

    Attributes:
        model, data: mujoco.MjModel and mujoco.MjData.
    """

    def __init__(self) -> None:
        file = scene_file()
        self._mujoco = load_mujoco()
        self.model = self._mujoco.MjModel.from_xml_path(str(file))
        self.data: Any = self._mujoco.MjData(self.model)
        low, high = self.model.actuator_ctrlrange.T
        arm, fingers = np.arange(6), np.array([6])
        motors = np.concatenate([start + np.r_[arm, fingers] for start in (0, 8)])
        self._low, self._high = low[motors], high[motors]
        self._substeps = round(1 / RATE / self.model.opt.timestep)

    def reset(self, cube: Float[np.ndarray, "xyz"]) -> None:
        """The arms at their start, closed, and the cube at `cube`, in metres; it falls to the table."""
        self._mujoco.mj_resetData(self.model, self.data)
        self.ctrl = self.scaled(np.array([*START, GRIPPER_CLOSED] * 2))
        self.data.qpos[:16] = self.data.ctrl[:] = self._motors(self.ctrl)
        self.data.qpos[16:] = [*cube, 1, 0, 0, 0]
        for _ in range(RATE // 2):
            self.step(self.ctrl)

    def step(self, action: Action) -> None:
        """One control step."""
        self.ctrl = np.clip(action, -1, 1)
        self.data.ctrl[:] = self._motors(self.ctrl)
        self._mujoco.mj_step(self.model, self.data, self._substeps)

    def scaled(self, positions: Float[np.ndarray, "action=14"]) -> Action:
        """The action for target positions: joints in radians, a finger's distance from the middle in
        metres."""
        return 2 * (positions - self._low) / (self._high - self._low) - 1

    @property
    def state(self) -> Float32[np.ndarray, "state=14"]:
        """gym-aloha's state: for each arm six angles in radians and its gripper, 0 closed and 1 open."""
        arms = self.data.qpos[:16].reshape(2, 8)
        gripper = (arms[:, 6:7] - STATE_CLOSED) / (STATE_OPEN - STATE_CLOSED)
        return np.concatenate([arms[:, :6], gripper], 1).reshape(-1).astype(np.float32)

    @property
    def cube(self) -> Float[np.ndarray, "xyz"]:
        """The cube's position in metres."""
        return self.data.qpos[16:19].copy()

    @property
    def handed_over(self) -> bool:
        """gym-aloha's success: the left gripper touches the cube, and the table does not."""
        touching = set()
        for contact in self.data.contact[: self.data.ncon]:
            pair = [self.model.geom(geom).name for geom in (contact.geom1, contact.geom2)]
            if "red_box" in pair:
                touching |= {*pair} - {"red_box"}
        return "vx300s_left/10_left_gripper_finger" in touching and "table" not in touching

    def _motors(self, action: Action) -> Float[np.ndarray, "motors=16"]:
        """The target of each motor: the second finger mirrors the first."""
        arms = (self._low + (action + 1) / 2 * (self._high - self._low)).reshape(2, 7)
        return np.concatenate([arms, -arms[:, 6:]], 1).reshape(-1)
