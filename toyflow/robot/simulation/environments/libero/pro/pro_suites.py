"""LIBERO-Pro's suites: `libero_goal_swap` and 15 more, and all of them as `libero_pro`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero import assets
from toyflow.robot.simulation.environments.libero.collection import Collection, InitStates, Scene
from toyflow.robot.simulation.environments.libero.pro import pro_files, pro_objects
from toyflow.robot.simulation.environments.libero.suites import instruction, max_steps

WHOLE = "libero_pro"
"""The suite of all tasks."""

REWORDED = ("lan", "task")
"""Perturbations whose instruction is part of what they change; under the others a policy reads LIBERO's."""


class ProScene(Scene):
    """A task of LIBERO-Pro, which may have objects that LIBERO does not."""

    def prepare(self) -> None:
        """See `Scene`."""
        pro_objects.register()

    def like(self, kind: str) -> str:
        """See `Scene`. What is too wide for the hand is like nothing that it can grasp."""
        if kind in pro_objects.TOO_WIDE:
            return kind
        return pro_objects.KINDS.get(kind, ("", kind))[1]


class ProSuites(Collection):
    """See the module."""

    title, setup = "LIBERO-Pro", pro_files.SETUP

    def names(self) -> Sequence[str]:
        """See `Collection`."""
        return (*pro_files.suite_names(), WHOLE)

    def suites(self) -> Sequence[str]:
        """See `Collection`."""
        return self.names() if pro_files.is_complete(pro_files.folder()) else ()

    def tasks(self, suite: str) -> Sequence[SuiteTask]:
        """See `Collection`."""
        try:
            folder = assets.find()
        except UsageError:  # without assets no task runs, which building one says
            folder = None
        return [_task(index, part, entry, folder) for index, (part, entry) in enumerate(_entries(suite))]

    def scene(self, suite: str, index: int) -> Scene:
        """See `Collection`."""
        part, entry = _entries(suite)[index]
        states: partial[InitStates] = partial(pro_files.init_states, part, entry.name)
        return ProScene(pro_files.bddl_file(part, entry.name), states)


def _entries(suite: str) -> list[tuple[str, pro_files.ProEntry]]:
    """The tasks of a suite, each with that of the 16 suites that has its files."""
    parts = pro_files.suite_names() if suite == WHOLE else (suite,)
    return [(part, entry) for part in parts for entry in pro_files.entries(part)]


def _task(index: int, part: str, entry: pro_files.ProEntry, folder: Path | None) -> SuiteTask:
    base, _, perturbation = part.rpartition("_")
    prompt = entry.language if perturbation in REWORDED else instruction(entry.name)
    absent = pro_objects.lacking(folder, entry.objects) if folder else []
    why = (
        f"LIBERO's assets in {folder} lack {', '.join(absent)}, which LIBERO-Pro adds; remove them, and "
        f"`{pro_files.SETUP}` gets them whole."
    )
    return SuiteTask(
        index, entry.name, prompt, entry.states, max_steps(base), perturbation, None, (base, entry.name),
        why if absent else "", entry.language if entry.language != prompt else "",
    )  # fmt: skip
