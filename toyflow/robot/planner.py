"""What acts: observations to chunks of actions, in as many steps as asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import Latency


class Planner(ABC):
    """A trained policy, and the number of steps in which it decodes.

    Attributes:
        steps: K; see `set_num_steps`.
        interface: what it sees and answers.
        image_size: side in pixels of the images that it looks at; others are resized.
        horizon: actions of a chunk.
        replan: actions of a chunk that it is meant to carry out before it looks again, unless told otherwise.
        history: how many moments it looks at, the present one included; see `Observation.before`.
        model_calls: of the network, for one plan.
        stage_seconds: seconds by stage, of all plans so far; one of the stages is `condition`.
    """

    steps: int
    interface: Interface
    image_size: int
    horizon: int
    replan: int
    history: int = 1
    model_calls: int
    stage_seconds: defaultdict[str, float]

    @abstractmethod
    def set_num_steps(self, steps: int, sampler: str | None = None) -> None:
        """Decode in `steps` steps from now on, by `sampler` where the objective uses one (euler).

        Raises:
            UsageError: it cannot decode in so many.
        """

    def compile(self) -> None:
        """Let PyTorch compile the network, for plans of the same values in less time. The first plan for a
        new size of batch then takes long.

        Raises:
            UsageError: a policy of this kind is not compiled here.
        """
        raise UsageError("only policies of toyflow's own are compiled; some of LeRobot's have compile_model.")

    @abstractmethod
    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """A chunk for each observation; all its randomness comes from the seed beside it.

        Raises:
            UsageError: an observation lacks something; in one line.
        """

    def any_observation(self) -> Observation:
        """Something that it could be shown."""
        return any_observation(self.interface, self.image_size, self.history)

    @abstractmethod
    def latency(self) -> Latency:
        """How long a plan of one observation takes, and its parts."""


def any_observation(interface: Interface, image_size: int, history: int = 1) -> Observation:
    """For timing and warming up: what is seen makes no difference to them. Its images are not of the policy's
    size, so that resizing, which loads a library, is part of it."""
    side = 2 * image_size
    images = {camera: np.zeros((side, side, 3), np.uint8) for camera in interface.cameras}
    moment = Observation(images, np.zeros(interface.state_dim, np.float32), "pick up the thing")
    return moment._replace(before=(moment,) * (history - 1))
