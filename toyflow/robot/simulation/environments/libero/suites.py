"""Suites, tasks and official initial states, from the registry of the installed LIBERO."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from toyflow.errors import ToyflowError, first_line, unknown
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero import package
from toyflow.robot.simulation.environments.libero.collection import Collection, Scene

MAX_STEPS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
"""Control steps of an episode, a little over the longest human demonstration: OpenVLA's and openpi's numbers
(LeRobot gives libero_spatial 280)."""


VARIED = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""The suites that LIBERO-Pro and LIBERO-Plus vary, in their order."""


class LiberoSuites(Collection):
    """The suites that the installed LIBERO, or a fork of it, registers."""

    title, setup = "LIBERO", "toyflow robot-setup libero"

    def names(self) -> Sequence[str]:
        """See `Collection`."""
        return tuple(MAX_STEPS)

    def suites(self) -> Sequence[str]:
        """See `Collection`."""
        return tuple(suites())

    def tasks(self, suite: str) -> Sequence[SuiteTask]:
        """See `Collection`."""
        return tasks(suite)

    def scene(self, suite: str, index: int) -> Scene:
        """See `Collection`."""
        return Scene(bddl_file(suite, index), partial(init_states, suite, index))


@cache
def suites() -> dict[str, Any]:
    """LIBERO's benchmark objects by the name of their suite, in its order."""
    found = {}
    for name, make in package.load("benchmark").get_benchmark_dict().items():
        try:
            with redirect_stdout(io.StringIO()):
                found[name] = make()
        except KeyError:  # libero_100 is registered without tasks
            continue
    return found


def find_suite(name: str) -> Any:
    """The benchmark object of a suite. Raises UsageError with what exists."""
    if name not in suites():
        raise unknown("suite", name, suites())
    return suites()[name]


@cache
def tasks(suite: str) -> tuple[SuiteTask, ...]:
    """The tasks of `suite`, in LIBERO's default order. Raises UsageError for a suite that does not exist."""
    return tuple(
        SuiteTask(index, task.name, task.language, len(init_states(suite, index)), max_steps(suite))
        for index, task in enumerate(find_suite(suite).tasks)
    )


def max_steps(suite: str) -> int:
    """`MAX_STEPS` of the suite, or of the suite that a fork varies (`libero_goal_swap`); else the largest."""
    origins = [known for known in MAX_STEPS if suite == known or suite.startswith(f"{known}_")]
    return MAX_STEPS[max(origins, key=len)] if origins else max(MAX_STEPS.values())


def instruction(name: str) -> str:
    """A task's instruction as LIBERO and its data sets have it: its name, without the scene.

    >>> instruction("KITCHEN_SCENE3_turn_on_the_stove_and_put_the_moka_pot_on_it")
    'turn on the stove and put the moka pot on it'
    """
    return re.sub(r"^[A-Z_]+SCENE\d+_", "", name).replace("_", " ")


def bddl_file(suite: str, task: int) -> Path:
    """The file that defines a task: its objects, where they may lie, and its goal."""
    return Path(find_suite(suite).get_task_bddl_file_path(task))


@cache
def init_states(suite: str, task: int) -> Float64[np.ndarray, "states time_qpos_qvel"]:
    """Official initial states of a task, none where it has no file of them."""
    entry = find_suite(suite).tasks[task]
    folder = Path(package.load("").get_libero_path("init_states"))
    path = folder / entry.problem_folder / entry.init_states_file
    return read_init_states(path) if path.is_file() else np.empty((0, 0))


def read_init_states(
    path: Path, hint: str = "reinstall LIBERO"
) -> Float64[np.ndarray, "states time_qpos_qvel"]:
    """The states of a file, a torch archive of one pickled array; nothing but numpy arrays is allowed in it.

    Raises:
        ToyflowError: it cannot be read; with the `hint`.
    """
    import torch  # heavy

    rebuild = np.empty(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]
    allowed = [*((rebuild, name) for name in names), np.ndarray, np.dtype, type(np.dtype(np.float64))]
    try:
        with torch.serialization.safe_globals(allowed):
            return np.atleast_2d(np.asarray(torch.load(path, weights_only=True), np.float64))
    except Exception as error:
        raise ToyflowError(
            f"the initial states {path} cannot be read: {first_line(error)}; {hint}."
        ) from error
