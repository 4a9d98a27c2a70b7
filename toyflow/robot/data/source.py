"""A data set by its folder or its name on the hub: opened once, and checked if `robot-demos` made it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from toyflow.atomic import MANIFEST, read_json, verified, verify_all
from toyflow.robot.data.data_set import DataSet

DEMOS = "demos.json"
"""What `robot-demos` writes beside its data."""
DATA_MEND = (
    "The same `toyflow robot-demos` writes it again; if it was changed on purpose, remove manifest.json."
)


@cache
def open_data_set(where: str) -> DataSet:
    """The data set, opened once.

    Raises:
        UsageError: it is not there, cannot be read, or lacks something.
        DamagedError: `robot-demos` made it, and a file is no longer as it was written.
    """
    folder = Path(where).expanduser()
    if (folder / MANIFEST).is_file() and (folder / DEMOS).is_file():
        verify_all(folder, DATA_MEND)
    return DataSet(where)


def short_name(where: str) -> str:
    """How records name a data set: its folder's name, or its name on the hub."""
    path = Path(where).expanduser()
    return path.resolve().name if path.exists() else where


def made_of(where: str) -> dict[str, str]:
    """Suite and tasks of demonstrations that `robot-demos` made; nothing for other data sets."""
    path = Path(where).expanduser() / DEMOS
    if not path.is_file():
        return {}
    whole = (path.parent / MANIFEST).is_file()  # else it was changed on purpose: see DATA_MEND
    recipe = read_json(verified(path.parent, path.name) if whole else path)["recipe"]
    return {
        "environment": recipe["environment"],
        "suite": recipe["suite"],
        "tasks": "+".join(map(str, recipe["tasks"])),
    }
