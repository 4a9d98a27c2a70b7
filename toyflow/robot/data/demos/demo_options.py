"""The options of `toyflow robot-demos`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toyflow.errors import UsageError
from toyflow.machine import cores
from toyflow.robot.data.demos.data_set_writer import CODECS
from toyflow.robot.simulation.environment import Environment, SuiteTask, find_tasks

IMAGE_SIZES = range(16, 1025)


@dataclass(frozen=True)
class DemoOptions:
    """Which demonstrations to make.

    Attributes:
        out: the data set's folder; attempts are gathered in a folder beside it, OUT.episodes.
        tasks: indices; None is all of the suite.
        episodes: successful ones per task.
        noise: standard deviation of the noise on each action as it is carried out, not as it is recorded, in
            the expert's units; see `Expert.noise_scale`.
        image_size: side of the images in pixels.
        video: None stores images without loss, which are quick to read; `av1` or `h264` takes a tenth of the
            space.
        jobs: simulators at a time.

    Raises:
        UsageError: a value out of range; in one line.
    """

    out: Path
    suite: str = "libero_object"
    tasks: tuple[int, ...] | None = None
    episodes: int = 20
    seed: int = 0
    noise: float = 0.2
    image_size: int = 128
    environment: str = "libero"
    video: str | None = None
    jobs: int = field(default_factory=cores)

    def __post_init__(self) -> None:
        if self.tasks is not None and len(set(self.tasks)) != len(self.tasks):
            raise UsageError(f"tasks are named twice: {', '.join(map(str, self.tasks))}.")
        for name, least in (("episodes", 1), ("jobs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name} must be at least {least}, not {getattr(self, name)}.")
        if not 0 <= self.noise <= 1:
            raise UsageError(f"--noise is 0 to 1, in the expert's units, not {self.noise:g}.")
        if self.image_size not in IMAGE_SIZES:
            raise UsageError(f"--image-size must be from 16 to 1024 pixels, not {self.image_size}.")
        if self.video is not None and self.video not in CODECS:
            raise UsageError(f"--video must be one of {', '.join(CODECS)}, not {self.video!r}.")

    def resolved(self, environment: type[Environment]) -> tuple[DemoOptions, list[SuiteTask]]:
        """These options with all tasks named, in order, and the tasks. Raises UsageError where the suite or a
        task does not exist."""
        tasks = sorted(find_tasks(environment, self.suite, self.tasks), key=lambda task: task.index)
        return replace(self, tasks=tuple(task.index for task in tasks)), tasks

    def episode_recipe(self, assets: str) -> dict[str, Any]:
        """JSON values: all that an episode's content depends on, except task and number."""
        return {
            "environment": self.environment,
            "assets": assets,
            "suite": self.suite,
            "seed": self.seed,
            "noise": self.noise,
            "image_size": self.image_size,
        }
