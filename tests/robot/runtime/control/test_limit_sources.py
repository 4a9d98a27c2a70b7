"""Limits from demonstrations and from other people's checkpoints, and units that do not fit."""

import re

import numpy as np
import pytest
from robot.runtime.robots.fakes import FakeRobot

pytest.importorskip("lerobot")

from robot.lerobot_policies import save_act

from toyflow.errors import UsageError
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.control import limits_template
from toyflow.robot.runtime.control.limit_sources import check_same_names, check_same_units, limits_lines
from toyflow.robot.runtime.control.limits_file import find_limits, read_limits

JOINTS = ("shoulder", "elbow")


def arm(lower=(-1.0, -1.0), upper=(1.0, 1.0), **units) -> FakeRobot:
    robot = FakeRobot(stepped=False)
    robot.limits, robot.units = Limits(np.array(lower), np.array(upper)), units
    return robot


def moved(lower, upper) -> dict:
    return {"motion": {"lower": lower, "upper": upper, "step": [0.1, 0.1]}}


def test_actions_beyond_the_robots_bounds_are_in_other_units():
    check_same_units(arm(), moved([-1.1, 0.0], [1.1, 0.5]), Limits(), "data")
    with pytest.raises(
        UsageError,
        match=r"^elbow goes from -65 to 0 in data, and from 0 to 100 on fake \(0\.\.100\): they count in "
        r"different units[^\n]*--limits FILE\.$",
    ):
        check_same_units(
            arm((-100.0, 0.0), (100.0, 100.0), elbow="0..100"),
            {"statistics": {"min": [-50.0, -65.0], "max": [50.0, 0.0]}}, Limits(), "data",
        )  # fmt: skip
    apart = moved([5.0, 0.0], [5.0, 0.0])
    with pytest.raises(UsageError, match="shoulder goes from 5 to 5"):
        check_same_units(arm(), apart, Limits(), "data")
    known = Limits(np.array([-9.0, -9]), np.array([9.0, 9]))
    check_same_units(arm(), apart, known, "data")  # the user's file says them
    check_same_units(arm((np.nan, np.nan), (np.nan, np.nan)), apart, Limits(), "data")
    check_same_units(FakeRobot(), apart, Limits(), "data")  # a simulator


def test_a_data_set_has_the_robots_numbers_in_the_robots_order():
    assert (
        check_same_names(arm(), JOINTS, "d") == check_same_names(arm(), ("action_0", "action_1"), "d") == []
    )
    [warning] = check_same_names(arm(), ("shoulder", "main_elbow"), "d")
    assert "taken in their order: elbow = main_elbow" in warning
    for names, said in (
        (JOINTS[::-1], "in the order elbow, shoulder, fake in the order"),
        ("abc", "of 3 numbers"),
    ):
        with pytest.raises(UsageError, match=said):
            check_same_names(arm(), tuple(names), "d")


def test_actions_of_other_joints_are_refused_unless_the_user_names_their_limits():
    aloha = ("left_waist", "left_forearm_roll")
    with pytest.raises(
        UsageError, match=r"^the policy's training data is of other joints than fake: shoulder"
    ):
        check_same_names(arm(), aloha, "the policy's training data")
    [warning] = check_same_names(arm(), aloha, "data set d", trusted=True)
    assert "taken in their order: shoulder = left_waist, elbow = left_forearm_roll" in warning


def test_radians_are_not_sent_where_degrees_or_shares_are_counted():
    fine = {"motion": {"lower": [-1.5, -0.2, -3.1, 0.0], "upper": [1.5, 3.1, 0.0, 1.0], "step": [1.0] * 4}}
    robot = arm([-100.0] * 3 + [0.0], [100.0] * 4)
    robot.action_names, shares = ("a", "b", "c", "gripper"), dict.fromkeys("abc", "-100..100")
    robot.units = shares
    with pytest.raises(
        UsageError, match=r"^all joints lie within 6\.28 of 0 in data, as radians do, and fake"
    ):
        check_same_units(robot, fine, Limits(), "data")
    check_same_units(
        robot, fine, Limits(np.full(4, -9.0), np.full(4, 9.0)), "data"
    )  # the user answers for it
    robot.units = dict.fromkeys("abc", "radians")
    check_same_units(robot, fine, Limits(), "data")
    robot.units = {**dict.fromkeys("abc", "radians"), "gripper": "0..100"}
    with pytest.raises(UsageError, match=r"^gripper goes from 0 to 1 in data, and from 0 to 100 on fake\."):
        check_same_units(robot, fine, Limits(), "data")
    fine["motion"]["upper"][3] = 80.0
    check_same_units(robot, fine, Limits(), "data")


