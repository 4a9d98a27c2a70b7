"""LIBERO-Plus's suites, tasks and scenes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toyflow import scene_assets
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero.collection import Collection, InitStates, Scene
from toyflow.robot.simulation.environments.libero.plus import archive, plus_files, wheel_tables
from toyflow.robot.simulation.environments.libero.plus.robot_starts import start_pose
from toyflow.robot.simulation.environments.libero.plus.sensor_noise import Image, corrupt
from toyflow.robot.simulation.environments.libero.plus.task_names import PlusName
from toyflow.robot.simulation.environments.libero.suites import (
    VARIED,
    instruction,
    max_steps,
    read_init_states,
)

if TYPE_CHECKING:
    from toyflow.robot.simulation.environments.libero.libero_simulation import LiberoSimulation

WHOLE = "libero_plus"
"""The suite of all tasks."""

SUITES = {
    **{f"libero_plus_{suite.removeprefix('libero_')}": (suite,) for suite in VARIED},
    WHOLE: VARIED,
}
"""Which of LIBERO's suites each of LIBERO-Plus's varies."""

CAMERA, MOVED_CAMERA = "image", "agentview"
"""The camera that is moved and disturbed, as policies and as robosuite call it."""


class PlusSuites(Collection):
    """10,030 tasks, each with one official episode: a suite for each of LIBERO's, and one of all."""

    title, setup = "LIBERO-Plus", plus_files.SETUP

    def names(self) -> Sequence[str]:
        """See `Collection`."""
        return tuple(SUITES)

    def suites(self) -> Sequence[str]:
        """See `Collection`."""
        return self.names() if plus_files.is_complete(plus_files.folder()) else ()

    def tasks(self, suite: str) -> Sequence[SuiteTask]:
        """See `Collection`."""
        return _tasks(suite, archive.is_there())

    def scene(self, suite: str, index: int) -> Scene:
        """See `Collection`."""
        task = self.tasks(suite)[index]
        return PlusScene(task.base[0] if task.base else "", task.name)


@cache
def _tasks(suite: str, has_archive: bool) -> tuple[SuiteTask, ...]:
    found: list[SuiteTask] = []
    for base_suite in SUITES[suite]:
        levels = plus_files.levels().get(base_suite, {})
        longest = max_steps(base_suite)
        for name, own_instruction in plus_files.tasks()[base_suite]:
            task = PlusName.parse(name)
            found.append(
                SuiteTask(
                    len(found),
                    name,
                    own_instruction or instruction(task.base),
                    init_states=1,
                    max_steps=longest,
                    perturbation=task.dimension,
                    level=levels.get(name),
                    base=(base_suite, task.base),
                    missing=archive.NEEDED if task.needs_archive and not has_archive else "",
                    extra_assets=scene_assets.ARCHIVE if task.needs_archive else "",
                    official_prompt="" if own_instruction else instruction(name),
                )
            )
    return tuple(found)


class PlusScene(Scene):
    """One of LIBERO-Plus's tasks: a camera that is moved or disturbed, an arm that starts elsewhere."""

    def __init__(self, base_suite: str, name: str) -> None:
        self.task = PlusName.parse(name)
        super().__init__(wheel_tables.bddl(plus_files.folder(), base_suite, self.task), self._read_states)
        self._states_file = (
            plus_files.folder() / "init_files" / _states_folder(self.task, base_suite)
            / f"{name if self.task.dimension == 'layout' else self.task.base}.pruned_init"
        )  # fmt: skip
        self._generator = np.random.RandomState(0)

    def _read_states(self) -> InitStates:
        return read_init_states(self._states_file, plus_files.hint().rstrip("."))[:1]

    def assets(self) -> Path:
        """LIBERO's; where the task needs the archive, the archive, which holds LIBERO's, too."""
        return archive.own_folder() if self.task.needs_archive else super().assets()

    def prepare(self) -> None:
        """See `Scene`."""
        if self.task.needs_archive:
            text = self.bddl_file.read_text(encoding="utf-8")
            archive.register(wheel_tables.problem(self.bddl_file), re.findall(r"-\s+([\w-]+)", text))

    def adapt(self, simulation: LiberoSimulation) -> None:
        """Move the camera."""
        model = simulation.model
        camera = model.camera(MOVED_CAMERA).id
        pose = self.task.view.moved(model.cam_pos[camera], model.cam_quat[camera])
        model.cam_pos[camera], model.cam_quat[camera] = pose

    def before_reset(self, simulation: LiberoSimulation) -> None:
        """Have the arm start and rest elsewhere. An official state puts it back; from there the controller
        pulls it to its new rest, which is all that LIBERO-Plus's robot starts do."""
        if self.task.robot_start:
            simulation.robot.init_qpos = start_pose(self.task.robot_start)

    def after_reset(self, simulation: LiberoSimulation, episode: int) -> None:
        """Seed the noise, which LIBERO-Plus draws from numpy's global generator."""
        self._generator = np.random.RandomState(np.random.SeedSequence(episode).generate_state(8))

    def image(self, camera: str, image: Image) -> Image:
        """Disturb the main camera's image, turned as robosuite gives it."""
        if camera != CAMERA or not self.task.noise:
            return image
        raw = np.ascontiguousarray(image[::-1, ::-1])
        return np.ascontiguousarray(corrupt(raw, self.task.noise, self._generator)[::-1, ::-1])


def _states_folder(task: PlusName, base_suite: str) -> str:
    return f"libero_newobj/{base_suite}" if task.dimension == "layout" else base_suite
