"""The tables of a LeRobot data set in memory, as they are, with whatever contradicts in them."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toyflow.robot.data.checks.findings import Finding, Level
from toyflow.robot.data.features import FeatureNames

EPISODES, TASKS, STATS = "meta/episodes", "meta/tasks.parquet", "meta/stats.json"


class DataFile(NamedTuple):
    """A file of frames, which has the rows from `start` to before `stop` of the data set."""

    name: str
    start: int
    stop: int


@dataclass
class Contents:
    """A data set in memory, without its pictures.

    Attributes:
        where: what the user calls it.
        root: its folder.
        info: meta/info.json.
        names: which features are cameras, state and action.
        files: its files of frames, in order.
        columns: numbers by feature, [frames] or [frames, numbers]; a column that cannot be read as such is
            missing, and among the `problems`.
        prompts: {task_index: every prompt under it}; None where meta/tasks.parquet cannot be read.
        episodes: columns of meta/episodes; None where they cannot be read.
        statistics: meta/stats.json; empty where it cannot be read.
        problems: what could not be read.
    """

    where: str
    root: Path
    info: dict[str, Any]
    names: FeatureNames
    files: list[DataFile] = field(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    prompts: dict[int, list[str]] | None = None
    episodes: dict[str, list[Any]] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)

    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]:
        """Its features by name, as meta/info.json describes them."""
        return self.info["features"]

    @property
    def frames(self) -> int:
        """Number of rows in its files of frames."""
        return self.files[-1].stop if self.files else 0

    @property
    def fps(self) -> float:
        """Frames a second as meta/info.json has them; 0 where it has no such number."""
        fps = self.info.get("fps")
        return float(fps) if isinstance(fps, (int, float)) and 0 < fps < float("inf") else 0.0

    @property
    def videos(self) -> list[str]:
        """The cameras' features that are videos."""
        return [f for f in self.names.cameras.values() if self.features[f].get("dtype") == "video"]

    def runs(self) -> list[tuple[int, int, int]]:
        """(episode, first frame, frame after its last) of every stretch of frames of one episode."""
        episode = self.columns.get("episode_index")
        if episode is None or not len(episode):
            return []
        starts = [0, *(np.flatnonzero(np.diff(episode)) + 1).tolist()]
        return [
            (int(episode[start]), start, stop)
            for start, stop in zip(starts, [*starts[1:], len(episode)], strict=True)
        ]

    def at(self, level: Level, frame: int, feature: str, sentence: str) -> Finding:
        """A finding at a frame."""
        place = bisect.bisect_right([file.start for file in self.files], frame) - 1
        episode = self.columns.get("episode_index")
        number = float(episode[frame]) if episode is not None else float("nan")
        of_episode = int(number) if np.isfinite(number) else None
        return Finding(level, self.files[place].name, of_episode, frame, feature, sentence)
