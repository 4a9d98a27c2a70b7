"""Robots, simulators and LeRobot's robots behind one interface."""

from toyflow.robot.runtime.robots.base import Robot, RobotSettings, display_name
from toyflow.robot.runtime.robots.robot_opening import open_robot, robot_names, simulator_of

__all__ = ["Robot", "RobotSettings", "display_name", "open_robot", "robot_names", "simulator_of"]
