"""A blind comparison of settings on one robot: its order of episodes, and what they gave, kept on disk.

Scenes are numbered from 0, and every setting is tried once in each: an episode of one setting and one of
another in the same scene are a pair. Within a scene the order is random, and over all scenes every setting
comes first about equally often.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.errors import UsageError

LOG = logging.getLogger(__name__)
PLAN = "comparison.json"


@dataclass(frozen=True)
class BlindEpisode:
    """An episode to come.

    Attributes:
        number: place in the order, from 0.
        scene: number of the scene, from 0.
        setting: index of the setting, which whoever judges is not told.
    """

    number: int
    scene: int
    setting: int


@dataclass(frozen=True)
class BlindOutcome:
    """What became of an episode.

    Attributes:
        attempts: times that it was begun, as it may have been asked for again.
        ended: how the last attempt ended.
        log: name of its log.
        score: see `Robot.score`; None where there is none, and in files of earlier versions.
    """

    scene: int
    setting: int
    success: bool
    steps: int
    attempts: int
    ended: str
    log: str
    score: float | None = None


def blind_order(settings: int, scenes: int, seed: int) -> list[BlindEpisode]:
    """All episodes in their order.

    >>> order = blind_order(settings=2, scenes=4, seed=0)
    >>> [episode.scene for episode in order]
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sum(episode.setting for episode in order[::2])  # each comes first twice
    2
    """
    generator = np.random.default_rng(seed)
    shifts = generator.permutation(np.arange(scenes) % settings)
    rows = [np.roll(generator.permutation(settings) if settings > 2 else np.arange(2), by) for by in shifts]
    flat = [(scene, int(setting)) for scene, row in enumerate(rows) for setting in row]
    return [BlindEpisode(number, scene, setting) for number, (scene, setting) in enumerate(flat)]


class BlindTrial:
    """A comparison on disk: `comparison.json` and a small file per episode, each written whole or not at all,
    so that kill -9 costs the episode that runs. The same comparison goes on where it stopped.

    Args:
        out: folder of comparisons; this one gets a folder in it, named by a hash of `about`.
        about: all that makes one comparison differ from another; JSON values.
        settings: names of what is compared, two or more.
        scenes: number of scenes.

    Raises:
        UsageError: fewer than two settings, or the same twice.
        DamagedError: `comparison.json` is not as it was written.
    """

    def __init__(self, out: Path, about: Mapping[str, Any], settings: Sequence[str], scenes: int) -> None:
        if len(set(settings)) < max(2, len(settings)):
            raise UsageError(f"--blind compares two settings or more, such as --steps 1,10, not {settings}.")
        self.settings, self.scenes = tuple(settings), scenes
        self.about = {**about, "settings": list(settings), "scenes": scenes}
        digest = sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()
        self.folder = out / "blind" / digest[:12]
        self._plan = self.folder / PLAN

    @contextmanager
    def opened(self) -> Iterator[list[BlindEpisode]]:
        """The order of all episodes, which is drawn the first time; no other process takes part meanwhile.

        Raises:
            UsageError: another process does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                if not self._plan.exists():
                    write_sealed(self._plan, {"about": self.about, "seed": secrets.randbits(32)})
                hint = f"Delete {self.folder} to begin this comparison anew."
                seed = read_sealed(self._plan, hint)["seed"]
                yield blind_order(len(self.settings), self.scenes, seed)
        except Timeout:
            raise UsageError(f"another process runs this comparison, in {self.folder}.") from None

    def log_path(self, episode: BlindEpisode) -> Path:
        """A new path for an attempt's log."""
        begun = len(list(self.folder.glob(f"{episode.number:03d}-*.jsonl")))
        return self.folder / f"{episode.number:03d}-{begun:02d}.jsonl"

    def keep(self, episode: BlindEpisode, outcome: BlindOutcome) -> None:
        """Store an outcome, atomically."""
        write_sealed(self._path(episode), asdict(outcome))

    def outcome(self, episode: BlindEpisode) -> BlindOutcome | None:
        """The stored outcome; None where there is none, or, with a warning, where it is damaged."""
        path = self._path(episode)
        if not path.exists():
            return None
        try:
            found = BlindOutcome(**read_sealed(path))
        except DamagedError as error:
            LOG.warning("%s That episode is run again.", error)
            return None
        return found if (found.scene, found.setting) == (episode.scene, episode.setting) else None

    def _path(self, episode: BlindEpisode) -> Path:
        return self.folder / f"{episode.number:03d}.json"
