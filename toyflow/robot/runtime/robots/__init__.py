"""What actions go to: robots, simulators as robots, and LeRobot's robots behind one interface."""

from toyflow.robot.runtime.robots.base import Robot, RobotSettings, shown
from toyflow.robot.runtime.robots.opening import open_robot, robot_names

__all__ = ["Robot", "RobotSettings", "open_robot", "robot_names", "shown"]
