"""Through LeRobot's own registry, with a robot that has no hardware."""

import sys

import numpy as np
import pytest

pytest.importorskip("lerobot")

from dataclasses import dataclass, replace
from importlib.metadata import metadata
from types import SimpleNamespace

import lerobot.robots
from lerobot.robots import Robot as Device
from lerobot.robots import RobotConfig
from robot.runtime.robots.motor_sdk import remove_sdk

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.runtime.robots import RobotSettings, open_robot
from toyflow.robot.runtime.robots.lerobot import LeRobotRobot, _is_velocity
from toyflow.robot.runtime.robots.lerobot_config import TORQUE_SWITCH, switches
from toyflow.robot.runtime.robots.motor_packages import EXTRAS, check_motor_packages, missing_package

POLICY = Interface(("image",), state_dim=3, action_dim=3, fps=30)


@RobotConfig.register_subclass("toyflow_fake")
@dataclass
class FakeConfig(RobotConfig):
    port: str = "nowhere"
    calibrated: bool = True
    wheels: bool = False
    answers: bool = True
    blind: bool = False
    depth: bool = False
    disable_torque_on_disconnect: bool = True


class Fake(Device):
    """Two joints, or a joint and a wheel, a gripper and a camera. Positions drift from look to look; if it is
    `blind` it does not see its gripper."""

    config_class, name = FakeConfig, "toyflow_fake"

    def __init__(self, config: FakeConfig) -> None:
        super().__init__(config)
        self.config, self.is_on, self.sent, self.looks = config, False, [], 0
        second = "wheel.vel" if config.wheels else "elbow.pos"
        self.motors = ("shoulder.pos", second, "gripper.pos")

    @property
    def observation_features(self) -> dict:
        depth = {"front_depth": (8, 6, 1)} if self.config.depth else {}
        return {**dict.fromkeys(self._felt, float), "front": (8, 6, 3), **depth}

    @property
    def _felt(self) -> tuple[str, ...]:
        return self.motors[:2] if self.config.blind else self.motors

    @property
    def action_features(self) -> dict:
        return dict.fromkeys(self.motors, float)

    @property
    def is_connected(self) -> bool:
        return self.is_on

    @property
    def is_calibrated(self) -> bool:
        return self.config.calibrated

    def connect(self, calibrate: bool = True) -> None:
        assert not calibrate
        if not self.config.answers:
            raise ConnectionError("no arm at nowhere")
        self.is_on = True

    def calibrate(self) -> None: ...

    def configure(self) -> None: ...

    def get_observation(self) -> dict:
        self.looks += 1
        places = {name: self.looks + place for place, name in enumerate(self._felt)}
        depth = {"front_depth": np.full((8, 6, 1), 700, np.uint16)} if self.config.depth else {}
        return {"front": np.full((8, 6, 3), 7, np.uint8), **depth, **places}

    def send_action(self, action: dict) -> dict:
        self.sent.append(action)
        return action

    def disconnect(self) -> None:
        self.is_on = False


@pytest.fixture(autouse=True)
def known_to_lerobot(monkeypatch):
    """Found by its configuration's class and module, as a plug-in's robot is; this one is here."""
    monkeypatch.setattr(lerobot.robots, "make_robot_from_config", Fake)


def opened(tmp_path, cameras=None, **options: str) -> LeRobotRobot:
    settings = RobotSettings(
        POLICY, prompt="pick it up", cameras=cameras or {"front": "image"},
        options={"calibration_dir": str(tmp_path), **options},
    )  # fmt: skip
    return open_lerobot("toyflow_fake", settings)


def open_lerobot(kind: str, settings: RobotSettings) -> LeRobotRobot:
    """What `open_robot("lerobot:KIND", ...)` does where toyflow's entry points are installed."""
    return LeRobotRobot.open(replace(settings, argument=kind))


def test_its_features_become_an_interface(tmp_path):
    robot = opened(tmp_path)
    assert robot.interface == Interface(("image",), 3, 3, fps=0)
    assert robot.action_names == ("shoulder.pos", "elbow.pos", "gripper.pos")
    assert robot.name == "lerobot:toyflow_fake" and not robot.stepped
    assert robot.device.config.port == "nowhere"
    assert opened(tmp_path, port="/dev/arm").device.config.port == "/dev/arm"


def test_it_sees_and_acts_by_the_names_of_motors(tmp_path):
    robot = opened(tmp_path)
    robot.connect()
    seen = robot.observe()
    assert seen.images["image"].shape == (8, 6, 3) and seen.prompt == "pick it up"
    np.testing.assert_array_equal(seen.state, [2, 3, 4])
    np.testing.assert_array_equal(robot.still(), [2, 3, 4])
    robot.send(np.array([4.0, 5.0, 6.0]))
    robot.hold()
    robot.stop()
    assert robot.device.sent == 3 * [{"shoulder.pos": 4.0, "elbow.pos": 5.0, "gripper.pos": 6.0}]
    robot.disconnect()
    robot.disconnect()
    assert not robot.device.is_on


def test_a_depth_camera_is_left_out_by_name(tmp_path, caplog):
    robot = opened(tmp_path, depth="true")
    [said] = caplog.messages
    assert said == ("lerobot:toyflow_fake: front_depth is not read: no policy can see its shape, (8, 6, 1).")
    assert robot.interface.cameras == ("image",)
    robot.connect()
    assert set(robot.observe().images) == {"image"}


def test_what_moves_by_velocity_is_told_to_stand_still(tmp_path):
    robot = opened(tmp_path, wheels="true")
    robot.connect()
    np.testing.assert_array_equal(robot.hold(), [1, 0, 3])
    assert robot.device.sent == [{"shoulder.pos": 1.0, "wheel.vel": 0.0, "gripper.pos": 3.0}]
    assert robot.units == dict.fromkeys(robot.action_names)


