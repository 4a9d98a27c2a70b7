"""Two arms in MuJoCo that hand a cube over: the scene of `gym-aloha` (Zhao et al., RSS 2023)."""

from toyflow.robot.simulation.environments.aloha.aloha_environment import Aloha, AlohaState

__all__ = ["Aloha", "AlohaState"]
