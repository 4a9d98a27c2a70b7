"""Moments of demonstrations on which a policy can be measured: frames with a whole chunk of actions ahead."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.parsing import listed_ranges
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.interface import Observation


def spread_frames(
    data: DataSet, horizon: int, most: int, episodes: Collection[int] | None = None
) -> Int64[Tensor, "frames"]:
    """Up to `most` evenly spread frames with `horizon` actions ahead.

    Args:
        data: the demonstrations.
        horizon: actions of a chunk; a frame whose episode ends within the chunk is left out.
        most: how many frames at most.
        episodes: numbers of the episodes to take frames of; None for all.

    Raises:
        UsageError: an episode does not exist, or no episode is long enough.
    """
    whole = data.whole(horizon)
    where = f"data set {data.where}"
    if episodes is not None:
        absent = sorted(set(episodes) - set(range(data.episodes)))
        if absent:
            raise UsageError(
                f"{where} has episodes 0 to {data.episodes - 1}, and no episode {listed_ranges(absent)}."
            )
        whole = whole[torch.isin(data.episode_numbers[whole], torch.tensor(sorted(episodes)))]
        where = f"none of the episodes {listed_ranges(sorted(episodes))} of {where}"
    if not len(whole):
        raise UsageError(
            f"{where} has a frame with a whole chunk of {horizon} actions ahead: the episodes are shorter."
            if episodes is not None
            else f"no episode of {where} is as long as a chunk of {horizon} actions."
        )
    return whole[torch.linspace(0, len(whole) - 1, min(most, len(whole))).round().long()]


def episodes_of(data: DataSet, frames: Int64[Tensor, "frames"]) -> Int64[Tensor, "frames"]:
    """The episode of each frame, over which a probe has its intervals.

    Raises:
        UsageError: they are all of one episode.
    """
    episodes = data.episode_numbers[frames]
    if len(episodes.unique()) < 2:
        raise UsageError(
            f"a probe needs frames of at least 2 episodes, as intervals are over episodes; the {len(frames)} "
            f"of data set {data.where} are all of episode {int(episodes[0])}. Probe the policy by its "
            "folder, and name others by --episodes."
        )
    return episodes


def observations_at(
    data: DataSet, frames: Int64[Tensor, "batch"], cameras: Sequence[str], history: int = 1
) -> list[Observation]:
    """What a policy observes at these frames, with the `history` - 1 frames before each; before an episode's
    first frame, that frame is repeated.

    Args:
        cameras: those whose images are decoded.
    """
    first = data.first_frame_of(frames)
    by_age = [
        _observations(data, torch.maximum(frames - age, first), cameras) for age in reversed(range(history))
    ]
    return [now._replace(before=tuple(before)) for *before, now in zip(*by_age, strict=True)]


def _observations(data: DataSet, frames: Int64[Tensor, "batch"], cameras: Sequence[str]) -> list[Observation]:
    chunks = data.chunks(frames, 1)
    return [
        Observation(_images(data, frame, cameras), state, prompt)
        for frame, state, prompt in zip(frames.tolist(), chunks.state.numpy(), chunks.prompts, strict=True)
    ]


def _images(data: DataSet, frame: int, cameras: Sequence[str]) -> dict[str, np.ndarray]:
    if not cameras:
        return {}
    images = data.images(frame, cameras)
    return {camera: images[camera].permute(1, 2, 0).numpy() for camera in cameras}
