"""What a check of a data set has to say: one `Finding` per contradiction, with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""An error would make training wrong; a warning is worth a look; a note says how something was understood."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        file: where it is, below the data set's folder; "" where no one file has it.
        episode: number of the episode, from 0; None where it is not of one.
        frame: number of the frame in the whole data set, from 0, as in `LeRobotDataset[frame]`; None for
            none.
        feature: name of the feature in the data set; "" for none.
        sentence: what contradicts what.

    >>> print(Finding("error", "data/chunk-000/file-000.parquet", 0, 6, "action", "1 number is nan."))
    data/chunk-000/file-000.parquet, episode 0, frame 6, action: 1 number is nan.
    """

    level: Level
    file: str
    episode: int | None
    frame: int | None
    feature: str
    sentence: str

    @property
    def place(self) -> str:
        """File, episode, frame and feature, as far as there are such."""
        numbers = {"episode": self.episode, "frame": self.frame}
        parts = [f"{name} {number}" for name, number in numbers.items() if number is not None]
        return ", ".join(filter(None, [self.file, *parts, self.feature]))

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}" if self.place else self.sentence

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def by_level(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; in their order otherwise."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
