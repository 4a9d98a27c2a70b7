"""The planner: a trained policy that turns observations into chunks of actions, in K steps from M noises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import Latency

if TYPE_CHECKING:  # it loads torch, which the processes of simulators do without
    from toyflow.flow import Decoding


class Commitment(NamedTuple):
    """What a new chunk should agree with: the actions that are left of the present chunk.

    Attributes:
        actions: in the robot's units; the first is meant for the step of the new chunk's first action.
        frozen: how many of them will have been carried out when the new chunk arrives, as far as is known.
    """

    actions: Float32[np.ndarray, "left action"]
    frozen: int

    def check(self, dims: int) -> None:
        """Raise UsageError, in one line, unless these are finite actions of `dims` numbers."""
        if self.actions.ndim != 2 or self.actions.shape[1] != dims:
            raise UsageError(f"committed actions have shape [left, {dims}], not {list(self.actions.shape)}.")
        if not np.isfinite(self.actions).all():
            raise UsageError("some committed actions are not finite.")


class PlanLost(ToyflowError):
    """There is no plan this time, through no fault of the observation: a server was lost, was silent for too
    long or answered with something else. The caller may ask again; in one line."""


class Planner(ABC):
    """A trained policy with a way to decode. Evaluation, robots and the server use it through this.

    It promises:
        - `plan` gives one chunk [horizon, action] for each observation, in the robot's units, not clipped:
          the caller enforces limits, and carries out as many of its actions as it likes.
        - With M draws, `plan` gives the mean of the M `answers` from M noises: M / 2 pairs x0, -x0.
        - A plan is a function of its observation, its seed and the decoding. No state is kept between plans,
          and the plans of [a, b] are those of [a] and of [b], up to rounding. Numbers may be nan or inf where
          the network gives such: the caller checks (on a robot, `runtime.control.safety`).
        - An observation that lacks a camera or has a state of another length raises UsageError in one line.
        - It is called from one thread at a time.

    Subclasses: `FlowPlanner` for toyflow's policies, `LeRobotPlanner` for LeRobot's, `RemotePlanner` for
    policies behind a server, which alone may raise `PlanLost`.

    Attributes:
        decoding: steps, sampler, grid and draws; set by `set_decoding`.
        interface: the cameras, state and action that it was trained on.
        image_size: side in pixels of the images that the network sees; others are resized.
        horizon: actions of a chunk.
        replan: actions of a chunk to execute before the next plan, unless the user chooses another number.
        history: number of observations that it reads, the present one included; see `Observation.before`.
        model_calls: calls of the network for one plan; draws share a call.
        stage_seconds: seconds by stage, summed over all plans: `condition` and `decoding`, or one of them;
            `network` for a policy behind a server.
        lives: how often what plans was lost and had to begin anew, as a server that is restarted. An
            evaluation starts an episode again rather than mix the plans of two lives.
        is_remote: whether servers plan.

    >>> from toyflow.flow import Decoding
    >>> from toyflow.robot.latency import Times
    >>> class Still(Planner):
    ...     interface, image_size, horizon, replan = Interface((), 2, 2, fps=10), 1, 5, 5
    ...     stage_seconds = defaultdict(float)
    ...     def set_decoding(self, decoding):
    ...         self.decoding, self.model_calls = decoding, decoding.steps
    ...     def answers(self, observations, seeds, draws):
    ...         one = np.stack([np.tile(each.state, (self.horizon, 1)) for each in observations])
    ...         return np.stack([one] * draws)
    ...     def latencies(self, decodings):
    ...         return [Latency(Times(0, 0), Times(0, 0), Times(0, 0))] * len(decodings)
    >>> planner = Still()
    >>> planner.set_decoding(Decoding(steps=1, draws=2))
    >>> planner.plan([planner.any_observation()], seeds=[0]).shape
    (1, 5, 2)
    """

    decoding: Decoding
    interface: Interface
    image_size: int
    horizon: int
    replan: int
    history: int = 1
    model_calls: int
    stage_seconds: defaultdict[str, float]
    lives: int = 0
    is_remote: bool = False

    @property
    def takes_noise(self) -> bool:
        """Whether a plan depends on normal noise, so that the answers of several draws differ."""
        return True

    @property
    def is_random_otherwise(self) -> bool:
        """Whether plans differ between seeds though no normal noise decides them, as where a policy draws one
        of several codes: such draws are no pairs x0, -x0, and are not averaged."""
        return False

    @property
    def takes_seeds(self) -> bool:
        """Whether the seed decides the noise of a plan; not so of servers that draw their own."""
        return True

    @abstractmethod
    def set_decoding(self, decoding: Decoding) -> None:
        """Decode in this way from now on.

        Args:
            decoding: steps, sampler, grid and draws; a sampler of None is euler, or the policy's own.

        Raises:
            UsageError: the policy cannot decode so: the number of steps, the grid, or draws without noise.
        """

    def compile(self) -> None:
        """Let PyTorch compile the network: the same plans, up to rounding, in less time. The first plan of a
        new batch size then takes long.

        Raises:
            UsageError: a policy of this kind is not compiled here.
        """
        raise UsageError("--compile supports toyflow policies only.")

    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """A chunk of actions for each observation, in the robot's units: the mean of `answers` over the draws
        of the decoding.

        Args:
            observations: a batch of one or more observations, which need not belong together.
            seeds: one per observation; all randomness of its plan comes from it.

        Raises:
            UsageError: an observation lacks something; in one line.
        """
        answers = self.answers(observations, seeds, self.decoding.draws)
        return answers.mean(0, dtype=np.float64).astype(np.float32)  # exact where the answers are equal

    def check_continues(self) -> None:
        """Raise UsageError, in one line, unless the policy can `continue_plan`."""
        raise UsageError(
            "--handover rtc is for toyflow policies with objective flow and LeRobot's pi0, pi05 and smolvla; "
            "take switch, blend or ensemble."
        )

    @property
    def can_continue(self) -> bool:
        """Whether the policy can `continue_plan`."""
        try:
            self.check_continues()
        except UsageError:
            return False
        return True

    def continue_plan(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        committed: Sequence[Commitment | None],
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """As `plan`, but each chunk goes on from what is committed: its first actions are the frozen ones,
        and the following ones agree with what was planned, less and less.

        Args:
            observations, seeds: as for `plan`.
            committed: one per observation; None where nothing is.

        Raises:
            UsageError: as `plan`, or the policy cannot, or a commitment does not fit its actions.
        """
        self.check_continues()
        raise NotImplementedError

    @abstractmethod
    def answers(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        """The chunk that the policy decodes from each of `draws` noises, in the robot's units.

        The noises of a seed are pairs x0, -x0, see `draw_noise`: the first is that of one draw, the first two
        are those of two draws, and so on.

        Args:
            observations, seeds: as for `plan`.
            draws: 1 or an even number, in place of that of the decoding.

        Raises:
            UsageError: an observation lacks something, or several draws of a policy that takes no noise.
        """

    def close(self) -> None:  # noqa: B027
        """Release what it holds, such as connections. It may be used again, and takes it up anew."""

    def any_observation(self) -> Observation:
        """A blank observation that fits the policy, for timing and warming up."""
        return any_observation(self.interface, self.image_size, self.history)

    def any_commitment(self) -> Commitment:
        """What `continue_plan` may be told, for timing and warming up."""
        left = max(1, self.horizon // 2)
        return Commitment(np.zeros((left, self.interface.action_dim), np.float32), frozen=1)

    @abstractmethod
    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        """Measure how long a plan of one observation takes, and its parts, for each of these decodings; takes
        seconds. All are timed in turns, so that a busy moment of the machine affects all alike.

        Raises:
            UsageError: the policy cannot decode so.
        """

    def latency(self) -> Latency:
        """`latencies` of the present decoding."""
        return self.latencies([self.decoding])[0]


def any_observation(interface: Interface, image_size: int, history: int = 1) -> Observation:
    """A blank observation for timing and warming up. Its images are twice the policy's size, so that
    resizing, which loads a library, is included."""
    side = 2 * image_size
    images = {camera: np.zeros((side, side, 3), np.uint8) for camera in interface.cameras}
    observation = Observation(images, np.zeros(interface.state_dim, np.float32), "pick up the thing")
    return observation._replace(before=(observation,) * (history - 1))
