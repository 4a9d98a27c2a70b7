"""Two YAM arms of I2RT at a table, in MuJoCo: the station (`station.py`) and its tasks, each a file.
The model files come from the package registry (`toyflow robot-setup yam`)."""

from toyflow.robot.simulation.environments.yam.yam_environment import Yam, YamState

__all__ = ["Yam", "YamState"]
