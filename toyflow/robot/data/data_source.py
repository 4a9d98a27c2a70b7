"""Data sets by folder or name on the hub: opened once each, and checked where toyflow made them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from toyflow.atomic import MANIFEST, verify_all
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.demo_source import CONVERTED, DEMOS, made_by
from toyflow.robot.data.features import parse_renaming
from toyflow.robot.data.fingerprint import FilesState

DATA_HINT = (
    "The same `toyflow robot-demos` writes it again; if it was changed on purpose, remove manifest.json."
)
CONVERTED_HINT = (
    "Remove the folder, and `toyflow robot-data convert` it again; if it was changed on purpose, remove "
    "manifest.json."
)
HINTS = {DEMOS: DATA_HINT, CONVERTED: CONVERTED_HINT}
"""What to do about a damaged data set, by what toyflow wrote beside it."""


def open_data_set(where: str, rename: str = "") -> DataSet:
    """The data set `where`, a folder or a name on the hub; opened once per process, and a folder again where
    a file in it has changed.

    Args:
        rename: renamed features, see `parse_renaming`.

    Raises:
        UsageError: it does not exist, cannot be read, or lacks a feature.
        DamagedError: toyflow made it, and a file is no longer as it was written.
    """
    folder = Path(where).expanduser()
    return _opened(where, rename, FilesState(folder).key if folder.is_dir() else "")


@cache
def _opened(where: str, rename: str, state: str) -> DataSet:
    folder = Path(where).expanduser()
    made = made_by(folder)
    if made and (folder / MANIFEST).is_file():
        verify_all(folder, HINTS[made.name])
    return DataSet(where, parse_renaming(rename))


def short_name(where: str) -> str:
    """How results name a data set: its folder's name, or its name on the hub."""
    path = Path(where).expanduser()
    return path.resolve().name if path.exists() else where
