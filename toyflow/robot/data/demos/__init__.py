"""Demonstrations by a scripted expert, as a LeRobot data set."""

from toyflow.robot.data.demos.check import expert_success
from toyflow.robot.data.demos.make import DemoReport, make_demos
from toyflow.robot.data.demos.options import DemoOptions

__all__ = ["DemoOptions", "DemoReport", "expert_success", "make_demos"]
