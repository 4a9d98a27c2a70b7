"""What a simulator is: suites of tasks, episodes from known or random initial states, and a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, UInt8

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.robot.interface import Interface, Observation


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite."""

    index: int
    name: str
    prompt: str
    init_states: int
    """How many official initial states it has; they are for evaluation only."""
    max_steps: int
    """Control steps after which an episode counts as failed."""


class Expert(ABC):
    """A scripted policy that may look at what no policy sees."""

    noise_scale: Float[np.ndarray, "action"] | float = 1.0
    """Share of the noise of recovery demonstrations that each number of the action takes: 0 for a gripper."""

    @abstractmethod
    def act(self) -> Float32[np.ndarray, "action"]:
        """The next action in the environment's present state."""


class Environment(ABC):
    """One task in a simulator, in this process. Subclass it in one file and declare it under the entry point
    group `toyflow.environments`; the module must import without the simulator's packages.

    Raises:
        UsageError: the suite or task does not exist, or what it needs is not installed; in one line.
    """

    name: ClassVar[str]
    absolute: ClassVar[bool] = False
    """Whether actions are positions, so that a large change is a jump; else they are changes themselves."""

    action_names: ClassVar[tuple[str, ...]] = ()
    """Of the numbers of an action, for limits, logs and figures; where there are none they are counted."""

    interface: Interface

    @classmethod
    @abstractmethod
    def suites(cls) -> Sequence[str]:
        """Names of the suites that are installed."""

    @classmethod
    @abstractmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        """Its tasks, `tasks(suite)[i].index == i`. Raises UsageError for a suite that does not exist."""

    @classmethod
    @abstractmethod
    def assets(cls) -> str:
        """What the scenes are made of, as results record it: `own`, or `stand-in` where objects are
        generated substitutes and scores are not the suite's. Raises UsageError where there are none."""

    @abstractmethod
    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: str = "fast") -> None:
        """A simulator of one task. `rendering` is `fast`, or the environment's own name for its own way."""

    @abstractmethod
    def reset(self, seed: int, init_state: int | None = None) -> None:
        """Start an episode: from an official initial state, or from a random one drawn by `seed`. Returns
        when objects have settled."""

    @abstractmethod
    def observe(self) -> Observation:
        """Render and read; nothing but this and `views` renders."""

    @abstractmethod
    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """Carry out one action, each number in [-1, 1] (clipped); whether the task is now solved."""

    @abstractmethod
    def close(self) -> None:
        """Free the simulator."""

    def views(self) -> Mapping[str, UInt8[np.ndarray, "height width 3"]]:
        """What a film shows: images by camera, whether or not they are observed; without any, no film."""
        return self.observe().images

    def still(self) -> Float[np.ndarray, "action"]:
        """The action that leaves the robot where it is: zero, unless actions are positions."""
        return np.zeros(self.interface.action_dim)

    def expert(self, seed: int) -> Expert:
        """A scripted expert for the episode that has just begun. Raises UsageError where there is none."""
        raise UsageError(f"environment {self.name!r} has no scripted expert.")


def load_environment(name: str) -> type[Environment]:
    """The environment plug-in called `name`. Raises UsageError with what exists."""
    return plugins.load("environments", name)


def find_tasks(environment: type[Environment], suite: str, indices: Sequence[int] | None) -> list[SuiteTask]:
    """The tasks of `suite` with these indices, or all. Raises UsageError with what exists."""
    tasks = environment.tasks(suite)
    for index in indices or ():
        if not 0 <= index < len(tasks):
            raise UsageError(f"{suite} has no task {index}; it has 0 to {len(tasks) - 1}.")
    return [tasks[index] for index in indices] if indices else list(tasks)


def check_suite(environment: type[Environment], suite: str) -> None:
    """Raise UsageError, with what exists, unless `suite` is one of the environment's."""
    if suite not in environment.suites():
        raise unknown("suite", suite, environment.suites())
