"""The interface of robots: observe, send actions, bring to rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError, unknown
from toyflow.parsing import renaming_hint
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits


@dataclass(frozen=True)
class RobotSettings:
    """What a user chooses of a robot. A robot reads the fields that concern it.

    Attributes:
        policy: the policy's cameras, dimensions and rate; in a replay the recorded robot's.
        argument: what follows the colon in `--robot NAME:ARGUMENT`.
        action_names: names of the action's dimensions; given in a replay, for the recorded robot.
        prompt: the task in words, for a robot that has none of its own.
        suite, task: a simulator's suite, and the number of a task in it.
        states: initial states of a simulator. Episode e starts from `states[e % len(states)]`, or from a
            random state if there are none.
        seed: seed of random initial states; episode e has seed + e.
        image_size, rendering: side in pixels, and quality, of a simulator's images.
        cameras: {robot camera: policy camera}, where the names differ.
        options: the robot's own, from `--set NAME=VALUE`.
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

        Args:
            own: the robot's names of its cameras.
            robot: its name, for errors.

        Raises:
            UsageError: a renamed camera does not exist, or two cameras would have the same name.
        """
        for name, policys in self.cameras.items():
            if name not in own:
                hint = renaming_hint(
                    "POLICY=ROBOT, the policy's name first", f"{name}={policys}", policys in own
                )
                raise UsageError(f"{unknown(f'camera of {robot}', name, own)}{hint}")
        found: dict[str, str] = {}
        for name in own:
            theirs = self.cameras.get(name, name)
            if theirs in found.values():
                twin = next(each for each, its in found.items() if its == theirs)
                raise UsageError(f"{robot} would have two cameras {theirs}: {twin} and {name}.")
            found[name] = theirs
        return found


def display_name(name: str) -> str:
    """The name of a dimension as users see it: `elbow`, or `action 3` for a mere index."""
    return f"action {name}" if name.isdigit() else name


class Robot(ABC):
    """A robot that a policy can drive.

    Subclass it in a module that imports without the robot's packages, and declare the class under the entry
    point group `toyflow.robots`. Only one thread uses it, and only the safety gate calls `send`, `hold` and
    `stop`.

    Attributes:
        name: name in logs and messages.
        interface: cameras, state, action, and actions per second; a rate of 0 takes the policy's.
        limits: limits of its actions, as far as they are known.
        action_names: names of the action's dimensions, such as motors; empty where they have none.
        units: unit of each dimension by its name, None where it is unknown; empty for a robot whose actions
            have no units to mistake, as a simulator's.
        stepped: whether its time stands still between actions, as a simulator's. Then the loop waits for
            nothing, and is deterministic.
        longest: control steps after which an episode ends; None for no end.
        read_only: whether it takes no action, so that all that it is good for is a dry run.
        falls: whether `disconnect` takes the torque from joints that bear a load, or may: arms fall then.

    Example:
        >>> import numpy as np
        >>> from toyflow.robot.interface import Interface, Observation
        >>> class Slider(Robot):
        ...     name, interface = "slider", Interface(cameras=(), state_dim=1, action_dim=1, fps=10)
        ...     position = np.zeros(1, np.float32)
        ...
        ...     @classmethod
        ...     def open(cls, settings):
        ...         return cls()
        ...
        ...     def connect(self): ...
        ...     def disconnect(self): ...
        ...     def hold(self): ...
        ...
        ...     def observe(self):
        ...         return Observation({}, self.position, "slide")
        ...
        ...     def send(self, action):
        ...         self.position = np.float32(action)
        >>> slider = Slider.open(RobotSettings(policy=Slider.interface))
        >>> slider.send(np.array([0.5]))
        >>> slider.observe().state, slider.dimensions
        (array([0.5], dtype=float32), ('0',))
    """

    name: str
    interface: Interface
    limits: Limits = Limits()
    action_names: tuple[str, ...] = ()
    units: Mapping[str, str | None] = MappingProxyType({})
    stepped: bool = False
    longest: int | None = None
    read_only: bool = False
    falls: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of an action's dimensions: `action_names`, else their indices."""
        return self.action_names or tuple(map(str, range(self.interface.action_dim)))

    @classmethod
    @abstractmethod
    def open(cls, settings: RobotSettings) -> Robot:
        """Make the robot, not yet connected.

        Raises:
            UsageError: something is missing, or a setting makes no sense.
        """

    @abstractmethod
    def connect(self) -> None:
        """Make the robot ready to move, without moving it.

        Raises:
            ToyflowError: it does not answer.
        """

    @abstractmethod
    def observe(self) -> Observation:
        """Read cameras and state now; images by the policy's names of the cameras."""

    @abstractmethod
    def send(self, action: Float[np.ndarray, "action"]) -> None:
        """Carry out one action, in the units of the policy's data. In real time it returns at once."""

    @abstractmethod
    def hold(self) -> Float[np.ndarray, "action"] | None:
        """Stay in place, motors on. Called at every step without an action, so it may be called repeatedly.

        Returns:
            The action that was sent for it, nan in dimensions that were left alone; None if none was sent.
        """

    def stop(self) -> None:
        """Come to rest for good; also called after an error. The robot must not drop what it holds; by
        default it holds."""
        self.hold()

    @abstractmethod
    def disconnect(self) -> None:
        """Release the robot, whether or not it is at rest; also called after `connect` has failed."""

    def begin(self, episode: int) -> None:  # noqa: B027
        """Prepare an episode, counted from 0. A robot that cannot reset itself does nothing."""

    def still(self) -> Float[np.ndarray, "action"] | None:
        """The action that would leave the robot where it was last observed, from which the first action's
        step is measured. nan in dimensions where that is not known; None if actions are relative."""
        return None

    @property
    def resting(self) -> Float[np.ndarray, "action"] | None:
        """The values that mean rest in dimensions of the action that are velocities or changes, such as 0;
        nan in positions, which rest anywhere. None where all are positions."""
        return None

    @property
    def solved(self) -> bool:
        """Whether the episode's task is known to be solved, which ends the episode."""
        return False

    @property
    def score(self) -> float | None:
        """How well the present episode went, in 0..1; None where nothing says so, as on a real robot."""
        return None

    def plan_seed(self, episode: int, noise_seed: int) -> int:
        """Seed of the noise of an episode's first plan; plan k has this seed plus k."""
        return int(np.random.SeedSequence([noise_seed, episode]).generate_state(1)[0])
