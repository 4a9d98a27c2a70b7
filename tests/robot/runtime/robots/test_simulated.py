"""Simulators as robots."""

import numpy as np
import pytest
from robot.points import Points

from toyflow.plugins import available
from toyflow.robot.interface import Interface
from toyflow.robot.runtime.robots.base import RobotSettings
from toyflow.robot.runtime.robots.simulated import SimulatedRobot
from toyflow.robot.simulation.environment import load_environment


@pytest.mark.parametrize("name", sorted(available("environments")))
def test_an_environment_names_all_numbers_of_its_action_or_none(name):
    environment = load_environment(name)
    names = environment.action_names
    assert len(set(names)) == len(names)
    assert len(names) in (0, environment.interface.action_dim)


def test_libero_and_aloha_name_them():
    libero, aloha = (load_environment(name).action_names for name in ("libero", "aloha"))
    assert libero == ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    assert aloha[2] == "left_elbow" and aloha[6] == "left_gripper" and aloha[7] == "right_waist"


def test_a_robot_has_its_environments_names(monkeypatch):
    settings = RobotSettings(Interface(("front",), 4, 2, 10), suite="points", task=0)
    assert SimulatedRobot.of("points", settings).action_names == ()
    monkeypatch.setattr(Points, "action_names", ("right", "up"))
    assert SimulatedRobot.of("points", settings).action_names == ("right", "up")


def test_a_robot_is_limited_by_its_environments_bounds(monkeypatch):
    settings = RobotSettings(Interface(("front",), 4, 2, 10), suite="points", task=0)
    limits = SimulatedRobot.of("points", settings).limits
    np.testing.assert_array_equal(np.array([limits.lower, limits.upper], float), [[-1, -1], [1, 1]])
    assert limits.step is not None and np.isinf(limits.step).all()
    monkeypatch.setattr(Points, "action_bounds", ((-2.6, 0.0), (3.1, 1.0)))
    monkeypatch.setattr(Points, "absolute", True)
    limits = SimulatedRobot.of("points", settings).limits
    np.testing.assert_array_equal(np.array([limits.lower, limits.upper], float), [[-2.6, 0], [3.1, 1]])
    assert limits.step is None
