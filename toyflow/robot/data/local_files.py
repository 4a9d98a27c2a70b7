"""What a data set's folder says of its format, before LeRobot opens it; and how an older one is converted."""

from __future__ import annotations

import json
import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toyflow.errors import MissingInputError, UsageError

INFO = "meta/info.json"
FORMAT = "v3.0"
"""The format that toyflow reads."""
TO_V30, LATER_TO_V30 = (
    "lerobot.datasets.v30.convert_dataset_v21_to_v30", "lerobot.scripts.convert_dataset_v21_to_v30"
)  # fmt: skip
"""What converts a data set: in LeRobot 0.4, where --root is the folder that it lies in, and in 0.6, where
--root is its own folder."""


def local_folder(where: str) -> Path | None:
    """The folder of the data set `where`; None for the name of one on the hub.

    Raises:
        UsageError: it is neither, or the folder holds no data set.
    """
    folder = Path(where).expanduser()
    if (folder / INFO).is_file():
        return folder
    if folder.exists() or where.count("/") != 1 or where.startswith((".", "/", "~")):
        problem = f"holds no data set: {INFO} is missing" if folder.exists() else "does not exist"
        raise MissingInputError(f"{where} {problem}.", f"Make one: toyflow robot-demos --out {where}")
    return None


def read_info(where: str, folder: Path) -> dict[str, Any]:
    """meta/info.json of a data set. Raises UsageError where it cannot be read, or describes no features."""
    try:
        info = json.loads((folder / INFO).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"data set {where}, {INFO}: it cannot be read: {error}.") from error
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict) or not all(isinstance(each, dict) for each in features.values()):
        raise UsageError(f"data set {where}, {INFO}: it has no features by name.")
    return info


def check_format(where: str, folder: Path) -> None:
    """Raise UsageError for a data set of another format; of an older one with the whole command that converts
    it."""
    version = read_info(where, folder).get("codebase_version")
    if not isinstance(version, str) or not re.fullmatch(r"v?\d+(\.\d+)*", version):
        raise UsageError(
            f"data set {where}, {INFO}: codebase_version is {version!r}, no version such as {FORMAT}."
        )
    if sentence := how_to_convert(version, where, folder):
        raise UsageError(sentence)
    if _major(version) > _major(FORMAT):
        raise UsageError(f"data set {where} is in LeRobot's format {version}, and toyflow reads {FORMAT}.")


def check_rate(where: str, fps: Any) -> None:
    """Raise UsageError for a data set that does not say how many frames a second it has."""
    if not (isinstance(fps, (int, float)) and 0 < fps < math.inf):
        raise UsageError(f"data set {where} says fps {fps}: its {INFO} is wrong.")


def conversion_of(error: BaseException | None, where: str) -> str:
    """How to convert a data set of the hub that LeRobot refuses with this `error` for its format; empty where
    that is not why."""
    while error is not None:
        if type(error).__name__ == "BackwardCompatibilityError":
            found = re.search(r"\bv?(\d\.\d)\b", str(error))
            return how_to_convert(f"v{found[1]}" if found else "v2.1", where, None)
        if isinstance(error, NotImplementedError) and "Contact the maintainer" in str(error):
            return how_to_convert("v2.0", where, None)  # what LeRobot 0.4 says of it
        error = error.__cause__ or error.__context__
    return ""


def how_to_convert(version: str, where: str, folder: Path | None) -> str:
    """How a data set of format `version` becomes one of v3.0, in one line; empty where it is one.

    Args:
        folder: where it lies; None for one on the hub, which is downloaded, converted and not pushed.

    >>> how_to_convert("v3.0", "my/robot", None)
    ''
    >>> print(how_to_convert("v2.1", "my/robot", None))  # doctest: +ELLIPSIS
    data set my/robot is in LeRobot's format v2.1, and toyflow reads v3.0. Convert it: python -m ...
    """
    major, _, minor = version.removeprefix("v").partition(".")
    if not major.isdigit() or int(major) >= _major(FORMAT):
        return ""
    place = folder and folder.expanduser().resolve()
    name = place.name if place else where
    module = LATER_TO_V30 if _exists(LATER_TO_V30) else TO_V30
    root = place and (place if module == LATER_TO_V30 else place.parent)
    local = f" --root={root}" if root else ""
    command = f"python -m {module} --repo-id={name}{local} --push-to-hub=false"
    first = "Convert it"
    if (int(major), minor) < (2, "1"):
        first = (
            "Convert it to v2.1 first, with LeRobot 0.3 in an environment of its own (pip install "
            f"lerobot==0.3.3; python -m lerobot.datasets.v21.convert_dataset_v20_to_v21 --repo-id={name}), "
            "then"
        )
    return (
        f"data set {where} is in LeRobot's format {version}, and toyflow reads {FORMAT}. {first}: {command}"
    )


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _major(version: str) -> int:
    """The 3 of v3.0."""
    return int(version.removeprefix("v").partition(".")[0])
