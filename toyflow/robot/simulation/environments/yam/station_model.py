"""The station's model: I2RT's kinematics, with what a simulation needs beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environments.rendering import COLLISION_GEOMS, VISUAL_GEOMS
from toyflow.robot.simulation.environments.yam import arm_constants as arm
from toyflow.robot.simulation.environments.yam.arm_constants import ARM_JOINTS, ARMS

TIMESTEP = 0.002
"""Seconds of a physics step: ten to a control step."""

CAMERAS = {"top": "top_camera", "left": "left_camera", "right": "right_camera"}
"""The body of each camera, in LeRobot's order."""
UNSEEN = 4
"""A group that is never drawn, for the model's marks of the fingertips."""


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
NEAREST = 0.002
"""The nearest that cameras see, in sizes of the scene of 2.2 m: what a hand holds is near its camera."""


def equip(mujoco: Any, spec: Any) -> None:
    """Add to I2RT's kinematics what a simulation needs: motors, fingers that grip, table, light, cameras."""
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.map.znear = NEAREST
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
