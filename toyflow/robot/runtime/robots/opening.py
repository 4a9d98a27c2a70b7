"""From the name on the command line to a robot."""

from __future__ import annotations

from dataclasses import replace

from toyflow import plugins
from toyflow.errors import unknown
from toyflow.robot.runtime.robots.base import Robot, RobotSettings


def robot_names() -> list[str]:
    """Robots by name, those that are simulators included."""
    return sorted({*plugins.available("robots"), *plugins.available("environments")})


def open_robot(name: str, settings: RobotSettings) -> Robot:
    """The robot called `name`, `NAME` or `NAME:ARGUMENT`: a plug-in of `toyflow.robots`, or else a simulator
    of `toyflow.environments`.

    Raises:
        UsageError: there is none of that name, or it lacks something; in one line.
    """
    plugin, _, argument = name.partition(":")
    settings = replace(settings, argument=argument)
    if plugin in plugins.available("robots"):
        return plugins.load("robots", plugin).open(settings)
    if plugin in plugins.available("environments"):
        from toyflow.robot.runtime.robots.simulated import SimulatedRobot

        return SimulatedRobot.of(plugin, settings)
    raise unknown("robot", plugin, robot_names())