def test_holding_keeps_what_was_sent_last_and_not_what_was_seen(tmp_path):
    robot = opened(tmp_path, wheels="true")
    robot.connect()
    robot.send(np.array([4.0, 0.3, 6.0]))
    robot.observe()
    robot.hold()
    assert robot.device.sent[-1] == {"shoulder.pos": 4.0, "wheel.vel": 0.0, "gripper.pos": 6.0}


def test_wheels_are_stopped_though_a_position_is_unknown(tmp_path):
    robot = opened(tmp_path, wheels="true", blind="true")
    robot.connect()
    robot.stop()
    assert robot.device.sent == [{"shoulder.pos": 1.0, "wheel.vel": 0.0}]


def test_before_it_was_seen_nobody_knows_where_it_is(tmp_path):
    assert np.isnan(opened(tmp_path).still()).all()


def test_motors_stay_on_in_the_end_unless_said_otherwise(tmp_path):
    assert not opened(tmp_path).device.config.disable_torque_on_disconnect
    told = opened(tmp_path, disable_torque_on_disconnect="true")
    assert told.device.config.disable_torque_on_disconnect


def test_motors_of_both_arms_of_lerobot_s_own_too():
    from lerobot.robots.bi_so_follower import BiSOFollowerConfig

    arms = ("left_arm_config", "right_arm_config")
    expected = [f"{arm}.disable_torque_on_disconnect" for arm in arms]
    assert list(switches(BiSOFollowerConfig, TORQUE_SWITCH)) == expected


def test_what_goes_wrong_is_said(tmp_path):
    with pytest.raises(ToyflowError, match="does not answer: no arm at nowhere"):
        opened(tmp_path, answers="false").connect()
    with pytest.raises(ToyflowError, match="is not calibrated: run lerobot-calibrate"):
        opened(tmp_path, calibrated="false").connect()
    with pytest.raises(UsageError, match="unrecognized arguments: --prt=x"):
        opened(tmp_path, prt="x")
    with pytest.raises(UsageError, match="Couldn't parse 'maybe' into a bool"):
        opened(tmp_path, wheels="maybe")
    with pytest.raises(UsageError, match=r"unknown camera of .* 'wrist'. Available: front"):
        opened(tmp_path, cameras={"wrist": "image"})
    with pytest.raises(UsageError, match=r"POLICY=ROBOT, .* the other way round: --rename image=front"):
        RobotSettings(POLICY, cameras={"image": "front"}).renamed(("front",), "it")
    with pytest.raises(UsageError, match=r"it would have two cameras image: front and image\."):
        RobotSettings(POLICY, cameras={"front": "image"}).renamed(("front", "image"), "it")
    with pytest.raises(UsageError, match=r"unknown robot of LeRobot 'so11_follower'.*so101_follower"):
        open_lerobot("so11_follower", RobotSettings(POLICY))


def test_names_that_are_none_are_said():
    with pytest.raises(UsageError, match=r"unknown robot 'nothing'.*points"):
        open_robot("nothing", RobotSettings(POLICY))


def test_names_of_velocities():
    velocities = ("x.vel", "linear.vel", "mobile_base.vx", "mobile_base.vtheta", "base_vy", "wheel_velocity")
    assert all(map(_is_velocity, velocities))
    assert not any(map(_is_velocity, ("elbow.pos", "vx_joint.pos", "wrist.q", "level", "gripper.travel")))


def test_a_mobile_base_stands_still_while_its_arm_stays():
    class Base(Fake):
        motors = ("r_elbow.pos", "mobile_base.vx")

        def __init__(self) -> None:
            self.config, self.is_on, self.sent, self.looks = FakeConfig(), True, [], 0

    robot = LeRobotRobot(Base(), RobotSettings(POLICY))
    robot.observe()
    robot.send(np.array([4.0, 0.3]))
    np.testing.assert_array_equal(robot.hold(), [4, 0])
    assert robot.device.sent[-1] == {"r_elbow.pos": 4.0, "mobile_base.vx": 0.0}


@pytest.mark.parametrize(("kind", "extra"), [("so101_follower", "feetech"), ("koch_follower", "dynamixel")])
def test_a_motor_sdk_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, kind, extra):
    from lerobot.robots.utils import make_robot_from_config

    monkeypatch.setattr(lerobot.robots, "make_robot_from_config", make_robot_from_config)
    for module in ("scservo_sdk", "dynamixel_sdk"):
        remove_sdk(monkeypatch, module)
    options = {"port": "x", "calibration_dir": str(tmp_path)}
    with pytest.raises(UsageError, match=rf"^[^\n]*missing: pip install 'lerobot\[{extra}\]'\.$"):
        open_lerobot(kind, RobotSettings(POLICY, options=options))


def test_a_bus_that_fails_only_when_it_connects_is_named_before(monkeypatch):
    class DamiaoMotorsBus: ...

    arm = SimpleNamespace(bus=DamiaoMotorsBus(), action_features={}, get_observation=lambda: {})
    monkeypatch.setitem(sys.modules, "can", None)
    for device in (arm, SimpleNamespace(left_arm=arm)):
        with pytest.raises(ModuleNotFoundError) as caught:
            check_motor_packages(device)
        assert "lerobot[damiao]" in missing_package(caught.value)


def test_the_extras_are_lerobot_s():
    extras = {name.replace("_", "-") for name in metadata("lerobot").get_all("Provides-Extra") or ()}
    assert {extra.replace("_", "-") for extra in EXTRAS.values()} <= extras
