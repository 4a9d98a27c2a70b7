"""Arms that fall and drivers that ask, through LeRobot's registry: two YAM arms, of which there is a twin."""

import sys
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lerobot")

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.limits_file import find_limits
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.setup import check_moves, take_shipped
from toyflow.robot.runtime.robots import RobotSettings, driver_calls
from toyflow.robot.runtime.robots.driver_calls import answerless, call_bounded
from toyflow.robot.runtime.robots.lerobot import LeRobotRobot
from toyflow.robot.runtime.robots.lerobot_config import ENTER_SWITCH, switches, values, why_not_made
from toyflow.robot.runtime.robots.motor_units import motor_ranges

POLICY = Interface(("top", "left", "right"), state_dim=14, action_dim=14, fps=50)


@pytest.fixture
def opened(yam_twin, tmp_path):
    """Opens the twin with options, by default one that may move."""

    def open_twin(**options: str) -> LeRobotRobot:
        chosen = {"calibration_dir": str(tmp_path), "read_only": "false", **options}
        return LeRobotRobot.open(RobotSettings(POLICY, "bi_yam_follower", prompt="go", options=chosen))

    return open_twin


def does(robot: LeRobotRobot) -> list[str]:
    return [what for what, _ in robot.device.did]


def test_joints_are_counted_in_radians_within_the_driver_s_limits(opened, yam_twin):
    robot = opened()
    assert robot.interface == Interface(POLICY.cameras, 14, 14, fps=0)
    assert robot.action_names == yam_twin.NAMES
    assert robot.units["left_joint_0.pos"] == "radians" and robot.units["right_gripper.pos"] == "0..1"
    np.testing.assert_array_equal(robot.limits.lower, yam_twin.LOWER)
    np.testing.assert_array_equal(robot.limits.upper, yam_twin.UPPER)
    steps = robot.limits.completed(50).step
    assert steps is not None and steps.max() < 0.12  # of 5.8 rad in a second


def test_a_driver_that_states_no_limits_gets_none():
    names = [f"left_joint_{k}.pos" for k in range(6)]
    device = SimpleNamespace(name="bi_yam_follower", config=None)
    for name, (unit, *ends) in motor_ranges(device, names).items():
        assert unit == "radians" and np.isnan(ends).all(), name
    other = SimpleNamespace(name="another", config=None)
    assert {unit for unit, *_ in motor_ranges(other, names).values()} == {None}


def test_a_session_for_calibrating_is_not_taken_for_a_connection(opened):
    robot = opened()
    robot.connect()
    assert does(robot) == ["session", "disconnected", "torque on"]
    assert set(robot.observe().images) == {"top", "left", "right"}
    with pytest.raises(ToyflowError, match=r"^[^\n]*is not calibrated: run lerobot-calibrate first\.$"):
        opened(calibrated="false").connect()


def test_one_that_cannot_be_observed_either_way_is_one_line(opened):
    robot = opened(camera_silent_at="1")
    with pytest.raises(ToyflowError, match=r"^lerobot:bi_yam_follower cannot be observed: Timed out waiting"):
        robot.connect()
    assert does(robot) == ["session", "disconnected", "torque on"]


def test_a_remote_robot_that_is_asked_nothing_about_calibrating(opened):
    robot = opened()
    connect = robot.device.connect
    robot.device.connect = lambda: connect()
    robot.connect()
    assert does(robot) == ["torque on"]


def test_a_bus_that_is_not_there_is_one_line(opened):
    with pytest.raises(ToyflowError, match=r"^lerobot:bi_yam_follower does not answer: .*No such device$"):
        opened(**{"left_arm.port": "nowhere"}).connect()


def test_what_is_read_only_moves_in_a_dry_run_alone(opened):
    robot = opened(read_only="true")
    assert robot.read_only and not robot.falls
    check_moves(robot, dry_run=True)
    with pytest.raises(UsageError, match=r"read-only, as its configuration says: --set read_only=false"):
        check_moves(robot, dry_run=False)
    check_moves(opened(), dry_run=False)
    assert opened().falls


def test_arms_fall_unless_a_switch_of_their_driver_is_off(opened):
    @dataclass
    class Arm:
        disable_torque_on_disconnect: bool = False

    @dataclass
    class Arms:
        left: Arm = field(default_factory=Arm)
        right: Arm = field(default_factory=Arm)

    robot = opened()
    assert not robot._may_fall(Arms()) and robot._may_fall(Arms(right=Arm(True)))
    robot.action_names = ("x.vel", "theta.vel")
    assert not robot._may_fall(None)


