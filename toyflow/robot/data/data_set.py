"""A LeRobot data set (v3.0) of demonstrations, from disk or the hub, read as action chunks.

Over 300 lines, as it is one class, which alone knows LeRobot's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.machine import installed_version
from toyflow.robot.data.features import (
    ACTION,
    CAMERA,
    STATE,
    FeatureNames,
    is_picture,
    names_of_numbers,
)
from toyflow.robot.data.fingerprint import ContentHash, hash_images, hash_videos, kept_fingerprint
from toyflow.robot.data.hub import why_not
from toyflow.robot.data.local_files import check_format, check_rate, conversion_of, local_folder, read_info
from toyflow.robot.data.video_decoder import video_backend
from toyflow.robot.interface import Interface

LOG = logging.getLogger(__name__)


class Chunks(NamedTuple):
    """Frames of demonstrations, each with the actions that follow it, in the data set's units.

    Attributes:
        actions: actions from the frame on; past an episode's end its last action is repeated.
        is_pad: true where an action is such a repetition.
    """

    state: Float[Tensor, "batch state"]
    prompts: Sequence[str]
    actions: Float[Tensor, "batch horizon action"]
    is_pad: Bool[Tensor, "batch horizon"]


class DataSet:
    """A LeRobot data set with a state, an action and a task for every frame, and any number of cameras.

    Args:
        where: a folder that holds `meta/info.json`, or the name of a data set on the hub.
        renaming: {feature: name that it is read under}, for features of other names than `FeatureNames`
            expects.

    Attributes:
        interface: its cameras, state, action and rate.
        names: which of its features these are.
        features: names of all its features, sorted.

    Raises:
        UsageError: the data set does not exist, cannot be read, or lacks a feature; the message names it.

    Example (needs `toyflow[robot]`)::

        data = DataSet("lerobot/aloha_sim_transfer_cube_human")
        chunks = data.chunks(torch.tensor([0, 100]), horizon=20)     # chunks.actions: [2, 20, 14]
        pixels = data.image(0, data.interface.cameras[0])            # [3, height, width], 0..255
    """

    def __init__(self, where: str, renaming: Mapping[str, str] | None = None) -> None:
        self.where, self.renaming = where, dict(renaming or {})
        self._meta = _opened(where, "LeRobotDatasetMetadata")
        features: Mapping[str, Any] = self._meta.features
        self.features = tuple(sorted(features))
        self.names = FeatureNames.of(features, self.renaming, where)
        check_rate(where, self._meta.fps)
        self.interface = Interface(
            tuple(self.names.cameras),
            features[self.names.state]["shape"][0],
            features[self.names.action]["shape"][0],
            float(self._meta.fps),
            tuple((name, old) for name, old in self.names.renamed.items() if name != ACTION),
        )

    @property
    def frames(self) -> int:
        """Number of frames, of all episodes together."""
        return self._meta.total_frames

    @property
    def episodes(self) -> int:
        """Number of demonstrations."""
        return self._meta.total_episodes

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """What each number of an action is called; `0`, `1`, ... where the data set does not say."""
        return names_of_numbers(self._meta.features[self.names.action], self.interface.action_dim)

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """As `action_names`, of a state."""
        return names_of_numbers(self._meta.features[self.names.state], self.interface.state_dim)

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of a hash of what training reads: frames a second, cameras and vectors
        with their shapes, states, actions, their statistics, the prompt and episode of every frame, and all
        pictures as they are stored. Not of its name or place, nor of what training does not read."""
        try:
            return kept_fingerprint(self._root, f"data set {self.where}", self._hash_content)
        except OSError as error:
            raise UsageError(f"data set {self.where} cannot be read: {error}.") from error

    @cached_property
    def earlier_fingerprint(self) -> str:
        """The fingerprint that older records hold: a hash of its description, statistics, states and actions,
        but neither of its pictures nor of its prompts."""
        digest = hashlib.sha256()
        for name in ("info.json", "stats.json"):
            digest.update((self._root / "meta" / name).read_bytes())
        for column in (self._columns.state, self._columns.actions):
            digest.update(column.numpy().tobytes())
        return digest.hexdigest()[:12]

    def is_of(self, record: Mapping[str, str]) -> bool:
        """Whether a record with these data options was trained on this data set, as far as the kind of
        fingerprint that it holds can tell."""
        known = self.earlier_fingerprint if has_earlier_fingerprint(record) else self.fingerprint
        return record.get("fingerprint") == known

    def _hash_content(self, content: ContentHash) -> None:
        features, columns = self._meta.features, self._columns
        cameras = {CAMERA + camera: self.names.cameras[camera] for camera in sorted(self.interface.cameras)}
        content.text("fps", float(self._meta.fps))
        for name, stored in {STATE: self.names.state, ACTION: self.names.action, **cameras}.items():
            content.text(name, (features[stored]["dtype"], tuple(features[stored]["shape"])))
        for name in (STATE, ACTION):
            content.text(f"statistics of {name}", sorted(self.statistics(name).items()))
        for name, column in columns._asdict().items():
            content.array(name, column.numpy())
        content.text("prompts", sorted(self._prompts.items()))
        for name, stored in cameras.items():
            add = hash_videos if features[stored]["dtype"] == "video" else hash_images
            add(content, self._source, name, stored)

    @property
    def _root(self) -> Path:
        return Path(self._meta.root)

    def folder(self) -> Path:
        """Its folder on this machine, with all its files; one of the hub is downloaded."""
        return Path(self._source.root)

    def _stored(self, feature: str) -> str:
        """The data set's own name of the state or the action."""
        return {STATE: self.names.state, ACTION: self.names.action}.get(feature, feature)

    def statistics(self, feature: str) -> dict[str, list[float]]:
        """The stored statistics of the state or the action by name (mean, std, q01, ...), one number per
        dimension. Raises UsageError where meta/stats.json holds something else."""
        feature, every = self._stored(feature), self._meta.stats or {}
        found: Any = every.get(feature, {}) if isinstance(every, Mapping) else None
        try:
            return {
                name: np.asarray(values, dtype=float).reshape(-1).tolist() for name, values in found.items()
            }
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"data set {self.where}, meta/stats.json: statistics of {feature} must map names (mean, std, "
                f"...) to numbers: {error}."
            ) from error

    def statistics_of(self, feature: str, frames: Int64[Tensor, "batch"]) -> dict[str, list[float]]:
        """Mean, std and the quantiles q01 and q99 of the state or the action over these frames alone, one
        number per dimension."""
        column = self._columns.state if feature == STATE else self._columns.actions
        values = column[frames].double().numpy()
        low, high = np.quantile(values, [0.01, 0.99], axis=0)
        found = {"mean": values.mean(0), "std": values.std(0), "q01": low, "q99": high}
        return {name: numbers.tolist() for name, numbers in found.items()}

    def motion(self) -> dict[str, list[float]]:
        """The range of its actions, one number per dimension: `lower`, `upper`, and `step`, the largest
        change between consecutive actions of an episode."""
        actions = self._columns.actions
        ends = {"lower": actions.amin(0).tolist(), "upper": actions.amax(0).tolist()}
        return {**ends, "step": self.largest_change()}

    def largest_change(self, order: int = 1) -> list[float]:
        """The largest |n-th difference| of consecutive actions of an episode, one number per dimension: n = 1
        the step, n = 3 jerk x fps^-3."""
        actions, last = self._columns.actions, self._columns.last_frame
        change = torch.diff(actions, n=order, dim=0).abs()[last[order:] == last[:-order]]
        return (change.amax(0) if len(change) else torch.zeros(actions.shape[1])).tolist()

    def chunks(self, frames: Int64[Tensor, "batch"], horizon: int) -> Chunks:
        """State, prompt and the next `horizon` actions of each of these frames."""
        columns = self._columns
        ahead = frames[:, None] + torch.arange(horizon)
        last = columns.last_frame[frames][:, None]
        prompts = [self._prompts[int(task)] for task in columns.task[frames]]
        return Chunks(columns.state[frames], prompts, columns.actions[ahead.clamp(max=last)], ahead > last)

    def whole(self, horizon: int) -> Int64[Tensor, "frames"]:
        """The frames with `horizon` actions of their episode ahead, their own included."""
        every = torch.arange(self.frames)
        return every[every + horizon - 1 <= self._columns.last_frame]

    @property
    def episode_numbers(self) -> Int64[Tensor, "frames"]:
        """For each frame the number of its episode, from 0."""
        return torch.unique(self._columns.last_frame, return_inverse=True)[1]

    def first_frame_of(self, frames: Int64[Tensor, "batch"]) -> Int64[Tensor, "batch"]:
        """The first frame of each frame's episode."""
        return torch.searchsorted(self._columns.last_frame, self._columns.last_frame[frames])

    def image(self, frame: int, camera: str) -> UInt8[Tensor, "3 height width"]:
        """The image of a camera at a frame, decoded, in 0..255."""
        return self.images(frame, (camera,))[camera]

    def images(self, frame: int, cameras: Sequence[str]) -> dict[str, UInt8[Tensor, "3 height width"]]:
        """The images of these cameras at a frame, decoded, in 0..255; no other picture is looked at. Raises
        ToyflowError where that fails."""
        try:
            try:
                row = self._showing(cameras)[frame]
            except Exception as error:
                if self._decoder != "torchcodec" or not self._has_videos:
                    raise
                LOG.warning(
                    "torchcodec cannot decode data set %s (%s); PyAV does.", self.where, first_line(error)
                )
                self._decoder = "pyav"
                del self._source
                row = self._showing(cameras)[frame]
        except Exception as error:
            raise ToyflowError(f"frame {frame} of {self.where} cannot be decoded: {error}.") from error
        stored = self.names.cameras
        return {camera: (row[stored[camera]] * 255).round().to(torch.uint8) for camera in cameras}

    def _showing(self, cameras: Sequence[str]) -> Any:
        """LeRobot's data set, which decodes every picture feature that it knows, told of these cameras only:
        videos by its features, image files by the columns of its table."""
        source, every = self._source, self._meta.features
        seen = {self.names.cameras[camera] for camera in cameras}
        hidden = {feature for feature in every if is_picture(every[feature])} - seen
        shown, table = source.meta.features, source.hf_dataset
        if hidden & shown.keys() or seen - shown.keys():
            for feature in hidden:
                shown.pop(feature, None)
            shown.update({feature: every[feature] for feature in seen})
            read = [column for column in table.column_names if column not in hidden]
            table.set_transform(table.format["format_kwargs"]["transform"], read)
        return source

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """The prompts of its tasks."""
        return tuple(self._prompts.values())

    @cached_property
    def _prompts(self) -> dict[int, str]:
        tasks = self._meta.tasks
        return {int(index): str(name) for name, index in tasks["task_index"].items()}

    @property
    def _has_videos(self) -> bool:
        return any(self._meta.features[each]["dtype"] == "video" for each in self.names.cameras.values())

    @cached_property
    def _decoder(self) -> str:
        return video_backend()

    @cached_property
    def _source(self) -> Any:
        if self._has_videos:
            return _opened(self.where, "LeRobotDataset", video_backend=self._decoder)
        return _opened(self.where, "LeRobotDataset")

    @cached_property
    def _columns(self) -> _Columns:
        names = [self.names.state, self.names.action, "task_index", "episode_index"]
        table = self._source.hf_dataset.select_columns(names).with_format("numpy")[:]
        episode = np.asarray(table["episode_index"])
        ends = np.append(np.flatnonzero(np.diff(episode)), len(episode) - 1)
        last = ends[np.searchsorted(ends, np.arange(len(episode)))]
        columns = _Columns(
            _floats(table[self.names.state]),
            _floats(table[self.names.action]),
            torch.from_numpy(np.asarray(table["task_index"]).astype(np.int64)),
            torch.from_numpy(last.astype(np.int64)),
        )
        for name, column in ((STATE, columns.state), (ACTION, columns.actions)):
            if not torch.isfinite(column).all():
                frame = int((~torch.isfinite(column)).any(1).nonzero()[0])
                raise UsageError(f"data set {self.where}: {name} of frame {frame} is not finite.")
        return columns


