"""Making demonstrations: a scripted expert acts in a simulator, and a LeRobot data set is written."""

from toyflow.robot.data.demos.demo_maker import DemoReport, make_demos
from toyflow.robot.data.demos.demo_options import DemoOptions
from toyflow.robot.data.demos.expert_check import expert_success

__all__ = ["DemoOptions", "DemoReport", "expert_success", "make_demos"]
