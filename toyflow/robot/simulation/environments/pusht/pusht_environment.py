"""Push-T as an environment of toyflow, with images or by the state alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from toyflow.robot.interface import Interface, Observation
from toyflow.robot.simulation.environment import (
    Environment,
    Expert,
    SuiteTask,
    check_suite,
    find_tasks,
    finite,
    start_stream,
)
from toyflow.robot.simulation.environments.pusht.board import RATE, SIDE, SOLVED, check_installed, open_board
from toyflow.robot.simulation.environments.pusht.pushing import PushExpert

SUITE = "pusht"
CAMERA = "image"
PROMPT = "Push the T-shaped block onto the T-shaped target."
INIT_STATES, MAX_STEPS = 100, 300
AGENT_NAMES = ("agent_x", "agent_y")
STATE_NAMES = (*AGENT_NAMES, "block_x", "block_y", "block_cos", "block_sin")


def full_state(pose: Float[np.ndarray, "*batch pose=5"]) -> Float32[np.ndarray, "*batch state=6"]:
    """The state of `pusht-state` of gym-pusht's: agent x and y, block x and y in pixels, and its angle in
    radians, which becomes cosine and sine, as an angle jumps at 2 pi.

    >>> full_state(np.array([10.0, 20.0, 256.0, 256.0, np.pi])).round(3).tolist()
    [10.0, 20.0, 256.0, 256.0, -1.0, 0.0]
    """
    angle = pose[..., 4:]
    return np.concatenate([pose[..., :4], np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


class PushT(Environment):
    """Push-T from images: state and actions are positions on a board of 512 pixels, the agent's and its
    target's, as in the data set `lerobot/pusht`.

    The task is solved where the block covers more than 95 % of its target within 300 steps, as in Diffusion
    Policy. The score is the field's: the best coverage so far, divided by 0.95, at most 1. The 100 official
    initial states are drawn by gym-pusht's own reset, from seeds that no random reset uses; they are not
    the seeds from 100000 on of Diffusion Policy, whose generator gym-pusht does not have.
    """

    name = "pusht"
    absolute = True
    action_names = ("x", "y")
    action_bounds = (0.0, SIDE)
    state_names = AGENT_NAMES
    interface = Interface(cameras=(CAMERA,), state_dim=2, action_dim=2, fps=RATE)

    @classmethod
    def suites(cls) -> Sequence[str]:
        """See the base class."""
        return (SUITE,)

    @classmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        """See the base class."""
        check_suite(cls, suite)
        return [SuiteTask(0, SUITE, PROMPT, INIT_STATES, MAX_STEPS)]

    @classmethod
    def assets(cls) -> str:
        """See the base class."""
        check_installed()
        return "own"

    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: str = "fast") -> None:
        """Load the simulator. It renders in one way only."""
        self.task = find_tasks(type(self), suite, [task])[0]
        self._image_size = image_size
        self.board = open_board()
        self._best = 0.0

    def reset(self, seed: int, init_state: int | None = None) -> None:
        """See the base class. Raises UsageError where there is no such initial state."""
        stream = start_stream(self.task, seed, init_state)
        self.board.reset(seed=int(np.random.SeedSequence(stream).generate_state(1)[0]))
        self._best = 0.0

    def observe(self) -> Observation:
        """See the base class."""
        return Observation(self.views(), self.pose[:2].astype(np.float32), self.task.prompt)

    def views(self) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
        """See the base class: rendered as the demonstrations were, then resized with antialiasing."""
        image = self.board._render()
        if image.shape[0] != self._image_size:
            size = (self._image_size, self._image_size)
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        return {CAMERA: image}

    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """See the base class. Raises ToyflowError for an action that is not finite."""
        *_, outcome = self.board.step(self.clipped(finite(action)))
        self._best = max(self._best, float(outcome["coverage"]))
        return bool(outcome["is_success"])

    def score(self) -> float:
        """See the base class."""
        return min(self._best / SOLVED, 1.0)

    def still(self) -> Float[np.ndarray, "action"]:
        """See the base class: the agent's present position."""
        return self.pose[:2]

    def close(self) -> None:
        """See the base class."""
        self.board.close()

    def expert(self, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return PushExpert(self.board)

    @property
    def pose(self) -> Float[np.ndarray, "pose=5"]:
        """gym-pusht's state: agent x and y, block x and y in pixels, the block's angle in radians."""
        return self.board.get_obs()


class PushTState(PushT):
    """Push-T without images: the state is the agent's position, the block's, and the cosine and sine of the
    block's angle, so that a policy learns to act without learning to see."""

    name = "pusht-state"
    state_names = STATE_NAMES
    interface = Interface(cameras=(), state_dim=len(STATE_NAMES), action_dim=2, fps=RATE)

    def observe(self) -> Observation:
        """See the base class. Nothing is rendered."""
        return Observation({}, full_state(self.pose), self.task.prompt)