class _Columns(NamedTuple):
    state: Float[Tensor, "frames state"]
    actions: Float[Tensor, "frames action"]
    task: Int64[Tensor, "frames"]
    last_frame: Int64[Tensor, "frames"]
    """The last frame of each frame's episode."""


def has_earlier_fingerprint(record: Mapping[str, str]) -> bool:
    """Whether a record with these data options holds a `DataSet.earlier_fingerprint`: it then names the data
    set, too, which details of later results do."""
    return "dataset" in record


def _floats(column: Any) -> Float[Tensor, "frames dim"]:
    """A column of vectors, or of numbers, as which LeRobot stores vectors of one."""
    rows = np.stack(list(column)).astype(np.float32)
    return torch.from_numpy(rows.reshape(len(rows), -1))


def _opened(where: str, kind: str, **options: str) -> Any:
    """LeRobot's object of class `kind` for the data set: LeRobotDataset, or LeRobotDatasetMetadata without
    data."""
    if installed_version("lerobot") is None:
        raise UsageError("reading data sets needs lerobot: pip install 'toyflow[robot]'.")
    local = local_folder(where)
    from lerobot.datasets import lerobot_dataset  # heavy and optional

    opened = getattr(lerobot_dataset, kind)
    if local:
        check_format(where, local)
        check_rate(where, read_info(where, local).get("fps"))
    try:
        return opened(local.name, root=local, **options) if local else opened(where, **options)
    except Exception as error:
        if command := conversion_of(error, where):
            raise UsageError(command) from error
        if local:
            raise UsageError(f"data set {where} cannot be read: {first_line(error)}") from error
        raise UsageError(
            f"data set {where} is neither a folder here nor to be had from the hub: {why_not(error)}."
        ) from error
