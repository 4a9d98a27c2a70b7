"""What the names of LIBERO-Plus's tasks say: the base task, and what is perturbed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments.libero.plus.views import View

DIMENSIONS = ("camera", "robot-start", "language", "light", "background", "noise", "layout")
"""LIBERO-Plus's dimensions of perturbation, in its paper's order."""

_VIEW = r"_view_(?P<view>\d+_\d+_\d+_\d+_\d+)_initstate_(?P<start>\d+)(_noise_(?P<noise>\d+))?"
_SCENE = (
    r"_language_(?P<language>\d+)|_light_(?P<light>\d+)|_(?P<background>(table|tb)_\d+)"
    r"|_(?P<layout>add_\d+|(moved_)?level\d_sample\d+)"
)
_NAME = re.compile(f"(?P<base>.+?)(?P<scene>{_SCENE})?({_VIEW})?")


@dataclass(frozen=True)
class PlusName:
    """One of LIBERO-Plus's tasks.

    Attributes:
        base: name of LIBERO's task.
        scene: the part of the name that has a BDDL file of its own, such as `language_3` or `table_12`, else
            empty.
        dimension: which of `DIMENSIONS` it is of.
        view: the camera's.
        robot_start: number of a pose of `robot_starts.start_pose`; 0 is LIBERO's own.
        noise: number of a noise of `sensor_noise.corrupt`; 0 is none.

    >>> task = PlusName.parse("open_the_middle_drawer_of_the_cabinet_view_0_0_100_0_0_initstate_7_noise_21")
    >>> task.base, task.dimension, task.robot_start, task.noise
    ('open_the_middle_drawer_of_the_cabinet', 'noise', 7, 21)
    """

    base: str
    scene: str
    dimension: str
    view: View
    robot_start: int
    noise: int

    @property
    def bddl(self) -> str:
        """Name of its BDDL file, without the ending."""
        return f"{self.base}_{self.scene}" if self.scene else self.base

    @property
    def needs_archive(self) -> bool:
        """Whether its scene needs files of LIBERO-Plus's archive: light, background, and added objects."""
        return self.dimension in ("light", "background") or self.scene.startswith("add_")

    @classmethod
    def parse(cls, name: str) -> PlusName:
        """The task of this name.

        Raises:
            ToyflowError: it is no name of a task of LIBERO-Plus.
        """
        match = _NAME.fullmatch(name)
        if not match or not (match["scene"] or match["view"]):
            raise ToyflowError(f"{name!r} is not the name of one of LIBERO-Plus's tasks.")
        start, noise = int(match["start"] or 0), int(match["noise"] or 0)
        for dimension in ("language", "light", "background", "layout"):
            if match[dimension]:
                break
        else:
            dimension = "noise" if noise else "robot-start" if start else "camera"
        view = View(*map(int, (match["view"] or "0_0_100_0_0").split("_")))
        return cls(match["base"], (match["scene"] or "").removeprefix("_"), dimension, view, start, noise)
