"""The limits file of `--limits FILE`: TOML or JSON, the user's or one that toyflow ships."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from toyflow import toml
from toyflow.errors import UsageError, unknown
from toyflow.robot.limits import Limits, Patience, Values

SHIPPED = Path(__file__).parent / "shipped_limits"
"""Limits of known robots, one file each, with the sources of their numbers."""
JOINTS_SHOWN = 3


def find_limits(given: str) -> Path:
    """The file that `--limits` means: a path, or the name of limits that toyflow ships.

    >>> find_limits("yam").name
    'yam.toml'

    Raises:
        UsageError: there is neither.
    """
    shipped = SHIPPED / f"{given}.toml"
    if Path(given).is_file() or not re.fullmatch(r"[\w-]+", given):
        return Path(given)
    if not shipped.is_file():
        raise unknown("limits, and no file,", given, (path.stem for path in SHIPPED.glob("*.toml")))
    return shipped


def is_shipped(path: Path | None) -> bool:
    """Whether these limits come with toyflow, and are a robot's and not a user's."""
    return path is not None and path.parent == SHIPPED


def read_limits(path: Path, names: Sequence[str]) -> tuple[Limits, Patience]:
    """Read limits and patience from a TOML or JSON file.

    `lower`, `upper`, `step`, `velocity`, `acceleration` and `jerk` (see `Limits`) are a number for all
    dimensions, a list with one for each, or a table by name of the dimension, in which `default` stands for
    all others. `inf` (in JSON null) is no limit. `hold_after`, `stop_after` and `stale_after` (see
    `Patience`) are milliseconds.

    Args:
        names: names of the action's dimensions.

    Raises:
        UsageError: the file cannot be read, or something in it is unknown or makes no sense.
    """
    content = _parsed(path)
    where = path.stem if is_shipped(path) else str(path)
    patience = {part.name for part in fields(Patience)}
    known = [*(part.name for part in fields(Limits)), *patience]
    for key in content:
        if key not in known:
            raise unknown(f"key in {where}", key, known)
    limits = {
        key: _values(value, names, f"{where}: {key}") for key, value in content.items() if key not in patience
    }
    for key in set(limits) - {"lower", "upper"}:
        if (limits[key] <= 0).any():
            raise UsageError(f"{where}: {key} must be above 0.")
    if "lower" in limits and "upper" in limits and (limits["lower"] > limits["upper"]).any():
        worst = names[int(np.argmax(limits["lower"] - limits["upper"]))]
        raise UsageError(f"{where}: lower is above upper in {worst}.")
    times = {key: _number(content[key], f"{where}: {key}") for key in patience & set(content)}
    for key, value in times.items():
        if value < 0:
            raise UsageError(f"{where}: {key} must be 0 or more, not {value:g}.")
    patient = Patience(**times)
    if patient.hold_after > patient.stop_after:
        raise UsageError(
            f"{where}: hold_after, {patient.hold_after:g} ms, is above stop_after, {patient.stop_after:g} ms."
        )
    return Limits(**limits), patient


def file_limits(path: Path | None, names: Sequence[str]) -> Limits:
    """The limits of a file, see `read_limits`; all unknown where there is none."""
    return Limits() if path is None else read_limits(path, names)[0]


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text()
        content = json.loads(text) if path.suffix == ".json" else toml.loads(text)
    except OSError as error:
        raise UsageError(f"limits {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise UsageError(f"limits {path} cannot be read as {kind}: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"limits {path} must hold keys such as lower and upper.")
    return content


def _values(value: Any, names: Sequence[str], where: str) -> Values:
    if isinstance(value, Mapping):
        if value and not {*names, "default"} & value.keys():
            raise UsageError(
                f"{where} is for other joints: it has {_some(value)}, and the robot {_some(names)}."
            )
        for name in value:
            if name not in (*names, "default"):
                raise unknown(f"dimension in {where}", name, (*names, "default"))
        missing = [name for name in names if name not in value]
        if missing and "default" not in value:
            raise UsageError(f"{where} lacks {', '.join(missing)}; `default` stands for all others.")
        value = [value.get(name, value.get("default")) for name in names]
    if not isinstance(value, list):
        value = [value] * len(names)
    if len(value) != len(names):
        raise UsageError(f"{where} has {len(value)} numbers, an action has {len(names)}: {', '.join(names)}.")
    edge = -math.inf if where.endswith("lower") else math.inf
    return np.array([edge if number is None else _number(number, where) for number in value])


def _some(names: Collection[str]) -> str:
    left_out = len(names) - JOINTS_SHOWN
    return ", ".join(list(names)[:JOINTS_SHOWN]) + (f" and {left_out} more" if left_out > 0 else "")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise UsageError(f"{where} takes numbers, not {value!r}.")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{where} takes numbers of up to 308 digits.") from None
