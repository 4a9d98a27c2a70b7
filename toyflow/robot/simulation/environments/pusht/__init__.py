"""Push-T: a round agent pushes a T-shaped block onto its target, in gym-pusht's simulator (Chi et al.,
2303.04137)."""

from toyflow.robot.simulation.environments.pusht.pusht_environment import PushT, PushTState

__all__ = ["PushT", "PushTState"]
