"""What is committed of each chunk, as tensors with the weights of `soft_mask`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from toyflow.flow import Known, soft_mask
from toyflow.robot.planner import Commitment


def known_actions(committed: Sequence[Commitment | None], horizon: int, dims: int) -> Known:
    """The first `horizon` actions that are committed, in the robot's units; 0 where none is, with weight 0.

    Args:
        committed: one per row; None where nothing is.
        dims: numbers of an action.

    Raises:
        UsageError: actions of another size, or some that are not finite.

    Example:
        >>> import numpy as np
        >>> from toyflow.robot.planner import Commitment
        >>> left = Commitment(np.ones((3, 2), np.float32), frozen=1)
        >>> known = known_actions([left, None], horizon=4, dims=2)
        >>> known.values[0, :, 0].tolist(), known.frozen[0].tolist(), known.weight[1].tolist()
        ([1.0, 1.0, 1.0, 0.0], [True, False, False, False], [0.0, 0.0, 0.0, 0.0])
    """
    values, weight = torch.zeros(len(committed), horizon, dims), torch.zeros(len(committed), horizon)
    for row, left in enumerate(committed):
        if left is not None:
            left.check(dims)
            part = torch.from_numpy(left.actions[:horizon])
            values[row, : len(part)] = part
            weight[row] = soft_mask(left.frozen, len(part), horizon)
    return Known(values, weight)
