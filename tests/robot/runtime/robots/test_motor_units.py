"""Units and bounds of LeRobot's robots: its own, on buses whose SDK is replaced, and small ones."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lerobot")

from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from robot.runtime.robots.motor_sdk import replace_sdk

from toyflow.robot.interface import Interface
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.lerobot import LeRobotRobot
from toyflow.robot.runtime.robots.motor_units import motor_ranges

SETTINGS = RobotSettings(Interface((), 1, 1, 30))


class Arm:
    """A robot of LeRobot's shape: these motors on a bus, or, with none, only these names."""

    def __init__(self, motors=None, names=(), calibration=None, **config) -> None:
        if motors is not None:
            table = {"sts3215": 4096}
            self.bus = SimpleNamespace(motors=motors, calibration=calibration, model_resolution_table=table)
        names = [*(f"{name}.pos" for name in motors or ()), *names]
        self.config = SimpleNamespace(**config)
        self.action_features = self.observation_features = dict.fromkeys(names, float)

    def get_observation(self): ...


def bounds(robot: LeRobotRobot) -> dict[str, tuple[float, float]]:
    lower, upper = robot.limits.lower, robot.limits.upper
    assert lower is not None and upper is not None
    return dict(zip(robot.action_names, zip(lower.tolist(), upper.tolist(), strict=True), strict=True))


def motors(**modes: str) -> dict[str, Motor]:
    return {
        name: Motor(place, "sts3215", MotorNormMode(mode)) for place, (name, mode) in enumerate(modes.items())
    }


def found(device) -> dict[str, tuple]:
    return {name: tuple(each) for name, each in motor_ranges(device, list(device.action_features)).items()}


def test_each_motor_says_how_it_is_counted():
    arm = Arm(motors(pan="degrees", lift="range_m100_100", gripper="range_0_100"), use_degrees=False)
    assert found(arm) == {
        "pan.pos": ("degrees", -180, 180),
        "lift.pos": ("-100..100", -100, 100),
        "gripper.pos": ("0..100", 0, 100),
    }


def test_degrees_go_as_far_as_the_motor_was_calibrated():
    calibration = {"pan": MotorCalibration(1, 0, 0, range_min=1024, range_max=3071)}
    arm = Arm(motors(pan="degrees", lift="degrees"), calibration=calibration)
    assert found(arm)["pan.pos"][1:] == pytest.approx((-90, 90), abs=0.05)
    assert found(arm)["lift.pos"] == ("degrees", -180, 180)


def test_joint_limits_of_the_configuration_come_first():
    arm = Arm(motors(joint_1="degrees", gripper="degrees"), joint_limits={"gripper": (-65, 0)})
    assert found(arm)["gripper.pos"] == ("degrees", -65, 0)


def test_an_arm_in_radians_has_no_bounds_that_anybody_invented():
    plain, named = Arm(names=("shoulder.pos", "elbow.pos", "gripper.pos")), Arm(names=("wrist.rad",))
    assert all(unit is None and np.isnan(ends).all() for unit, *ends in found(plain).values())
    [(unit, *ends)] = found(named).values()
    assert unit == "radians" and np.isnan(ends).all()
    robot = LeRobotRobot(plain, SETTINGS)
    assert np.isnan([*bounds(robot).values()]).all() and robot.units["elbow.pos"] is None


@pytest.mark.parametrize("use_degrees", [True, False])
def test_use_degrees_speaks_for_joints_and_false_says_nothing(use_degrees):
    names = ("left_elbow.pos", "left_gripper.pos", "right_elbow.pos")
    config = {"left_arm_config": SimpleNamespace(use_degrees=use_degrees)}
    units = {name: unit for name, (unit, *_) in found(Arm(names=names, **config)).items()}
    unit = "degrees" if use_degrees else None
    assert units == {"left_elbow.pos": unit, "left_gripper.pos": None, "right_elbow.pos": None}
    assert found(Arm(names=("elbow.pos",), use_degrees=use_degrees))["elbow.pos"][0] == unit


@pytest.fixture
def feetech(monkeypatch):
    """LeRobot's Feetech bus without its SDK."""
    replace_sdk(monkeypatch, "scservo_sdk")


def test_both_arms_of_lerobot_s_bi_so_follower_count_in_degrees(feetech, tmp_path):
    from lerobot.robots.bi_so_follower import BiSOFollower, BiSOFollowerConfig
    from lerobot.robots.so_follower import SOFollowerConfig

    arms = [SOFollowerConfig(port="x", use_degrees=use_degrees) for use_degrees in (True, False)]
    device = BiSOFollower(
        BiSOFollowerConfig(calibration_dir=tmp_path, left_arm_config=arms[0], right_arm_config=arms[1])
    )
    robot = LeRobotRobot(device, SETTINGS)
    assert robot.units["left_elbow_flex.pos"] == "degrees" and robot.units["left_gripper.pos"] == "0..100"
    assert robot.units["right_elbow_flex.pos"] == "-100..100"
    assert bounds(robot)["left_elbow_flex.pos"] == (-180, 180)
    assert bounds(robot)["right_elbow_flex.pos"] == (-100, 100)
    assert bounds(robot)["left_gripper.pos"] == (0, 100)


def test_the_hand_of_hope_jr_goes_from_0_to_100(feetech, tmp_path):
    from lerobot.robots.hope_jr.config_hope_jr import HopeJrHandConfig
    from lerobot.robots.hope_jr.hope_jr_hand import HopeJrHand

    robot = LeRobotRobot(
        HopeJrHand(HopeJrHandConfig(port="x", side="left", calibration_dir=tmp_path)), SETTINGS
    )
    assert len(robot.units) == 16 and set(robot.units.values()) == {"0..100"}
    assert set(bounds(robot).values()) == {(0, 100)}


@pytest.mark.parametrize(
    ("use_degrees", "unit", "ends"), [(True, "degrees", (-180, 180)), (False, "-100..100", (-100, 100))]
)
def test_lekiwi_knows_its_arm_and_not_its_wheels(feetech, tmp_path, use_degrees, unit, ends):
    from lerobot.robots.lekiwi.config_lekiwi import LeKiwiConfig

    pytest.importorskip("lerobot.robots.lekiwi.lekiwi", exc_type=ImportError)
    from lerobot.robots.lekiwi.lekiwi import LeKiwi

    config = LeKiwiConfig(calibration_dir=tmp_path, use_degrees=use_degrees)  # 0.6 turned its default over
    robot = LeRobotRobot(LeKiwi(config), SETTINGS)
    assert robot.units["arm_elbow_flex.pos"] == unit and robot.units["x.vel"] is None
    assert bounds(robot)["arm_elbow_flex.pos"] == ends
    assert np.isnan(bounds(robot)["x.vel"]).all()


def test_openarm_has_its_joint_limits(monkeypatch, tmp_path):
    replace_sdk(monkeypatch, "can")
    from lerobot.robots.openarm_follower import OpenArmFollower, OpenArmFollowerConfig

    # LeRobot 0.6 has velocities and torques only where they are asked for.
    options: dict[str, Any] = {}
    if hasattr(OpenArmFollowerConfig, "use_velocity_and_torque"):
        options["use_velocity_and_torque"] = True
    config = OpenArmFollowerConfig(port="x", side="left", calibration_dir=tmp_path, **options)
    robot = LeRobotRobot(OpenArmFollower(config), SETTINGS)
    assert bounds(robot)["gripper.pos"] == (-65, 0)
    assert robot.units["joint_1.pos"] == "degrees" and robot.units["joint_1.torque"] is None
