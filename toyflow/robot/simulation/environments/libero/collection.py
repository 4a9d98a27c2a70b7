"""Where suites of the environment `libero` come from: LIBERO itself, and benchmarks that vary its tasks.

A `Collection` lists suites and tasks and opens a task as a `Scene`; `Libero` plays scenes and knows no
benchmark by name. `known_collections.py` lists the collections.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, UInt8

from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero import assets

if TYPE_CHECKING:
    from toyflow.robot.simulation.environments.libero.libero_simulation import LiberoSimulation

InitStates = Float[np.ndarray, "states time_qpos_qvel"]


class Scene:
    """One task, ready to be built: its files, and what it changes in a simulation and in images.

    This one changes nothing. A benchmark overrides what it changes; its methods are called in
    the order in which they stand here.
    """

    def __init__(self, bddl_file: Path, load_init_states: Callable[[], InitStates]) -> None:
        """A scene of these files.

        Args:
            bddl_file: defines objects, where they may lie, and the goal.
            load_init_states: reads the official initial states, at the first episode that needs one.
        """
        self.bddl_file = bddl_file
        self._load_init_states = load_init_states

    @cached_property
    def init_states(self) -> InitStates:
        """The official initial states, loaded once."""
        return self._load_init_states()

    def assets(self) -> Path:
        """The folder of meshes, textures and scenes. Raises UsageError where there is none."""
        return assets.find()

    def prepare(self) -> None:
        """Called before the simulation is built: register classes of objects that LIBERO does not have."""

    def adapt(self, simulation: LiberoSimulation) -> None:
        """Called once when the simulation is built: move cameras and the like in `simulation.model`."""

    def before_reset(self, simulation: LiberoSimulation) -> None:
        """Called before every placement of robot and objects: set the robot's `init_qpos` and the like."""

    def after_reset(self, simulation: LiberoSimulation, episode: int) -> None:
        """Called when an official state, if any, is set, before objects settle. `episode` is to seed what is
        random in the episode: the number of the official state, else the seed of the reset."""

    def image(self, camera: str, image: UInt8[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "size size 3"]:
        """What the policy sees of `image`, which is upright; `camera` is its name in the interface."""
        return image


class Collection(ABC):
    """A source of suites.

    Attributes:
        title: its name for people.
        setup: the command that installs it.
    """

    title: ClassVar[str]
    setup: ClassVar[str]

    @abstractmethod
    def names(self) -> Sequence[str]:
        """All suites that it has once it is installed, by which a user who has not installed it is told how
        to; without importing anything."""

    @abstractmethod
    def suites(self) -> Sequence[str]:
        """The suites that are installed; cheap, no scene is built."""

    @abstractmethod
    def tasks(self, suite: str) -> Sequence[SuiteTask]:
        """The tasks of one of `suites()`, in order; cheap, no BDDL file is read."""

    @abstractmethod
    def scene(self, suite: str, index: int) -> Scene:
        """The task with this index in `tasks(suite)`, which is not missing."""
