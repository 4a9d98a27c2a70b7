"""Tasks at the station of two YAM arms, as environments of toyflow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

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
from toyflow.robot.simulation.environments.rendering import Cameras, Rendering
from toyflow.robot.simulation.environments.yam import model_files
from toyflow.robot.simulation.environments.yam.station import ACTIONS, HIGH, LOW, RATE, Station
from toyflow.robot.simulation.environments.yam.station_model import CAMERAS
from toyflow.robot.simulation.environments.yam.suites import SUITES

INIT_STATES = 100
OBJECTS = 4
POSE_PARTS = ("x", "y", "z", "xx", "yx", "zx", "xy", "yy", "zy")
"""Places for objects in the state of `yam-state`, and the numbers of each: position and two columns of the
rotation."""


class Yam(Environment):
    """Two YAM arms. Names, units and order of state and action are those of LeRobot's bimanual driver, so
    that a policy moves between simulation and arms unchanged.

    The 100 official initial states of a task are drawn once from the distribution of the random ones, with
    other seeds.
    """

    name = "yam"
    absolute = True
    action_names = ACTIONS
    action_bounds = (LOW, HIGH)
    state_names = ACTIONS
    interface = Interface(cameras=tuple(CAMERAS), state_dim=14, action_dim=14, fps=RATE)

    @classmethod
    def suites(cls) -> Sequence[str]:
        """See the base class."""
        return tuple(SUITES)

    @classmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        """See the base class."""
        check_suite(cls, suite)
        return [
            SuiteTask(index, task.name, task.prompt, INIT_STATES, task.max_steps)
            for index, task in enumerate(SUITES[suite])
        ]

    @classmethod
    def assets(cls) -> str:
        """See the base class: `own`, or another version of the model files."""
        model_files.station_file()
        return model_files.recorded()

    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: Rendering = "fast") -> None:
        """Build the scene, which takes a second."""
        self.task = find_tasks(type(self), suite, [task])[0]
        self._image_size = image_size
        self._rendering: Rendering = rendering
        self.station_task = SUITES[suite][task]
        self.station = Station(self.station_task.add_bodies)

    def reset(self, seed: int, init_state: int | None = None) -> None:
        """See the base class. Raises UsageError where there is no such initial state."""
        stream = start_stream(self.task, seed, init_state)
        place_bodies = partial(self.station_task.reset, self.station)
        self.station.reset(np.random.default_rng(stream), place_bodies)

    def observe(self) -> Observation:
        """See the base class."""
        return Observation(self.views(), self.station.state, self.task.prompt)

    def views(self) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
        """See the base class."""
        return {camera: self._cameras.image(self.station.data, camera) for camera in CAMERAS}

    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """See the base class. Raises ToyflowError for an action that is not finite."""
        self.station.step(finite(action))
        return self.station_task.solved(self.station)

    def still(self) -> Float[np.ndarray, "action"]:
        """See the base class: the last action."""
        return self.station.target

    def close(self) -> None:
        """See the base class."""
        if cameras := vars(self).pop("_cameras", None):
            cameras.close()

    def expert(self, seed: int) -> Expert:
        """See the base class."""
        return self.station_task.expert(self.station, seed)

    @cached_property
    def _cameras(self) -> Cameras:
        return Cameras(self.station.model, self._image_size, self._rendering)


class YamState(Yam):
    """Two YAM arms without images: the state is followed by the poses of the task's objects, as position in
    metres and the first two columns of the rotation, with zeros for those that a task does not have, so that
    a policy learns to act without learning to see."""

    name = "yam-state"
    state_names = (*ACTIONS, *(f"object{number}_{part}" for number in range(OBJECTS) for part in POSE_PARTS))
    interface = Interface(cameras=(), state_dim=14 + OBJECTS * len(POSE_PARTS), action_dim=14, fps=RATE)

    def observe(self) -> Observation:
        """See the base class. Nothing is rendered."""
        poses = np.zeros((OBJECTS, len(POSE_PARTS)), np.float32)
        for place, body in zip(poses, self.station_task.objects, strict=False):
            place[:] = self.station.pose(body)
        return Observation({}, np.concatenate([self.station.state, poses.ravel()]), self.task.prompt)