def test_shares_of_a_joints_range_are_not_sent_where_degrees_are_counted():
    """LeKiwi's data of LeRobot 0.4 are in -100..100, and with 0.6 it drives in degrees."""
    shares = {"motion": {"lower": [-100.0, -31.2], "upper": [64.8, 99.1], "step": [1.0] * 2}}
    robot = arm([-180.0] * 2, [180.0] * 2, shoulder="degrees", elbow="degrees")
    with pytest.raises(
        UsageError,
        match=r"^no joint goes beyond 100 in data, and shoulder ends exactly there, as in -100\.\.100, and "
        r"fake counts degrees: [^\n]*--set use_degrees=false[^\n]*--limits FILE\.$",
    ):
        check_same_units(robot, shares, Limits(), "data")
    known = Limits(np.full(2, -180.0), np.full(2, 180.0))
    check_same_units(robot, shares, known, "data")  # the user answers for it
    for lower, upper in (([-99.9, -31.2], [64.8, 99.1]), ([-100.0, -31.2], [64.8, 131.0])):
        check_same_units(robot, moved(lower, upper), Limits(), "data")  # degrees, or nobody can tell
    robot.units = {"shoulder": "degrees", "elbow": "0..100"}  # a gripper opens to 100 in either
    check_same_units(robot, moved([-80.0, 0.0], [80.0, 100.0]), Limits(), "data")


def test_degrees_are_not_sent_where_shares_of_a_joints_range_are_counted():
    robot = arm([-100.0] * 2, [100.0] * 2, shoulder="-100..100", elbow="-100..100")
    with pytest.raises(
        UsageError,
        match=r"^elbow goes from -31\.2 to 131 in data, and fake clips it to -100\.\.100: "
        r"[^\n]*--set use_degrees=true[^\n]*--limits FILE\.$",
    ):
        check_same_units(robot, moved([-90.0, -31.2], [64.8, 131.0]), Limits(), "data")
    check_same_units(robot, moved([-100.0, -31.2], [64.8, 100.0]), Limits(), "data")


def test_what_is_known_of_units_and_limits_is_said(tmp_path):
    robot = arm(shoulder="degrees", elbow=None)
    units, limits = limits_lines(robot, moved([0, 0], [1, 1]), "data set d", tmp_path)
    assert units == "units: degrees (shoulder); unknown (elbow)"
    assert limits == (
        f"limits: of {tmp_path}, else the narrower of fake's own and those of data set d (the actions' range "
        "and 10% of it, 1.5 x their largest step)"
    )
    shipped = limits_lines(robot, moved([0, 0], [1, 1]), "data set d", find_limits("yam"))[-1]
    assert shipped.startswith(
        "limits: the narrower of fake's own (yam, which toyflow ships) and those of data"
    )
    robot.limits = Limits(np.full(2, np.nan), np.full(2, np.nan))
    assert limits_lines(robot, {}, "data set d", None)[-1] == "limits: unknown"
    assert limits_lines(FakeRobot(), {}, "data set d", None) == []


def test_other_peoples_checkpoints_know_the_range_of_their_actions(tmp_path):
    checkpoint = LeRobotCheckpoint("act", save_act(tmp_path / "act"))
    assert checkpoint.action_ranges() == {"statistics": {"min": [-1, -1], "max": [1, 1]}}
    file = tmp_path / "act" / "policy_postprocessor.json"
    file.write_text(file.read_text().replace("device_processor", "absolute_actions_processor"))
    assert checkpoint.action_ranges() == {}  # what is scaled is not what is sent
    file.write_text("{}")
    with pytest.raises(UsageError, match=r"policy_postprocessor\.json cannot be read"):
        checkpoint.action_ranges()
    file.unlink()
    assert checkpoint.action_ranges() == {}


def test_a_limits_file_is_written_from_demonstrations_and_read_again(toyflow, small):
    done = toyflow("robot-limits", str(small[0]), "--out", "arm.toml")
    assert done.returncode == 0, done.stderr
    file = toyflow.folder / "arm.toml"
    data = open_data_set(str(small[0]))
    limits, _ = read_limits(file, data.action_names)
    expected = Limits.of_data({"motion": data.motion()})
    for kind in ("lower", "upper", "step"):
        np.testing.assert_allclose(getattr(limits, kind), getattr(expected, kind), rtol=1e-4)
    assert limits.jerk is None and "unit unknown" in file.read_text()
    file.write_text(re.sub(r"(?m)^# (\w+ = \[|    .*|\])$", r"\1", file.read_text()))
    jerk = read_limits(toyflow.folder / "arm.toml", ("shoulder", "elbow"))[0].jerk  # the data has no names
    actions = [made.trajectory.action for made in small[1]]
    largest = max(np.abs(np.diff(action, n=3, axis=0)).max() for action in actions) * 10**3
    assert jerk is not None and jerk.max() == pytest.approx(1.5 * largest, rel=1e-3)
    again = toyflow("robot-limits", str(small[0]), "--out", "arm.toml")
    assert again.returncode == 2 and "exists, and may have been edited" in again.stderr
    assert "lower = [" in toyflow("robot-limits", str(small[0])).stdout


def test_names_of_the_data_are_those_of_the_file_where_they_are_names():
    tell, notes = limits_template.names_tell_nothing, ["", ""]
    assert tell(["0", "1"]) and tell(["action_0", "action_1"]) and tell(["a", "a"]) and not tell(["a", "b"])
    assert limits_template._table("step", ["a b", "c"], [1.0, 0.0], notes, positive=True) == [
        "[step]", '"a b" = 1', '"c" = inf  # constant in the data'
    ]  # fmt: skip
