"""What a task at the station is: its bodies, its random initial states, its goal and its expert."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.yam.station import Station


class StationTask(ABC):
    """A task at the station of two YAM arms. To add one, subclass this in a file of its own and list it in
    `suites.py`.

    Attributes:
        name: its name within the suite.
        prompt: the task in words.
        max_steps: control steps after which an episode counts as failed.
        objects: names of the bodies whose poses `yam-state` observes, at most four.
    """

    name: str
    prompt: str
    max_steps: int
    objects: tuple[str, ...]

    @abstractmethod
    def add_bodies(self, spec: Any) -> None:
        """Add the task's bodies to the station's mujoco.MjSpec.

        Geometries of group 0 (`COLLISION_GEOMS`) are not drawn, those of group 1 are. Table and fingers have
        MuJoCo's default bits of contact, 1 and 1. A body that moves has a free joint.
        """

    @abstractmethod
    def reset(self, station: Station, generator: np.random.Generator) -> None:
        """Place and paint the task's bodies by chance, with `Station.place` and `Station.paint`; they may be
        above what they will rest on."""

    @abstractmethod
    def solved(self, station: Station) -> bool:
        """Whether the task is solved in the station's present state."""

    @abstractmethod
    def expert(self, station: Station, seed: int) -> Expert:
        """A scripted expert for the episode that has just begun."""
