"""Statistics of relative actions, over all chunks of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from toyflow.robot.data.data_set import DataSet

MOST_ACTIONS = 4_000_000
"""Where chunks have more actions than this together, evenly spread frames stand for all."""


def chunk_statistics(
    data: DataSet, frames: Int64[Tensor, "frames"], horizon: int, relative: Sequence[int]
) -> dict[str, list[float]]:
    """Mean, std and the quantiles q01 and q99 of the actions of the chunks that begin at these frames, as a
    policy learns them: relative to the state of their first frame in the numbers `relative`. Repetitions past
    an episode's end do not count, as they have no weight in training. (LeRobot's
    `compute_relative_action_stats` leaves out chunks that an episode's end cuts off.)

    Returns:
        One number per dimension of the action, by name, as `DataSet.statistics_of`.
    """
    every = max(1, -(-len(frames) * horizon // MOST_ACTIONS))
    chunks = data.chunks(frames[::every], horizon)
    numbers = list(relative)
    actions = chunks.actions.clone()
    actions[..., numbers] -= chunks.state[:, None, numbers]
    kept = actions[~chunks.is_pad].numpy()
    found: dict[str, list[float]] = {"mean": [], "std": [], "q01": [], "q99": []}
    for number in range(kept.shape[1]):
        values = kept[:, number].astype(float)
        low, high = np.quantile(values, [0.01, 0.99])
        for name, value in zip(found, (values.mean(), values.std(), low, high), strict=True):
            found[name].append(float(value))
    return found
