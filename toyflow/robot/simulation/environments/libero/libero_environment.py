"""LIBERO as an environment of toyflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.simulation.environment import Environment, Expert, SuiteTask, find_tasks
from toyflow.robot.simulation.environments.libero import assets, known_collections, package
from toyflow.robot.simulation.environments.libero.libero_simulation import LiberoSimulation
from toyflow.robot.simulation.environments.libero.pick_and_place import make_expert
from toyflow.robot.simulation.environments.rendering import Cameras, Rendering, choose_backend

CAMERAS = {"image": "agentview", "image2": "robot0_eye_in_hand"}
"""robosuite's camera by its name in LeRobot's data set `HuggingFaceVLA/libero`."""

IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])
"""The action that stays in place with the gripper open."""

SETTLING_STEPS = 10

_kind = cache(assets.kind)
"""Files are read and checked once in a process."""


class Libero(Environment):
    """One task of LIBERO, with the conventions of LeRobot's data set `HuggingFaceVLA/libero`.

    Images are robosuite's, rotated by 180 degrees: upright, and mirrored left to right. The state has 8
    numbers: the gripper's position in metres, its orientation as axis times angle in radians, and the
    positions of its two fingers in metres. The action has 7 in [-1, 1]: a relative movement of the gripper, a
    relative rotation (axis times angle), and the fingers, -1 to open and 1 to close.
    """

    name = "libero"
    actions_in_state_units = False
    action_names = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    state_names = (
        "x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3", "gripper1", "gripper2",
    )  # fmt: skip
    two_sided = ("gripper",)
    interface = Interface(cameras=tuple(CAMERAS), state_dim=8, action_dim=7, fps=20)

    @classmethod
    def suites(cls) -> Sequence[str]:
        """The suites that the installed LIBERO, or a fork of it, registers, and those of the benchmarks of
        `known_collections` that are installed."""
        return tuple(known_collections.suites())

    @classmethod
    def declared_suites(cls) -> Sequence[str]:
        """See the base class; LIBERO's own registry takes seconds to import."""
        return [suite for collection in known_collections.COLLECTIONS for suite in collection.names()]

    @classmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        """See the base class."""
        return known_collections.collection_of(suite).tasks(suite)

    @classmethod
    def assets(cls) -> str:
        """`whole`, or how many of LIBERO's files are not LIBERO's: `29-of-371-replaced`."""
        return _kind(assets.find())

    def __init__(self, suite: str, task: int, image_size: int = 128, rendering: Rendering = "fast") -> None:
        """See the base class. Compiles the task's scene, which takes seconds."""
        package.check_installed()
        choose_backend()
        self.task = find_tasks(type(self), suite, [task])[0]
        if self.task.missing:
            raise UsageError(f"{suite} task {task} cannot run here: {self.task.missing}")
        self._suite, self._image_size = suite, image_size
        self._rendering: Rendering = rendering
        self._scene = known_collections.collection_of(suite).scene(suite, task)
        folder = self._scene.assets()
        try:
            self._scene.prepare()
            self._simulation = LiberoSimulation(self._scene.bddl_file, folder)
            self._scene.adapt(self._simulation)
        except ToyflowError:
            raise
        except Exception as error:
            raise ToyflowError(
                f"{suite} task {task} cannot be built from the assets in {folder}: {first_line(error)}"
            ) from error

    @property
    def privileged(self) -> Mapping[str, Shaped[np.ndarray, "..."]]:
        """robosuite's true state, which no policy sees: `NAME_pos` (metres) and `NAME_quat` (x, y, z, w) of
        every object. Renders nothing."""
        return self._simulation.observation

    @property
    def goal(self) -> Sequence[Sequence[str]]:
        """The conditions of the task's BDDL file, each a predicate and names of objects or regions:
        `[["in", "milk_1", "basket_1_contain_region"]]`."""
        return self._simulation.goal

    def reset(self, seed: int, init_state: int | None = None) -> None:
        """See the base class. An official initial state has no poses of fixtures: its number seeds these.

        Raises:
            UsageError: there is no such initial state.
            ToyflowError: no room was found for all objects.
        """
        start = None if init_state is None else self._official(init_state)
        episode = seed if init_state is None else init_state
        self._scene.before_reset(self._simulation)
        self._simulation.place(episode)
        if start is not None:
            self._simulation.set_state(start)
        self._scene.after_reset(self._simulation, episode)
        for _ in range(SETTLING_STEPS):
            self._simulation.step(IDLE)

    def observe(self) -> Observation:
        """See the base class."""
        from robosuite.utils.transform_utils import (  # optional  # pyright: ignore[reportMissingImports]
            quat2axisangle,
        )

        seen = self.privileged
        images = {name: self._scene.image(name, image) for name, image in self.views().items()}
        rotation = quat2axisangle(seen["robot0_eef_quat"].copy())  # it writes to its argument
        state = np.concatenate([seen["robot0_eef_pos"], rotation, seen["robot0_gripper_qpos"]])
        return Observation(images, state.astype(np.float32), self.task.prompt)

    def views(self) -> Mapping[str, UInt8[np.ndarray, "height width 3"]]:
        """The cameras' images before the task's sensor noise, if it has any: that is drawn anew for each
        observation, so that a film must not draw from it."""
        data = self._simulation.data
        return {
            name: np.ascontiguousarray(self._cameras.image(data, camera)[:, ::-1])
            for name, camera in CAMERAS.items()
        }

    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """See the base class. Raises ToyflowError for an action that is not finite."""
        if not np.isfinite(action).all():
            raise ToyflowError(f"an action is not finite: {np.asarray(action).tolist()}.")
        return self._simulation.step(np.clip(action, -1, 1).astype(np.float64))

    def close(self) -> None:
        """See the base class."""
        if cameras := vars(self).pop("_cameras", None):
            cameras.close()
        self._simulation.close()

    def expert(self, seed: int) -> Expert:
        """See the base class."""
        return make_expert(self._simulation, self.task.prompt, self._scene.like)

    def _official(self, number: int) -> Float[np.ndarray, "time_qpos_qvel"]:
        states = self._scene.init_states
        if not 0 <= number < len(states):
            raise UsageError(
                f"{self._suite} task {self.task.index} has no initial state {number}; "
                f"it has 0 to {len(states) - 1}."
            )
        return states[number]

    @cached_property
    def _cameras(self) -> Cameras:
        return Cameras(self._simulation.model, self._image_size, self._rendering)