def test_a_position_is_held_by_sending_it_again(opened, yam_twin, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(yam_twin.time, "monotonic", lambda: now[0])
    target = np.array([0, 0.01, 0.01, 0, 0, 0, 1] * 2)
    heights = {}
    for holds in (False, True):
        robot = opened()
        robot.device.now = lambda: now[0]
        robot.connect()
        robot.send(target)
        for _ in range(500):
            now[0] += 0.02
            if holds:
                np.testing.assert_array_equal(robot.hold(), target)
        heights[holds] = robot.observe().state[1]
        robot.disconnect()
    assert heights[True] == pytest.approx(0.01, abs=1e-3)
    assert heights[False] == 0  # 9 s of silence


def test_joints_seen_just_beyond_a_bound_are_held_at_the_bound(opened):
    robot = opened()
    robot.connect()
    robot.device.position[1] = -0.02  # as measured on a folded arm; the driver refuses targets below 0
    robot.observe()
    assert robot.still()[1] == 0
    robot.hold()
    slow = np.full(14, 0.006)
    gate = Gate(robot, robot.limits.within(Limits(step=slow)).completed(50), Patience(), 50)
    gate.begin(robot.still(), 0.0)
    gate.send(np.full(14, 0.5), 0.0)
    assert does(robot)[-2:] == ["sent", "sent"] and robot.device.did[-1][1][1] == pytest.approx(0.006)
    robot.device.position[1] = -0.5  # that is no noise
    robot.observe()
    assert robot.still()[1] == pytest.approx(-0.5, abs=0.05)


def test_shipped_limits_become_the_robot_s_and_are_refused_on_other_joints(opened, yam_twin):
    robot = opened()
    robot.limits = Limits()
    assert take_shipped(robot, find_limits("yam")) is None
    np.testing.assert_array_equal(robot.limits.lower, yam_twin.LOWER)
    np.testing.assert_array_equal(robot.limits.upper, yam_twin.UPPER)
    assert robot.limits.completed(50).step is not None
    assert take_shipped(robot, find_limits("yam-slow")) is None
    slow = robot.limits.completed(50)
    assert slow.step is not None and slow.step.tolist() == ([0.006] * 6 + [0.01]) * 2
    with pytest.raises(
        UsageError, match=r"^yam-follower: lower is for other joints: it has shoulder_pan\.pos"
    ):
        take_shipped(robot, find_limits("yam-follower"))
    with pytest.raises(UsageError, match=r"unknown limits, and no file, 'yma'\. Did you mean 'yam'\?"):
        find_limits("yma")


def test_a_question_that_nobody_can_answer_is_one_line(opened, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    robot = opened()
    robot.device.connect = lambda calibrate: robot.device.calibrate()
    with pytest.raises(ToyflowError, match=r"^lerobot:bi_yam_follower, being connected, waits for ENTER"):
        robot.connect()
    assert isinstance(sys.stdin, SimpleNamespace)
    with pytest.raises(ToyflowError, match="waits for ENTER"), answerless("it"):
        input()


def test_a_driver_that_waits_for_ever_is_left_after_a_while(opened, monkeypatch):
    monkeypatch.setattr(driver_calls, "is_attended", lambda: False)
    started = time.monotonic()
    with pytest.raises(ToyflowError, match=r"^it has not returned after 0\.1 s; it may wait for an ENTER"):
        call_bounded(lambda: time.sleep(5), "it", seconds=0.1)
    assert time.monotonic() - started < 4

    def fails() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        call_bounded(fails, "it")
    with pytest.raises(ToyflowError, match="waits for ENTER"):
        call_bounded(input, "it")


@pytest.fixture
def station():
    """The simulated station, where this machine has it."""
    pytest.importorskip("mujoco")
    from toyflow.robot.simulation.environments.yam.model_files import station_file

    try:
        return station_file()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("lifted", "drop"), [(False, 0.17), (True, 0.34)])
def test_arms_with_weight_follow_and_fall(opened, station, lifted, drop):
    robot = opened(station="true")
    now = [0.0]
    robot.device.now = lambda: now[0]
    robot.connect()
    np.testing.assert_allclose(robot.observe().state[[*range(6), *range(7, 13)]], 0, atol=0.05)
    target = robot.still()
    if lifted:
        target[[1, 2, 8, 9]] = 1.0, 0.9, 1.0, 0.9
    for _ in range(300):
        now[0] += 0.02
        robot.send(target)
    np.testing.assert_allclose(robot.observe().state, target, atol=0.1)
    robot.disconnect()
    assert robot.device.dropped == pytest.approx(drop, abs=0.03)  # folded, the hands still droop to the table


@dataclass
class OneArm:
    """Options as those of lerobot-robot-yam."""

    shutdown_zero_gravity_wait_for_enter: bool = True
    read_only: bool = False


def test_switches_of_drivers_that_wait_are_found():
    assert list(switches(OneArm, ENTER_SWITCH)) == ["shutdown_zero_gravity_wait_for_enter"]
    assert list(values(OneArm(), "shutdown_zero_gravity_wait_for_enter")) == [True]


def test_lerobot_s_reasons_are_one_line(monkeypatch):
    config = OneArm()
    error = ValueError("Error creating robot with config OneArm(...all of it...)")
    error.__cause__ = ValueError("Could not locate device class\nand more")
    assert why_not_made(config, error) == "Could not locate device class"

    def missing(name):
        raise ModuleNotFoundError("No module named 'can'", name="can")

    monkeypatch.setattr("importlib.import_module", missing)
    assert "pip install 'lerobot[damiao]'" in why_not_made(config, error)


def test_the_plug_in_for_one_arm(monkeypatch, tmp_path):
    pytest.importorskip("lerobot_robot_yam")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    options = {"port": "can9", "calibration_dir": str(tmp_path)}
    robot = LeRobotRobot.open(RobotSettings(POLICY, "yam_follower", options=options))
    assert robot.units["shoulder_pan.pos"] == "-100..100" and robot.units["gripper.pos"] == "0..100"
    assert robot.falls and not robot.device.config.shutdown_zero_gravity_wait_for_enter
    assert take_shipped(robot, find_limits("yam-follower")) is None
    with pytest.raises(ToyflowError, match=r"^lerobot:yam_follower does not answer: "):
        robot.connect()
