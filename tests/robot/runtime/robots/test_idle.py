import numpy as np
import pytest

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.idle import IdleRobot

POLICY = Interface(("a", "b"), state_dim=3, action_dim=2, fps=30)


def test_it_has_what_the_policy_was_made_for():
    robot = IdleRobot.open(RobotSettings(POLICY, image_size=8, prompt="go"))
    assert robot.interface == POLICY
    first = robot.observe()
    assert set(first.images) == {"a", "b"} and first.images["a"].shape == (8, 8, 3)
    robot.send(np.array([1.0, 2.0]))
    second = robot.observe()
    np.testing.assert_array_equal(second.state, [1, 2, 0])
    assert (first.images["a"] != second.images["a"]).any()


def test_its_rate():
    assert IdleRobot.open(RobotSettings(POLICY, options={"rate": "100"})).interface.fps == 100
    for options in ({"rate": "fast"}, {"rate": "0"}, {"speed": "1"}):
        with pytest.raises(UsageError, match="takes --set rate=NUMBER"):
            IdleRobot.open(RobotSettings(POLICY, options=options))
