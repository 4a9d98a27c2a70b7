"""Finished attempts on disk, until the data set is written.

    OUT.episodes/recipe.json                options that the episodes depend on
    OUT.episodes/task-00/000017/            attempt 17 at task 0
        outcome.json                        solved or not, steps, seconds
        episode.npz                         if solved: images/CAMERA, state, action
        manifest.json                       checksums

Each attempt appears whole or not at all; another run continues from those that are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from toyflow.atomic import DamagedError, atomic_folder, read_json, remove_stale, verified, write_json
from toyflow.errors import UsageError
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome, RecordedAttempt, Trajectory

SUFFIX = ".episodes"
IMAGES = "images/"


class Staging:
    """The folder of attempts for the data set `out`. Making this object touches no file."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(out.name + SUFFIX)

    @contextmanager
    def claimed(self, recipe: dict[str, Any]) -> Iterator[None]:
        """Lock the folder for this process, and remove half-written files of a killed one.

        Raises:
            UsageError: another process is at work here, the episodes here are of another recipe, or the
                folder cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock").acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"another process is making {self.out}; wait for it, or choose another --out."
            ) from None
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.folder}: {error.strerror or error}. Choose another --out."
            ) from error
        with lock:
            self._check_recipe(recipe)
            remove_stale([*self.folder.glob(".*"), *self.folder.glob("task-*/.*")])
            yield

    def _check_recipe(self, recipe: dict[str, Any]) -> None:
        path = self.folder / "recipe.json"
        if not path.exists():
            write_json(path, recipe)
        present = read_json(path)
        differ = [key for key in recipe if present.get(key) != recipe[key]]
        if differ:
            was = ", ".join(f"{key} {present.get(key)}" for key in differ)
            asked = ", ".join(f"{key} {recipe[key]}" for key in differ)
            raise UsageError(
                f"{self.folder} holds episodes with {was}, not {asked}; choose another --out or remove it."
            )

    def write(self, recorded: RecordedAttempt) -> None:
        """Store an attempt; of a failed one the outcome alone."""
        outcome, trajectory = recorded
        path = self._path(outcome.attempt)
        path.parent.mkdir(exist_ok=True)
        with atomic_folder(path) as folder:
            if outcome.solved:
                images = {IMAGES + camera: frames for camera, frames in trajectory.images.items()}
                arrays: dict[str, Any] = {"state": trajectory.state, "action": trajectory.action, **images}
                np.savez_compressed(folder / "episode.npz", **arrays)
            content = {"solved": outcome.solved, "steps": outcome.steps, "seconds": outcome.seconds}
            write_json(folder / "outcome.json", content)

    def outcome(self, attempt: Attempt) -> AttemptOutcome | None:
        """How an attempt ended, or None if it was not made. Raises DamagedError where a file is not as it was
        written."""
        folder = self._path(attempt)
        if not folder.exists():
            return None
        outcome = AttemptOutcome(attempt, **read_json(verified(folder, "outcome.json")))
        if outcome.solved:
            verified(folder, "episode.npz")
        return outcome

    def outcomes(self) -> tuple[dict[Attempt, AttemptOutcome], list[DamagedError]]:
        """All undamaged attempts, and the errors of the damaged ones, which are removed."""
        found: dict[Attempt, AttemptOutcome] = {}
        damaged: list[DamagedError] = []
        for folder in sorted(self.folder.glob("task-*/[0-9]*")):
            attempt = Attempt(int(folder.parent.name.removeprefix("task-")), int(folder.name))
            try:
                outcome = self.outcome(attempt)
            except DamagedError as error:
                damaged.append(error)
                shutil.rmtree(folder)
            else:
                assert outcome is not None
                found[attempt] = outcome
        return found, damaged

    def read(self, attempt: Attempt) -> Trajectory:
        """The trajectory of a solved attempt. Raises DamagedError."""
        with np.load(verified(self._path(attempt), "episode.npz"), allow_pickle=False) as arrays:
            images = {key.removeprefix(IMAGES): arrays[key] for key in arrays if key.startswith(IMAGES)}
            return Trajectory(images, arrays["state"], arrays["action"])

    def _path(self, attempt: Attempt) -> Path:
        return self.folder / f"task-{attempt.task:02d}" / f"{attempt.number:06d}"
