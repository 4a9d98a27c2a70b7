"""The station: two YAM arms at a table with three cameras, in MuJoCo.

Positions are in metres in the world's frame, whose origin is the left arm's base on the table: x points away
from the arms, y to the left, z up. The right arm's base is at y = -0.61.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation

from toyflow.errors import UsageError, first_line
from toyflow.robot.simulation.environments.hands import Hand, Point
from toyflow.robot.simulation.environments.rendering import COLLISION_GEOMS, VISUAL_GEOMS, load_mujoco
from toyflow.robot.simulation.environments.yam import arm_constants as arm
from toyflow.robot.simulation.environments.yam.arm_constants import ARM_JOINTS, ARMS
from toyflow.robot.simulation.environments.yam.model_files import SETUP, station_file
from toyflow.robot.simulation.environments.yam.station_task import StationTask

Action = Float[np.ndarray, "action=14"]
Colour = tuple[float, float, float]

RATE = 50
TIMESTEP = 0.002
"""Seconds of a physics step: ten to a control step."""

CAMERAS = {"top": "top_camera", "left": "left_camera", "right": "right_camera"}
"""The body of each camera, in LeRobot's order."""
ACTIONS = tuple(
    f"{side}_{part}.pos" for side in ARMS for part in (*(f"joint_{i}" for i in range(ARM_JOINTS)), "gripper")
)
"""Names of action and state, in LeRobot's order: joints in radians, grippers 0 closed and 1 open."""
LOW = (*arm.JOINT_LOW, 0.0) * 2
HIGH = (*arm.JOINT_HIGH, 1.0) * 2
GRIPPERS = np.array([6, 13])
UNSEEN = 4
"""A group that is never drawn, for the model's marks of the fingertips."""

