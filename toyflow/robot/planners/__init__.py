"""What acts: toyflow's own policies, and LeRobot's, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toyflow.robot.planners.base import Planner

if TYPE_CHECKING:
    import torch

    from toyflow.sweep.store import StoredTraining

__all__ = ["Planner", "open_planner"]


def open_planner(training: StoredTraining, device: torch.device) -> Planner:
    """A trained policy, or one imported from LeRobot, ready to act in one step; `decode_in` changes that.

    Raises:
        UsageError: the cell is no policy, or cannot be loaded here.
        DamagedError: its weights are missing or altered.
    """
    if "imported" in training.details and "policy" not in training.details:
        from toyflow.robot.imported import open_imported

        return open_imported(training, device)
    from toyflow.robot.checkpoint import load_policy
    from toyflow.robot.planners.flow import FlowPlanner

    policy, objective = load_policy(training)
    return FlowPlanner(policy.to(device), objective)
