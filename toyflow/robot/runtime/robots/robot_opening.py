"""Opens robots by their names on the command line."""

from __future__ import annotations

from dataclasses import replace

from toyflow import plugins
from toyflow.errors import unknown
from toyflow.robot.runtime.robots.base import Robot, RobotSettings
from toyflow.robot.runtime.robots.simulated import SimulatedRobot


def robot_names() -> list[str]:
    """Names of all robots that are installed, simulators included."""
    return sorted({*plugins.available("robots"), *plugins.available("environments")})


def simulator_of(name: str) -> str | None:
    """The simulator that `open_robot` opens by this name; None for any other robot."""
    plugin = name.partition(":")[0]
    simulated = plugin in plugins.available("environments") and plugin not in plugins.available("robots")
    return plugin if simulated else None


def open_robot(name: str, settings: RobotSettings) -> Robot:
    """Make the robot `NAME` or `NAME:ARGUMENT`, not yet connected.

    NAME is a plug-in of the entry point group `toyflow.robots`, else a simulator of `toyflow.environments`.

    Raises:
        UsageError: there is no such robot, or it cannot be made of these settings.
    """
    plugin, _, argument = name.partition(":")
    settings = replace(settings, argument=argument)
    if plugin in plugins.available("robots"):
        return plugins.load("robots", plugin).open(settings)
    if plugin in plugins.available("environments"):
        return SimulatedRobot.of(plugin, settings)
    raise unknown("robot", plugin, robot_names())
