"""The station: two YAM arms at a table with three cameras, in MuJoCo.

Positions are in metres in the world's frame, whose origin is the left arm's base on the table: x points away
from the arms, y to the left, z up. The right arm's base is at y = -0.61.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation

from toyflow.errors import UsageError, first_line
from toyflow.robot.simulation.environments.hands import Hand, Point
from toyflow.robot.simulation.environments.rendering import load_mujoco
from toyflow.robot.simulation.environments.yam import arm_constants as arm
from toyflow.robot.simulation.environments.yam.arm_constants import ARM_JOINTS, ARMS
from toyflow.robot.simulation.environments.yam.model_files import SETUP, station_file
from toyflow.robot.simulation.environments.yam.station_model import (
    TABLE,
    TABLE_COLOUR,
    TIMESTEP,
    equip,
)

Action = Float[np.ndarray, "action=14"]
Colour = tuple[float, float, float]

RATE = 50
ACTIONS = tuple(
    f"{side}_{part}.pos" for side in ARMS for part in (*(f"joint_{i}" for i in range(ARM_JOINTS)), "gripper")
)
"""Names of action and state, in LeRobot's order: joints in radians, grippers 0 closed and 1 open."""
LOW = (*arm.JOINT_LOW, 0.0) * 2
HIGH = (*arm.JOINT_HIGH, 1.0) * 2
GRIPPERS = np.array([6, 13])
HOME = (0.0, 1.0, 0.9, -0.9, 0.0, 0.0, 1.0)
"""Where an arm starts: folded over its base, the hand in front of it and open."""
REACH = np.array([0.0, 0.0, 0.14465])
"""From a hand's origin to the point between its fingertips, in its frame (the model's site `tcp`)."""
POINTING_DOWN = Rotation.from_matrix([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""A hand whose fingers point down, and open along y."""

BASES = {"left": np.zeros(3), "right": np.array([0.0, -0.61, 0.0])}
"""Where the arms stand."""
CAMERA_SHIFT, CAMERA_TURN = 0.004, np.deg2rad(1.0)
"""Standard deviations of a camera's place in metres and of its angles, by which an episode differs."""
SHADE = 0.08
"""An episode's table is lighter or darker by up to this."""
SETTLING = 25
"""Control steps before an episode begins, in which bodies come to rest."""


class Station:
    """Both arms, the table, the cameras and a task's bodies.

    An action has seven numbers for each arm, left before right: target angles of six joints in radians, and
    the gripper, 0 closed and 1 open. A joint's motor is a spring and a damper with the driver's gains,
    bounded by the motor's torque; gravity of the arms is compensated, as the driver does.

    Attributes:
        model, data: mujoco.MjModel and mujoco.MjData.
        target: the last action.
    """

    def __init__(self, add_bodies: Callable[[Any], None]) -> None:
        """Build the model.

        Args:
            add_bodies: adds a task's bodies to the station's mujoco.MjSpec.

        Raises:
            UsageError: the model files are missing, or of another kind, or there is no OpenGL.
        """
        self._mujoco, file = load_mujoco(), station_file()
        try:
            spec = self._mujoco.MjSpec.from_file(str(file))
            equip(self._mujoco, spec)
        except (ValueError, AttributeError) as error:
            raise UsageError(
                f"{file} is not the station that this version knows: {first_line(error)}; remove its folder "
                f"and run `{SETUP}` again."
            ) from error
        add_bodies(spec)
        self.model = spec.compile()
        self.data: Any = self._mujoco.MjData(self.model)
        self._stroke = self.model.jnt_range[self.model.joint("left_joint7").id, 1]
        self._state_at = np.array([
            self.model.joint(f"{side}_joint{number}").qposadr[0] for side in ARMS for number in range(1, 8)
        ])  # fmt: skip
        self._fingers_at = np.array([self.model.joint(f"{side}_joint8").qposadr[0] for side in ARMS])
        self._substeps = round(1 / RATE / TIMESTEP)
        self._camera_rest = self.model.cam_pos.copy(), self.model.cam_quat.copy()
        self._hand_geoms = {side: self._geoms_below(f"{side}_gripper") for side in ARMS}
        self.target: Action = np.array(HOME * 2)

    def reset(
        self, generator: np.random.Generator, place_bodies: Callable[[np.random.Generator], None]
    ) -> None:
        """Start an episode: arms at `HOME`, cameras and table varied by chance, all at rest.

        Args:
            place_bodies: places the task's bodies by chance.
        """
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._state_at] = self._motors(np.array(HOME * 2))
        self.data.qpos[self._fingers_at] = self.data.qpos[self._state_at[GRIPPERS]]
        self._vary_cameras(generator)
        shade = generator.uniform(-SHADE, SHADE)
        self.paint([TABLE], (TABLE_COLOUR[0] + shade, TABLE_COLOUR[1] + shade, TABLE_COLOUR[2] + shade))
        place_bodies(generator)
        for _ in range(SETTLING):
            self.step(np.array(HOME * 2))

    def step(self, action: Action) -> None:
        """One control step, towards an action that is clipped to `LOW` and `HIGH`."""
        self.target = np.clip(action, LOW, HIGH)
        self.data.ctrl[:] = self._motors(self.target)
        self.data.ctrl[GRIPPERS] -= (1 - self.target[GRIPPERS]) * arm.SQUEEZE
        self._mujoco.mj_step(self.model, self.data, self._substeps)

    @property
    def state(self) -> Float32[np.ndarray, "state=14"]:
        """Positions in the units of the action."""
        state = self.data.qpos[self._state_at]
        state[GRIPPERS] /= self._stroke
        return state.astype(np.float32)

    def pose(self, body: str) -> Float[np.ndarray, "pose=9"]:
        """Position of a body in metres, and the first two columns of its rotation."""
        found = self.data.body(body)
        columns = found.xmat.reshape(3, 3)[:, :2]
        return np.concatenate([found.xpos, columns.T.ravel()])

    def position(self, body: str) -> Point:
        """Position of a body."""
        return self.data.body(body).xpos.copy()

    def rotation(self, body: str) -> Rotation:
        """Rotation of a body."""
        return Rotation.from_matrix(self.data.body(body).xmat.reshape(3, 3))

    def speed(self, body: str) -> float:
        """How fast a body moves: the larger of metres per second and tenths of a radian per second."""
        velocity = self.data.qvel[self.model.body(body).dofadr[0] :][:6]
        return max(float(np.linalg.norm(velocity[:3])), float(np.linalg.norm(velocity[3:])) / 10)

    def held(self, body: str) -> list[str]:
        """The arms whose fingers touch a body."""
        touching = set(self.touched_geoms(body))
        return [side for side in ARMS if touching & self._hand_geoms[side]]

    def touched_geoms(self, body: str) -> set[int]:
        """Ids of the geometries of other bodies that touch a body."""
        owner, number = self.model.geom_bodyid, self.model.body(body).id
        pairs = self.data.contact.geom[: self.data.ncon]
        return {int(b) for pair in pairs for a, b in (pair, pair[::-1]) if owner[a] == number != owner[b]}

    def place(self, body: str, position: Point, rotation: Rotation | None = None) -> None:
        """Put a body somewhere; by default unturned. A body with a free joint rests there, another stays."""
        quaternion = (rotation or Rotation.identity()).as_quat()[[3, 0, 1, 2]]
        number = self.model.body(body).id
        joint = self.model.body_jntadr[number]
        if joint < 0:
            self.model.body_pos[number], self.model.body_quat[number] = position, quaternion
        else:
            at, speed_at = self.model.jnt_qposadr[joint], self.model.jnt_dofadr[joint]
            self.data.qpos[at : at + 7] = [*position, *quaternion]
            self.data.qvel[speed_at : speed_at + 6] = 0

    def paint(self, geoms: Iterable[str], colour: Colour) -> None:
        """Colour geometries, by red, green and blue from 0 to 1."""
        for geom in geoms:
            self.model.geom(geom).rgba[:3] = colour

    def tip(self, side: str) -> Point:
        """The point between a hand's fingertips."""
        hand = self.data.body(f"{side}_gripper")
        return hand.xpos + hand.xmat.reshape(3, 3) @ REACH

    def hand(self, side: str) -> Hand:
        """Inverse kinematics of an arm from its present state."""
        joints = [f"{side}_joint{number + 1}" for number in range(ARM_JOINTS)]
        return Hand(self.model, self.data, f"{side}_gripper", joints, REACH)

    def _motors(self, action: Action) -> Action:
        """An action, with grippers as a finger's way in metres."""
        motors = action.copy()
        motors[GRIPPERS] *= self._stroke
        return motors

    def _vary_cameras(self, generator: np.random.Generator) -> None:
        positions, rotations = self._camera_rest
        self.model.cam_pos[:] = positions + generator.normal(0, CAMERA_SHIFT, positions.shape)
        turns = Rotation.from_rotvec(generator.normal(0, CAMERA_TURN, positions.shape))
        rest = Rotation.from_quat(rotations[:, [1, 2, 3, 0]])
        self.model.cam_quat[:] = (rest * turns).as_quat()[:, [3, 0, 1, 2]]

    def _geoms_below(self, body: str) -> set[int]:
        """Ids of the geometries of a body and of all that hang from it."""
        top, parents = self.model.body(body).id, self.model.body_parentid
        below = {top}
        for number in range(top + 1, self.model.nbody):  # children follow their parents
            if parents[number] in below:
                below.add(number)
        return {geom for geom in range(self.model.ngeom) if self.model.geom_bodyid[geom] in below}
