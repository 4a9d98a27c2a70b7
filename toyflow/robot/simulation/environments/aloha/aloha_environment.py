"""Cube transfer between two arms, as an environment of toyflow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8

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
from toyflow.robot.simulation.environments.aloha.aloha_scene import (
    ARMS,
    JOINTS,
    RATE,
    Actions,
    AlohaScene,
    from_gym,
    scene_file,
    to_gym,
)
from toyflow.robot.simulation.environments.aloha.cube_transfer import CubeTransfer
from toyflow.robot.simulation.environments.rendering import Cameras, Rendering

SUITE = "transfer_cube"
PROMPT = "pick up the red cube with the right arm and hand it to the left arm"
CAMERAS = ("top", "angle")
INIT_STATES, MAX_STEPS = 100, 400
CUBE_LOW, CUBE_HIGH = (0.0, 0.4, 0.05), (0.2, 0.6, 0.05)
"""Bounds of the cube's random position in metres, as in gym-aloha."""
NO_GROUP = 5
"""A geometry group that the scene does not use, so that nothing is hidden."""


class Aloha(Environment):
    """Cube transfer. State and cameras are gym-aloha's; its actions are scaled to [-1, 1] and so no angles,
    see `AlohaScene`.

    gym-aloha has no official initial states: these are 100 positions of the cube, drawn once from the
    distribution of the random ones and with other seeds. Success is defined as in gym-aloha.
    """

    name = "aloha"
    absolute = True
    actions_in_state_units = False
    action_names = tuple(f"{arm}_{joint}" for arm in ARMS for joint in JOINTS)
    interface = Interface(cameras=CAMERAS, state_dim=14, action_dim=14, fps=RATE)

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
        scene_file()
        return "own"

    @classmethod
    def from_openpi(cls, actions: Actions) -> Actions:
        """See the base class: they are gym-aloha's."""
        return from_gym(actions)

    @classmethod
    def to_openpi(cls, actions: Actions) -> Actions:
        """See the base class."""
        return to_gym(actions)

    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: Rendering = "fast") -> None:
        """Load the scene, which takes a second."""
        self.task = find_tasks(type(self), suite, [task])[0]
        self._image_size = image_size
        self._rendering: Rendering = rendering
        self.scene = AlohaScene()

    def reset(self, seed: int, init_state: int | None = None) -> None:
        """See the base class. Raises UsageError where there is no such initial state."""
        stream = start_stream(self.task, seed, init_state)
        self.scene.reset(np.random.default_rng(stream).uniform(CUBE_LOW, CUBE_HIGH))

    def observe(self) -> Observation:
        """See the base class."""
        return Observation(self.views(), self.scene.state, self.task.prompt)

    def views(self) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
        """See the base class."""
        return {camera: self._cameras.image(self.scene.data, camera) for camera in CAMERAS}

    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """See the base class. Raises ToyflowError for an action that is not finite."""
        self.scene.step(finite(action))
        return self.scene.handed_over

    def still(self) -> Float[np.ndarray, "action"]:
        """See the base class: the last action."""
        return self.scene.ctrl

    def close(self) -> None:
        """See the base class."""
        if cameras := vars(self).pop("_cameras", None):
            cameras.close()

    def expert(self, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return CubeTransfer(self.scene)

    @cached_property
    def _cameras(self) -> Cameras:
        return Cameras(self.scene.model, self._image_size, self._rendering, hidden=NO_GROUP)


class AlohaState(Aloha):
    """Cube transfer without images: the state is followed by the cube's position in metres, so that a policy
    learns to act without learning to see."""

    name = "aloha-state"
    interface = Interface(cameras=(), state_dim=17, action_dim=14, fps=RATE)

    def observe(self) -> Observation:
        """See the base class. Nothing is rendered."""
        state = np.concatenate([self.scene.state, self.scene.cube.astype(np.float32)])
        return Observation({}, state, self.task.prompt)
