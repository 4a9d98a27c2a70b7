"""A policy by what a user calls it, ready to act: a cell of a results folder, or a LeRobot policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from toyflow.cli.robot_runs import is_cell, renamed
from toyflow.errors import UsageError
from toyflow.machine import choose_device, cores
from toyflow.robot.checkpoint import find_checkpoint
from toyflow.robot.planners import Planner, open_planner
from toyflow.robot.planners.lerobot import LeRobotCheckpoint, LeRobotPlanner
from toyflow.sweep.store import Store


class OpenedPolicy(NamedTuple):
    """A planner, and what is known of it."""

    planner: Planner
    details: Mapping[str, Any]
    """Of its training, as recorded; nothing of a LeRobot policy."""
    evaluated: tuple[int, ...]
    """Numbers of steps K in which it was evaluated."""

    def warning(self, steps: int) -> str | None:
        """What to say before it acts in `steps` steps, if it was evaluated, and never in these."""
        if not self.evaluated or steps in self.evaluated:
            return None
        return (
            f"this policy was never evaluated in {steps} steps, but in {', '.join(map(str, self.evaluated))}."
        )


def open_policy(checkpoint: str, device: str, threads: int | None, rename: str | None) -> OpenedPolicy:
    """The policy `checkpoint`: a folder OUT/cells/KEY, or a LeRobot policy's folder or name on the hub.

    Args:
        threads: of the policy; None leaves one processor to the loop that it acts in.
        rename: of a LeRobot policy: its cameras as the robot calls them, `front=image,wrist=image2`.

    Raises:
        UsageError: there is no such policy, or it cannot be loaded here.
    """
    torch.set_num_threads(threads or max(1, cores() - 1))
    on, cameras = torch.device(choose_device(device)), renamed(rename)
    lerobot = None if is_cell(checkpoint) else LeRobotCheckpoint.found(checkpoint)
    if lerobot:
        return OpenedPolicy(LeRobotPlanner(lerobot, on, cameras), {}, ())
    if cameras:
        raise UsageError("--rename is for LeRobot policies; this one calls its cameras as its data do.")
    training = find_checkpoint(Path(checkpoint))
    evaluations = Store(training.folder.parent.parent).evaluations(training)
    evaluated = sorted({evaluation.record.steps for evaluation in evaluations})
    return OpenedPolicy(open_planner(training, on), training.details, tuple(evaluated))
