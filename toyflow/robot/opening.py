"""From a cell of a results folder to what acts: one of our own policies, or LeRobot's."""

from __future__ import annotations

import torch

from toyflow.robot.lerobot.imported import open_imported
from toyflow.robot.planner import Planner
from toyflow.robot.policy.checkpoint import load_policy
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.sweep.store import StoredTraining


def open_planner(training: StoredTraining, device: torch.device) -> Planner:
    """A trained policy, or one imported from LeRobot, ready to act in one step; `set_num_steps` changes that.

    Raises:
        UsageError: the cell is no policy, or cannot be loaded here.
        DamagedError: its weights are missing or altered.
    """
    if "imported" in training.details and "policy" not in training.details:
        return open_imported(training, device)
    policy, objective = load_policy(training)
    return FlowPlanner(policy.to(device), objective)
