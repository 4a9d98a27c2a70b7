"""What a robot is: something to look at, to send actions to, and to bring to rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError, unknown
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits


@dataclass(frozen=True)
class RobotSettings:
    """What a user says about the robot. A robot takes what concerns it.

    Attributes:
        argument: what follows the colon in `--robot NAME:ARGUMENT`.
        policy: what the policy sees and answers; a replay has the recorded robot's.
        action_names: of the recorded robot, in a replay.
        prompt: the task in words, for a robot that has none of its own.
        suite, task, states, seed: of a simulator: episode e starts from `states[e]`, again from the first
            after the last, or from random states drawn by seed + e where there are none.
        cameras: the policy's name of a camera by the robot's, where they differ.
        options: the robot's own, as `--set NAME=VALUE` gives them.
    """

    policy: Interface
    argument: str = ""
    action_names: tuple[str, ...] = ()
    prompt: str = ""
    suite: str | None = None
    task: int = 0
    states: tuple[int, ...] = ()
    seed: int = 0
    image_size: int = 128
    rendering: str = "fast"
    cameras: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, own: Sequence[str], robot: str) -> dict[str, str]:
        """The policy's name of each of the robot's `own` cameras.

        Raises:
            UsageError: `robot` lacks one that is renamed, or two would have one name.
        """
        for name in self.cameras:
            if name not in own:
                raise unknown(f"camera of {robot}", name, own)
        found: dict[str, str] = {}
        for name in own:
            theirs = self.cameras.get(name, name)
            if theirs in found.values():
                twin = next(each for each, its in found.items() if its == theirs)
                raise UsageError(f"{robot} would have two cameras {theirs}: {twin} and {name}.")
            found[name] = theirs
        return found


def shown(name: str) -> str:
    """The name of a number of an action, for people: `elbow`, or `action 3` where it is only counted."""
    return f"action {name}" if name.isdigit() else name


class Robot(ABC):
    """Subclass it in one file and declare it under the entry point group `toyflow.robots`; the module must
    import without the robot's packages. One thread uses it. Every action comes through
    `toyflow.robot.runtime.control.safety.Gate`, which alone calls `send`, `hold` and `stop`.

    Attributes:
        name: as logs show it.
        interface: cameras, state, action, and the rate at which it is driven; rate 0 is the policy's.
        limits: of its actions, as far as it knows them.
        action_names: of the numbers of an action, such as motors; empty where they have none.
        stepped: whether its time stands still between actions, as a simulator's does. Then the loop waits for
            nothing, and is deterministic.
        longest: control steps after which an episode ends; None for no end.
    """

    name: str
    interface: Interface
    limits: Limits = Limits()
    action_names: tuple[str, ...] = ()
    stepped: bool = False
    longest: int | None = None

    @classmethod
    @abstractmethod
    def open(cls, settings: RobotSettings) -> Robot:
        """The robot, not yet connected. Raises UsageError for what is missing or makes no sense."""

    @abstractmethod
    def connect(self) -> None:
        """Make it ready to move, without moving it. Raises ToyflowError where it does not answer."""

    @abstractmethod
    def observe(self) -> Observation:
        """What it sees now; images by the policy's camera names."""

    @abstractmethod
    def send(self, action: Float[np.ndarray, "action"]) -> None:
        """Carry out one action, in the units of the policy's data; returns at once where time is real."""

    @abstractmethod
    def hold(self) -> Float[np.ndarray, "action"] | None:
        """Stay: no further motion, motors on. Called at every step that has no action; never raises for being
        called again. The action that was sent for it, nan in a dimension that was left alone; None where none
        was."""

    def stop(self) -> None:
        """Come to rest for good, safely; also after an error. It must not drop what it holds up: a hold
        unless overridden."""
        self.hold()

    @abstractmethod
    def disconnect(self) -> None:
        """Let go of it, at rest or not; also after `connect` has failed."""

    def begin(self, episode: int) -> None:  # noqa: B027
        """Get ready for an episode, the first being 0. A robot without a way to reset itself does nothing."""

    def still(self) -> Float[np.ndarray, "action"] | None:
        """The action that would leave it as it was seen last, against which the first action's change is
        measured; nan in a dimension where there is none, None where actions are relative and there is none
        at all."""
        return None

    @property
    def solved(self) -> bool:
        """Whether the episode's task is known to be solved, which ends it."""
        return False

    def plan_seed(self, episode: int, noise_seed: int) -> int:
        """Seed of the noise of an episode's first plan; plan k has this plus k."""
        return int(np.random.SeedSequence([noise_seed, episode]).generate_state(1)[0])
