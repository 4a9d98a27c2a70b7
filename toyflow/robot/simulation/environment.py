"""The interface to simulators: suites of tasks, episodes from official or random initial states, a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, UInt8

from toyflow import plugins, scene_assets
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.robot.interface import Interface, Observation

Bound = float | tuple[float, ...]


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite.

    Attributes:
        index: its number in the suite, from 0.
        prompt: the task in words, as the policy reads it.
        init_states: number of official initial states; they are for evaluation, never for training.
        max_steps: control steps after which an episode counts as failed.
        perturbation: what is changed against the task `base`, such as `swap`; "" where nothing is.
        level: how difficult the change is, from 1, where the benchmark grades it.
        base: suite and name of the task that this one varies.
        missing: why it cannot run here, and how to get what it needs; "" where it can.
        official_prompt: the benchmark's own wording where `prompt` is another; see `TrialOptions.prompts`.
        extra_assets: what its scene needs beyond `Environment.assets`, in a word: `archive`; "" for nothing.
    """

    index: int
    name: str
    prompt: str
    init_states: int
    max_steps: int
    perturbation: str = ""
    level: int | None = None
    base: tuple[str, str] | None = None
    missing: str = ""
    official_prompt: str = ""
    extra_assets: str = ""


class Expert(ABC):
    """A scripted policy for making demonstrations; it may read the simulator's true state.

    Attributes:
        noise_scale: factor on the noise of demonstrations for each dimension of the action, such as 0 for a
            gripper; see `toyflow.robot.data.demos.recording.record`.
    """

    noise_scale: Float[np.ndarray, "action"] | float = 1.0

    @abstractmethod
    def act(self) -> Float32[np.ndarray, "action"]:
        """The next action in the environment's present state, within its `action_bounds`."""


