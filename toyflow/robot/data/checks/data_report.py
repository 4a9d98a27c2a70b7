"""What a check of a data set found, for people and machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toyflow.robot.data.checks.findings import LEVELS, Finding
from toyflow.robot.data.checks.statistics import DimensionStatistics


@dataclass(frozen=True)
class DataReport:
    """A checked data set.

    Attributes:
        where: what the user called it.
        findings: errors first.
        frames, episodes, fps: as its files have them.
        cameras: {camera: its first picture as PNG, or None where none could be decoded}.
        ranges: the statistics of each number of state and action; see `DimensionStatistics`.
        seconds: how long the check took.
    """

    where: str
    findings: tuple[Finding, ...]
    frames: int = 0
    episodes: int = 0
    fps: float = 0.0
    cameras: Mapping[str, bytes | None] = field(default_factory=dict)
    ranges: tuple[DimensionStatistics, ...] = ()
    seconds: float = 0.0

    @property
    def errors(self) -> list[Finding]:
        """What would make training wrong."""
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each level."""
        found = Counter(finding.level for finding in self.findings)
        return {level: found[level] for level in LEVELS}

    def as_dict(self) -> dict[str, Any]:
        """JSON values, without pictures."""
        return {
            "data_set": self.where,
            "frames": self.frames,
            "episodes": self.episodes,
            "fps": self.fps,
            "cameras": list(self.cameras),
            "counts": self.counts,
            "findings": [finding.as_dict() for finding in self.findings],
            "ranges": [row._asdict() for row in self.ranges],
            "seconds": round(self.seconds, 3),
        }
