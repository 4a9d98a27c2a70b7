"""Limits of actions: where they come from, and what follows from them."""

from dataclasses import replace

import numpy as np
import pytest

from toyflow.errors import UsageError
from toyflow.robot.limits import Limits

RATE = 10.0


def test_at_another_rate_the_motion_per_second_stays():
    data = Limits(np.full(2, -9.0), np.full(2, 9.0), np.full(2, 0.2))
    found = data.resampled(10, 20).completed(20).as_dict()
    assert found["step"] == [0.1, 0.1] and found["velocity"] == data.completed(10).as_dict()["velocity"]
    assert Limits().resampled(10, 20) == Limits()


def test_limits_come_from_the_file_then_the_robot_then_the_data_then_follow():
    own, robot = Limits(step=np.array([0.1, 0.2])), Limits(lower=np.full(2, -1.0), upper=np.full(2, 1.0))
    data = Limits(np.full(2, -9.0), np.full(2, 9.0), np.full(2, 9.0))
    found = own.or_else(robot).or_else(data).completed(RATE)
    assert found.as_dict() == {
        "lower": [-1, -1], "upper": [1, 1], "step": [0.1, 0.2], "velocity": [2, 4],
        "jerk": pytest.approx([300, 600]),
    }  # fmt: skip
    assert robot.completed(RATE).as_dict()["step"] == [0.2, 0.2]
    with pytest.raises(UsageError, match="--limits FILE"):
        own.completed(RATE)


def test_limits_that_cannot_be_together_are_said():
    robot = Limits(lower=np.full(2, -1.0), upper=np.array([1.0, 20.0]))
    with pytest.raises(
        UsageError, match=r"^limits of gripper contradict each other: lower 30 > upper 20, [^\n]*$"
    ):
        Limits(lower=np.array([0.0, 30.0])).or_else(robot).completed(RATE, ("shoulder", "gripper"))
    with pytest.raises(UsageError, match=r"^step of 1 must be 0 or more"):
        replace(robot, step=np.array([0.1, -0.1])).completed(RATE)
    with pytest.raises(UsageError, match=r"^acceleration of 0 must be 0 or more"):
        replace(robot, acceleration=np.array([-1.0, 1.0])).completed(RATE)


def test_what_one_dimension_lacks_another_source_says():
    motors = Limits(np.array([-100.0, np.nan, 0.0]), np.array([100.0, np.nan, 100.0]))
    data = Limits(np.array([-30.0, -0.2, -5]), np.array([120.0, 0.2, 40]), np.array([1.0, np.nan, 2]))
    both = motors.within(data).completed(RATE).as_dict()
    assert (both["lower"], both["upper"]) == ([-30, -0.2, 0], [100, 0.2, 40])
    assert both["step"] == pytest.approx([1, 0.04, 2])
    with pytest.raises(
        UsageError, match=r"^neither the robot nor the policy says between which values x\.vel may move, "
        r"[^\n]*--limits-from DATASET[^\n]*--limits FILE[^\n]*robot-limits[^\n]*$",
    ):  # fmt: skip
        motors.completed(RATE, ("arm.pos", "x.vel", "gripper.pos"))
    with pytest.raises(UsageError, match=r"which values a, b, c, d and 2 more may move"):
        Limits().completed(RATE, tuple("abcdef"))


def test_of_robot_and_data_the_narrower_limits_hold():
    robot = Limits(lower=np.array([-100.0, 0]), upper=np.array([100.0, 100]), velocity=np.array([5.0, 5]))
    data = Limits(np.array([-30.0, -5]), np.array([120.0, 40]), np.array([1.0, 2]))
    assert robot.within(data).as_dict() == data.within(robot).as_dict() == {
        "lower": [-30, 0], "upper": [100, 40], "step": [1, 2], "velocity": [5, 5], "jerk": None,
    }  # fmt: skip


def test_limits_of_the_training_data():
    normal = {"action": {"centre": [1.0, 0.0], "scale": [2.0, 0.0]}}
    by_spread = Limits.of_data({"normalisation": normal})
    assert by_spread.as_dict()["lower"] == [-9, 0] and by_spread.as_dict()["step"] == [8, 0]
    motion = {"lower": [0.0, 1.0], "upper": [10.0, 1.0], "step": [2.0, 0.0]}
    by_motion = Limits.of_data({"normalisation": normal, "motion": motion}).as_dict()
    assert (by_motion["lower"], by_motion["upper"], by_motion["step"]) == ([-1, 1], [11, 1], [3, 0])
    assert Limits.of_data({}) == Limits()
    ranges = {"statistics": {"min": [0.0, 1.0], "max": [10.0, 1.0]}}
    by_range = Limits.of_data(ranges).as_dict()
    assert (by_range["lower"], by_range["upper"], by_range["step"]) == ([-1, 1], [11, 1], None)