HOME = (0.0, 1.0, 0.9, -0.9, 0.0, 0.0, 1.0)
"""Where an arm starts: folded over its base, the hand in front of it and open."""
REACH = np.array([0.0, 0.0, 0.14465])
"""From a hand's origin to the point between its fingertips, in its frame (the model's site `tcp`)."""
POINTING_DOWN = Rotation.from_matrix([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""A hand whose fingers point down, and open along y."""

PAD_SPHERE = 0.002
PAD_SPHERES = [(0.0, y, z) for y in (-0.006, 0.006) for z in (0.1322, 0.1422)]
PAD_BOX = ((0.0015, 0.0072, 0.0082), (0.0025, 0.0, 0.1362))
FINGER_BOX = ((0.003, 0.018, 0.0215), (0.0105, 0.0, 0.1065))
"""What collides of a finger, in the hand's frame with the gripper closed: the pad's middle at the closing
plane x = 0, as (half sizes, middle) for the left finger; the right one mirrors x. The pad's size is
menagerie's, see `arm_constants`; spheres grip at four points, which is cheaper than what two boxes make of
it."""
GRIP, FIRMNESS = (1.2, 0.02, 0.001), (0.01, 1.0)
"""Friction of a pad: sliding, torsional (metres), rolling, a guess for rubber; and MuJoCo's `solref` of a
pad."""

TABLE, FLOOR = "table", "floor"
TABLE_MIDDLE, TABLE_HALF = (0.31, -0.305), (0.41, 0.62)
TABLE_COLOUR, FLOOR_COLOUR, ARM_COLOUR, TIP_COLOUR = (
    (0.78, 0.72, 0.62), (0.35, 0.36, 0.38), (0.13, 0.13, 0.14), (0.85, 0.85, 0.86)
)  # fmt: skip
LIGHTS = (((0.3, -0.3, 2.5), (0, 0, -1), 0.35), ((1.8, -1.2, 1.5), (-1, 0.5, -1), 0.2))
"""Place, direction and strength."""
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

    def __init__(self, task: StationTask) -> None:
        """Build the model. Raises UsageError where the model files are missing, or of another kind."""
        self._mujoco, file = load_mujoco(), station_file()
        try:
            spec = self._mujoco.MjSpec.from_file(str(file))
            _equip(self._mujoco, spec)
        except (ValueError, AttributeError) as error:
            raise UsageError(
                f"{file} is not the station that this version knows: {first_line(error)}; remove its folder "
                f"and run `{SETUP}` again."
            ) from error
        task.add_bodies(spec)
        self.model = spec.compile()
        self.data: Any = self._mujoco.MjData(self.model)
        self.task = task
        self._stroke = self.model.jnt_range[self.model.joint("left_joint7").id, 1]
        self._state_at = np.array([
            self.model.joint(f"{side}_joint{number}").qposadr[0] for side in ARMS for number in range(1, 8)
        ])  # fmt: skip
        self._fingers_at = np.array([self.model.joint(f"{side}_joint8").qposadr[0] for side in ARMS])
        self._substeps = round(1 / RATE / TIMESTEP)
        self._camera_rest = self.model.cam_pos.copy(), self.model.cam_quat.copy()
        self._hand_geoms = {side: self._geoms_below(f"{side}_gripper") for side in ARMS}
        self.target: Action = np.array(HOME * 2)

    def reset(self, generator: np.random.Generator) -> None:
        """Start an episode: arms at `HOME`, cameras, table and the task's bodies varied by chance, at
        rest."""
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._state_at] = self._motors(np.array(HOME * 2))
        self.data.qpos[self._fingers_at] = self.data.qpos[self._state_at[GRIPPERS]]
        self._vary_cameras(generator)
        shade = generator.uniform(-SHADE, SHADE)
        self.paint([TABLE], (TABLE_COLOUR[0] + shade, TABLE_COLOUR[1] + shade, TABLE_COLOUR[2] + shade))
        self.task.reset(self, generator)
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


def _equip(mujoco: Any, spec: Any) -> None:
    """Add to I2RT's kinematics what a simulation needs: motors, fingers that grip, table, light, cameras."""
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    for body in spec.bodies:
        if not body.name.startswith(ARMS):
            continue
        body.gravcomp = 1
        for site in body.sites:
            site.group = UNSEEN
        for geom in body.geoms:
            geom.group, geom.contype, geom.conaffinity = VISUAL_GEOMS, 0, 0
            geom.rgba = [*(TIP_COLOUR if "tip" in body.name else ARM_COLOUR), 1]
    for geom in spec.body("top_camera").geoms:
        geom.group, geom.contype, geom.conaffinity, geom.rgba = VISUAL_GEOMS, 0, 0, [*ARM_COLOUR, 1]
    for equality in spec.equalities:
        equality.solref = [2 * TIMESTEP, 1]
    for side in ARMS:
        _add_motors(mujoco, spec, side)
        _add_fingers(mujoco, spec, side)
    width, height = arm.CAMERA_SENSOR
    for name, body in CAMERAS.items():
        spec.body(body).add_camera(
            name=name, quat=[0, 1, 0, 0], resolution=list(arm.CAMERA_PIXELS), sensor_size=[width, height],
            focal_length=[arm.CAMERA_FOCAL] * 2,
        )  # fmt: skip
    _add_room(mujoco, spec)


def _add_motors(mujoco: Any, spec: Any, side: str) -> None:
    for i in range(ARM_JOINTS):
        name = f"{side}_joint{i + 1}"
        joint = spec.joint(name)
        joint.armature, joint.frictionloss = arm.ARMATURE[i], arm.FRICTION[i]
        joint.range = [arm.JOINT_LOW[i], arm.JOINT_HIGH[i]]
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_position(kp=arm.STIFFNESS[i], kv=arm.DAMPING[i])
        motor.forcelimited, motor.forcerange = True, [-arm.TORQUE[i], arm.TORQUE[i]]
    for number in (7, 8):
        finger = spec.joint(f"{side}_joint{number}")
        finger.armature = arm.GRIPPER_ARMATURE
        finger.solref_limit, finger.solimp_limit = [2 * TIMESTEP, 1], [0.98, 0.999, 0.001, 0.5, 2]
    name = f"{side}_gripper"
    fingers = spec.add_tendon(name=name)  # the mean of both, which an equality of the model keeps alike
    for number in (7, 8):
        fingers.wrap_joint(f"{side}_joint{number}", 0.5)
    motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_TENDON)
    motor.set_to_position(kp=arm.GRIPPER_STIFFNESS, kv=arm.GRIPPER_DAMPING)
    motor.forcelimited, motor.forcerange = True, [-arm.GRIPPER_FORCE, arm.GRIPPER_FORCE]


def _add_fingers(mujoco: Any, spec: Any, side: str) -> None:
    """Boxes and spheres on the fingertips, placed in the hand's frame with the gripper closed."""
    for finger, away in (("tip_left", -1), ("tip_right", 1)):  # the left finger opens towards -x
        body = spec.body(f"{side}_{finger}")
        turned = Rotation.from_quat(np.asarray(body.quat)[[1, 2, 3, 0]])
        common = {
            "group": COLLISION_GEOMS, "friction": list(GRIP), "condim": 4, "priority": 1, "mass": 0,
            "solref": list(FIRMNESS),
            "quat": turned.inv().as_quat()[[3, 0, 1, 2]],
        }  # fmt: skip

        def there(point: tuple[float, float, float], away: int = away, body: Any = body,
                  turned: Rotation = turned) -> np.ndarray:  # fmt: skip
            return turned.inv().apply(np.array(point) * [away, 1, 1] - body.pos)

        for i, (_, y, z) in enumerate(PAD_SPHERES):
            body.add_geom(
                name=f"{side}_{finger}_pad{i}", type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=[PAD_SPHERE, 0, 0], pos=there((PAD_SPHERE, y, z)), **common,
            )  # fmt: skip
        for part, (half, middle) in (("pad", PAD_BOX), ("finger", FINGER_BOX)):
            body.add_geom(
                name=f"{side}_{finger}_{part}", type=mujoco.mjtGeom.mjGEOM_BOX, size=list(half),
                pos=there(middle), **common,
            )  # fmt: skip


def _add_room(mujoco: Any, spec: Any) -> None:
    world = spec.worldbody
    x, y = TABLE_MIDDLE
    world.add_geom(
        name=TABLE, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[*TABLE_HALF, 0.05], pos=[x, y, 0],
        rgba=[*TABLE_COLOUR, 1], group=VISUAL_GEOMS,
    )  # fmt: skip
    world.add_geom(
        name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.05], pos=[x, y, -0.75],
        rgba=[*FLOOR_COLOUR, 1], group=VISUAL_GEOMS, contype=0, conaffinity=0,
    )  # fmt: skip
    spec.visual.headlight.diffuse, spec.visual.headlight.ambient = [0.3] * 3, [0.3] * 3
    spec.visual.headlight.specular = [0] * 3
    for place, towards, strength in LIGHTS:
        world.add_light(
            pos=list(place), dir=list(towards), diffuse=[strength] * 3, specular=[0.1] * 3, castshadow=False
        )
