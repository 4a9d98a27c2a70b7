"""Which demonstrations of a data set train a policy, and which are held out: never trained on, so that its
answers there can be called a test."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.optionset import OptionSet, number, text
from toyflow.robot.data.data_set import DataSet


@dataclass(frozen=True)
class Demonstrations(OptionSet):
    """What a policy is trained on.

    Attributes:
        dataset: where the data set is. Records hold its fingerprint instead, so that it may be moved or
            renamed; details of results name it by `short_name`.
        hold_out: share of its episodes that is kept out of training, see `held_out_episodes`.
        rename: features that are read under other names, see `parse_renaming`. Like `dataset`, it is told to
            records by the fingerprint, which is that of a data set that has the new names.
    """

    dataset: str = text("", "a LeRobot data set: a folder, or a name on the hub")
    hold_out: float = number(0.0, low=0, high=0.9, added=True)
    rename: str = text("", "features under other names: state=observation.state+actions=action", added=True)


FEWEST = 2
"""Fewest episodes to hold out, and to train on: a probe's intervals are over episodes."""


def held_out_episodes(episodes: int, share: float) -> list[int]:
    """The episodes of a data set that are kept out of training: `share` of them, rounded, and at least
    `FEWEST`.

    A fixed permutation chooses them, whatever the training seed, and a larger share holds out those of a
    smaller one as well.

    Args:
        episodes: number of episodes of the data set.
        share: from 0, which holds out none, to below 1.

    Raises:
        UsageError: fewer than `FEWEST` episodes would be left to train on.

    >>> held_out_episodes(10, 0.1), held_out_episodes(10, 0.3)
    ([5, 6], [5, 6, 1])
    """
    if not share:
        return []
    count = max(FEWEST, round(share * episodes))
    if episodes - count < FEWEST:
        raise UsageError(
            f"holding out {count} of {episodes} episodes leaves {max(0, episodes - count)} to train on, and "
            f"either part needs {FEWEST}: record more, or leave hold-out at 0."
        )
    order = torch.randperm(episodes, generator=torch.Generator().manual_seed(1))
    return order[:count].tolist()


def training_frames(data: DataSet, share: float) -> Int64[Tensor, "frames"]:
    """The frames that train, in order: those of all episodes but `held_out_episodes`."""
    kept = torch.tensor(held_out_episodes(data.episodes, share), dtype=torch.long)
    return (~torch.isin(data.episode_numbers, kept)).nonzero()[:, 0]
