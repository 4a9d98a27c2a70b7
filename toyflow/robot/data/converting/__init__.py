"""`toyflow robot-data convert`: demonstrations of people in other formats, as LeRobot data sets."""

from toyflow.robot.data.converting.converter import Conversion, convert

__all__ = ["Conversion", "convert"]
