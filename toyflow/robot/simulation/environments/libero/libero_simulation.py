"""One LIBERO task in robosuite: objects placed reproducibly, and control steps without unused
computations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
from jaxtyping import Float, Shaped

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments.libero import package
from toyflow.robot.simulation.environments.rendering import load_mujoco

ATTEMPTS = 10
"""Attempts to place all objects; robosuite tries 5000 positions per object in each."""

T = TypeVar("T")


class LiberoSimulation:
    """robosuite's environment for a BDDL file. The model is compiled once, when this is made."""

    def __init__(self, bddl_file: Path, assets: Path) -> None:
        self._mujoco = load_mujoco()
        package.load("")._assets_path_cache = str(assets)
        make = package.load("envs.env_wrapper").ControlEnv
        self._wrapper: Any = _placed(
            lambda: make(
                bddl_file_name=str(bddl_file),
                use_camera_obs=False,
                has_offscreen_renderer=False,
                hard_reset=False,
            ),
            seed=0,
        )
        self._env: Any = self._wrapper.env
        self._site_rgba = self.model.site_rgba.copy()
        self._observation: dict[str, Any] | None = None

    @property
    def model(self) -> Any:
        """The mujoco.MjModel."""
        return self._env.sim.model._model

    @property
    def data(self) -> Any:
        """The mujoco.MjData."""
        return self._env.sim.data._data

    @property
    def robot(self) -> Any:
        """robosuite's robot; `init_qpos`, set before a reset, is where its joints start and rest."""
        return self._env.robots[0]

    @property
    def observation(self) -> Mapping[str, Shaped[np.ndarray, "..."]]:
        """robosuite's observation of the present state without images: the robot, and every object's pose."""
        if self._observation is None:
            self._observation = dict(self._env._get_observations(force_update=True))
        return self._observation

    @property
    def goal(self) -> list[list[str]]:
        """The conditions that must all hold: `[["in", "milk_1", "basket_1_contain_region"]]`."""
        return self._env.parsed_problem["goal_state"]

    def place(self, seed: int) -> None:
        """Place all objects at random, by `seed` alone. Raises ToyflowError where there is no room for
        all."""
        self._rewind()
        _placed(self._env.reset, seed)
        self._observation = None

    def set_state(self, state: Float[np.ndarray, "time_qpos_qvel"]) -> None:
        """Set robot and objects to a state of MuJoCo; fixtures are not part of it and stay."""
        self._wrapper.set_init_state(state)
        self._observation = None

    def step(self, action: Float[np.ndarray, "action"]) -> bool:
        """One control step, bit for bit that of robosuite; returns whether the goal is reached.

        robosuite computes forward dynamics three times in each of its physics steps: before it asks the
        controller, in the controller, and in `mj_step`. Two halves of one `mj_step`, with the controller
        in between, give the same numbers in two thirds of the time.
        """
        env, sim, model, data = self._env, self._env.sim, self.model, self.data
        sim.forward = _nothing
        try:
            for substep in range(int(env.control_timestep / env.model_timestep)):
                self._mujoco.mj_step1(model, data)
                env._pre_action(action, policy_step=substep == 0)
                self._mujoco.mj_step2(model, data)
        finally:
            del sim.forward
        env._post_process()
        self._observation = None
        return bool(env._check_success())

    def close(self) -> None:
        """Free the model."""
        self._env.close()

    def _rewind(self) -> None:
        """Undo changes of the last episode that robosuite's soft reset leaves. (Its hard reset compiles the
        model again: slower, and on some tasks not reproducible.)"""
        for body, (position, quaternion) in self._fixtures_origin.items():
            self.model.body_pos[body], self.model.body_quat[body] = position, quaternion
        self.model.site_rgba[:] = self._site_rgba
        for robot in self._env.robots:
            robot.gripper.current_action = np.zeros(robot.gripper.dof)

    @cached_property
    def _fixtures_origin(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Position and quaternion of each fixture's body from its file. LIBERO relies on them when it places
        objects in a drawer or on a stove, and overwrites them when it places fixtures."""
        numbers = import_module("robosuite.utils.mjcf_utils").string_to_array
        origin = {}
        for name in (fixture.root_body for fixture in self._env.fixtures):
            element = self._env.model.worldbody.find(f".//body[@name='{name}']")
            pose = numbers(element.get("pos", "0 0 0")), numbers(element.get("quat", "1 0 0 0"))
            origin[self._env.sim.model.body_name2id(name)] = pose
        return origin


def _placed(place: Callable[[], T], seed: int) -> T:
    no_room = import_module("robosuite.utils.errors").RandomizationError
    for attempt in range(ATTEMPTS):
        with _global_random_numbers(seed, attempt), patch("pdb.set_trace", _nothing):
            try:
                return place()
            except no_room:
                continue
    raise ToyflowError(f"no room for all objects in {ATTEMPTS} attempts from seed {seed}; take another seed.")


@contextmanager
def _global_random_numbers(*seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which LIBERO draws from, and restore it afterwards."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(seed).generate_state(8))
    try:
        yield
    finally:
        np.random.set_state(before)


def _nothing() -> None: ...