class Environment(ABC):
    """One task in a simulator, in this process.

    To add a simulator, subclass this in a folder of `environments` (or in any module of a package of your
    own), and declare the class under the entry point group `toyflow.environments`. The module must import
    without the simulator's packages.

    Attributes:
        name: name for `--environment`.
        absolute: whether actions are target positions, so that a large change between two is a jump; else
            they are changes themselves.
        action_names: names of the action's dimensions, for limits, logs and figures; by default their
            numbers.
        actions_in_state_units: whether an action is in the units of the state's number at the same place, so
            that a policy may learn it relative to the state; where it is not, that is refused.
        action_bounds: the least and the largest action, a number each or one for each dimension; what is
            beyond them is clipped. -1 and 1 by default.
        state_names: names of the state's numbers, as far as they tell a convention, such as `axis_angle1`.
        two_sided: names of the action's dimensions that go from -1 to 1 where data sets may have 0 to 1.
        interface: cameras, state, action and rate.

    Raises:
        UsageError: the suite or task does not exist, or what it needs is not installed; in one line.

    >>> from toyflow.errors import ToyflowError
    >>> class Button(Environment):
    ...     name, interface = "button", Interface(cameras=(), state_dim=1, action_dim=1, fps=10)
    ...     @classmethod
    ...     def suites(cls): return ["buttons"]
    ...     @classmethod
    ...     def tasks(cls, suite): return [SuiteTask(0, "press", "press it", init_states=5, max_steps=20)]
    ...     @classmethod
    ...     def assets(cls): return "own"
    ...     def __init__(self, suite, task, image_size=128, rendering="fast"): pass
    ...     def reset(self, seed, init_state=None):
    ...         self.height = (5 if init_state is None else init_state) / 5
    ...     def observe(self): return Observation({}, np.array([self.height], np.float32), "press the button")
    ...     def step(self, action):
    ...         if not np.isfinite(action).all(): raise ToyflowError(f"action {action} is not finite.")
    ...         self.height += 0.1 * float(np.clip(action, -1, 1)[0])
    ...         return self.height <= 0
    ...     def close(self): pass
    >>> environment = Button("buttons", 0)
    >>> environment.reset(seed=0, init_state=1)
    >>> [environment.step(np.array([-1.0])) for _ in range(2)]
    [False, True]
    """

    name: ClassVar[str]
    absolute: ClassVar[bool] = False
    action_names: ClassVar[tuple[str, ...]] = ()
    actions_in_state_units: ClassVar[bool] = True
    action_bounds: ClassVar[tuple[Bound, Bound]] = (-1.0, 1.0)
    state_names: ClassVar[tuple[str, ...]] = ()
    two_sided: ClassVar[tuple[str, ...]] = ()
    interface: Interface

    @classmethod
    @abstractmethod
    def suites(cls) -> Sequence[str]:
        """Names of the suites that are installed, cheaply: no scene is built."""

    @classmethod
    def declared_suites(cls) -> Sequence[str]:
        """Names of the suites that there are once all is installed, which a shell completes: at once, without
        importing a simulator. Unless said otherwise, `suites()`."""
        return cls.suites()

    @classmethod
    @abstractmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        """The tasks of `suite`, `tasks(suite)[i].index == i`. Raises UsageError where there is no such
        suite."""

    @classmethod
    @abstractmethod
    def assets(cls) -> str:
        """What the scenes are made of, as results record it, in a word without spaces: `own`, unless some
        files may be others than the simulator's; see `toyflow.scene_assets`. Raises UsageError where there
        are none."""

    @classmethod
    def assets_of(cls, tasks: Iterable[SuiteTask]) -> str:
        """What the scenes of these tasks are made of: `assets`, and what some of them need beyond, such as
        `whole+archive`."""
        return scene_assets.with_extra(cls.assets(), (task.extra_assets for task in tasks))

    @classmethod
    def from_openpi(cls, actions: Float[np.ndarray, "*chunk action"]) -> Float[np.ndarray, "*chunk action"]:
        """Actions of openpi's policies for this robot as actions of this environment."""
        return actions

    @classmethod
    def to_openpi(cls, actions: Float[np.ndarray, "*chunk action"]) -> Float[np.ndarray, "*chunk action"]:
        """The reverse of `from_openpi`."""
        return actions

    @abstractmethod
    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: str = "fast") -> None:
        """A simulator of one task.

        Args:
            task: index of the task in `tasks(suite)`.
            image_size: side in pixels of the images that `observe` gives.
            rendering: `fast`, or `libero` with its shadows and smooth edges; see `TrialOptions`. A simulator
                that renders in one way only ignores it.
        """

    @abstractmethod
    def reset(self, seed: int, init_state: int | None = None) -> None:
        """Start an episode, and return when objects have settled.

        Args:
            seed: seed of a random initial state.
            init_state: number of an official initial state, from 0; with one, `seed` is not used for the
                state.

        Raises:
            UsageError: there is no such initial state.
        """

    @abstractmethod
    def observe(self) -> Observation:
        """The present observation. Only this and `views` render, as rendering is slow."""

    @abstractmethod
    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """Carry out one action for 1 / fps seconds; whether the task is now solved.

        Args:
            action: in the units of `action_bounds`; values outside these are clipped.

        Raises:
            ToyflowError: an action is not finite.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the simulator."""

    @classmethod
    def clipped(cls, action: Float[np.ndarray, "action"]) -> Float[np.ndarray, "action"]:
        """The action within `action_bounds`."""
        return np.clip(action, *cls.action_bounds)

    def views(self) -> Mapping[str, UInt8[np.ndarray, "height width 3"]]:
        """Images by camera for a video, by default those that are observed; none is no video."""
        return self.observe().images

    def score(self) -> float | None:
        """How well the present episode went, in 0..1, the best so far; None, the default, where only success
        counts."""
        return None

    def still(self) -> Float[np.ndarray, "action"]:
        """The action that leaves the robot where it is: zero by default; override it where actions are
        positions."""
        return np.zeros(self.interface.action_dim)

    def expert(self, seed: int) -> Expert:
        """A scripted expert for the episode that has just begun. Raises UsageError where there is none."""
        raise UsageError(f"environment {self.name!r} has no scripted expert.")


def start_stream(task: SuiteTask, seed: int, init_state: int | None) -> list[int]:
    """What seeds an episode's start where official initial states are drawn from the distribution of the
    random ones: in a random stream of their own.

    >>> start_stream(SuiteTask(0, "press", "press it", 5, 20), seed=7, init_state=None)
    [1, 7]

    Raises:
        UsageError: the task has no such initial state.
    """
    if init_state is None:
        return [1, seed]
    if not 0 <= init_state < task.init_states:
        raise UsageError(
            f"{task.name} has no initial state {init_state}; it has 0 to {task.init_states - 1}."
        )
    return [0, init_state]


def finite(action: Float[np.ndarray, "action"]) -> Float[np.ndarray, "action"]:
    """The action in double precision. Raises ToyflowError where it is not finite."""
    if not np.isfinite(action).all():
        raise ToyflowError(f"an action is not finite: {np.asarray(action).tolist()}.")
    return np.asarray(action, np.float64)


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
