"""Simulators as robots."""

import pytest

from toyflow.plugins import available
from toyflow.robot.environment import load_environment
from toyflow.robot.interface import Interface
from toyflow.robot.robots.base import RobotSettings
from toyflow.robot.robots.simulated import SimulatedRobot


@pytest.mark.parametrize("name", sorted(available("environments")))
def test_an_environment_names_all_numbers_of_its_action_or_none(name):
    environment = load_environment(name)
    names = environment.action_names
    assert len(set(names)) == len(names)
    assert len(names) in (0, environment.interface.action_dim)


def test_numbers_without_names_are_counted():
    settings = RobotSettings(Interface((), 4, 2, 10), suite="points", task=0)
    assert SimulatedRobot.of("points", settings).action_names == ("0", "1")
