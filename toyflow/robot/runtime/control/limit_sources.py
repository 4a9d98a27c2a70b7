"""Where a robot's limits come from: checks that its units are those of the data, and what a user is told."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toyflow.errors import UsageError
from toyflow.robot.interface import SHARES, are_shares
from toyflow.robot.limits import Limits, Values, data_range, data_rule
from toyflow.robot.runtime.control.limits_file import is_shipped
from toyflow.robot.runtime.robots.base import Robot

UNNAMED = re.compile(r"(action_)?\d+")
"""A dimension that a data set does not name."""
ANY_JOINT = {"", "left", "right", "main", "arm", "follower", "pos", "action", "motor"}
"""Words in the name of a joint that say nothing of which joint of an arm it is."""
SHARED = 0.5
"""Least share of the data's range that must lie within the robot's own bounds; with less, they count in other
units."""
RADIANS = 2 * math.pi
"""Where all joints lie within this of 0, they are taken for radians."""
SEVERAL = 3
"""Least number of joints of which that can be told."""
_OPTION = "LeRobot's use_degrees, of two arms left_arm_config.use_degrees: --set use_degrees"


def check_same_names(robot: Robot, names: Sequence[str], whose: str, trusted: bool = False) -> list[str]:
    """Check that the actions of a data set are the robot's.

    Args:
        names: names of the data set's dimensions; `0` or `action_0` is none.
        whose: the data, for messages.
        trusted: whether the user answers for it that names which have no word in common are the same joints.

    Returns:
        A warning, where only the names differ.

    Raises:
        UsageError: they have another number of dimensions, or the same in another order; or most names have
            no word in common, as of another robot's joints.
    """
    own = robot.dimensions
    if len(own) != len(names):
        raise UsageError(
            f"{whose} has actions of {len(names)} numbers ({', '.join(names)}), {robot.name} takes "
            f"{len(own)} ({', '.join(own)})."
        )
    if tuple(names) == own or not robot.action_names or all(UNNAMED.fullmatch(name) for name in names):
        return []
    if set(names) == set(own):
        raise UsageError(
            f"{whose} has the numbers of an action in the order {', '.join(names)}, {robot.name} in "
            f"the order {', '.join(own)}."
        )
    differing = [(own, name) for own, name in zip(own, names, strict=True) if own != name]
    pairs = ", ".join(f"{own} = {name}" for own, name in differing)
    strangers = [pair for pair in differing if not set.intersection(*map(_joint_words, pair))]
    if 2 * len(strangers) > len(own) and not trusted:
        raise UsageError(
            f"{whose} is of other joints than {robot.name}: {pairs}. If they are the same joints, name their "
            "limits by --limits FILE."
        )
    return [f"Names of the robot and of {whose} differ; they are taken in their order: {pairs}."]


def _joint_words(name: str) -> set[str]:
    """The words of a name that tell its joint from another of the same arm.

    >>> sorted(_joint_words("left_wrist_roll.pos")), sorted(_joint_words("main_joint_3"))
    (['roll', 'wrist'], ['3', 'joint'])
    """
    return set(re.split(r"[^a-z0-9]+", name.lower())) - ANY_JOINT


def check_same_units(robot: Robot, details: Mapping[str, Any], file: Limits, whose: str) -> None:
    """Check that actions of training data lie where the robot's own bounds are, as far as both are known, and
    do not look like radians, or like a gripper from 0 to 1, where the robot counts degrees or to 100; nor
    like shares of a range where it counts degrees, or the other way round.

    Args:
        details: see `Limits.of_data`; a guess is not checked.
        file: limits of the user's file. What they bound is not checked.
        whose: the data, for the message.

    Raises:
        UsageError: less than `SHARED` of a dimension's range lies within the robot's bounds, or they do look
            so.
    """
    data = data_range(details)
    if robot.stepped or data is None:
        return
    known = zip(
        robot.dimensions, _or_nan(robot, robot.limits.lower), _or_nan(robot, robot.limits.upper),
        *data, _or_nan(robot, file.lower),
        _or_nan(robot, file.upper), strict=True,
    )  # fmt: skip
    for name, low, high, least, most, *given in known:
        if np.isnan((low, high, least, most)).any() or not np.isnan(given).any():
            continue
        shared = min(high, most) - max(low, least)
        if shared < SHARED * (most - least) or shared < 0:
            unit = robot.units.get(name)
            raise UsageError(
                f"{name} goes from {least:.3g} to {most:.3g} in {whose}, and from {low:g} to {high:g} on "
                f"{robot.name}{f' ({unit})' if unit else ''}: they count in different units, or the robot's "
                "bounds are wrong; if they are, give its lower and upper by --limits FILE."
            )
    given = ~np.isnan(_or_nan(robot, file.lower)) | ~np.isnan(_or_nan(robot, file.upper))
    rows = zip(robot.dimensions, *data, given.tolist(), strict=True)
    asked = {name: (least, most) for name, least, most, its in rows if not its}
    _check_coarse(robot, asked, whose)
    _check_shares(robot, asked, whose)


def _check_coarse(robot: Robot, data: Mapping[str, tuple[float, float]], whose: str) -> None:
    """Raise UsageError where data looks like radians or a gripper to 1, and the robot counts coarser.

    Args:
        data: (least, most) by the dimension's name.
    """
    joints = [name for name in data if robot.units.get(name) in ("degrees", "-100..100")]
    fine = [name for name in joints if np.abs(data[name]).max() <= RADIANS]
    if len(joints) >= SEVERAL and fine == joints:
        raise UsageError(
            f"all joints lie within {RADIANS:.2f} of 0 in {whose}, as radians do, and {robot.name} counts "
            f"{robot.units[joints[0]]}: actions so small would hardly move it. If they are right, give lower "
            "and upper of these joints by --limits FILE."
        )
    for name, (least, most) in data.items():
        if robot.units.get(name) == "0..100" and least >= -0.05 and 0.5 < most <= 1.05:
            raise UsageError(
                f"{name} goes from {least:.3g} to {most:.3g} in {whose}, and from 0 to 100 on "
                f"{robot.name}. If they count alike, give its lower and upper by --limits FILE."
            )


def _check_shares(robot: Robot, data: Mapping[str, tuple[float, float]], whose: str) -> None:
    """Raise UsageError where a robot counts degrees and the data shares of a joint's range, or the other way
    round; which of them LeRobot counts is an option of its drivers, whose default has changed.

    Args:
        data: (least, most) by the dimension's name.
    """
    joints = {name: ends for name, ends in data.items() if robot.units.get(name) == "degrees"}
    if joints and are_shares(*zip(*joints.values(), strict=True)):
        name = next(name for name, ends in joints.items() if SHARES in map(abs, ends))
        raise UsageError(
            f"no joint goes beyond 100 in {whose}, and {name} ends exactly there, as in -100..100, and "
            f"{robot.name} counts degrees: drive as the data were recorded ({_OPTION}=false). If they are "
            "degrees, give lower and upper of these joints by --limits FILE."
        )
    for name, (least, most) in data.items():
        if robot.units.get(name) == "-100..100" and max(-least, most) > SHARES + 1:
            raise UsageError(
                f"{name} goes from {least:.4g} to {most:.4g} in {whose}, and {robot.name} clips it to "
                f"-100..100: drive as the data were recorded ({_OPTION}=true). If they count alike, give its "
                "lower and upper by --limits FILE."
            )


def limits_lines(robot: Robot, details: Mapping[str, Any], whose: str, file: Path | None) -> list[str]:
    """Units and limits of a robot in real time and where they come from, a line each.

    Args:
        details: of the training data; see `Limits.of_data`.
        whose: the training data, in words.
        file: the limits file, of the user or shipped.
    """
    if robot.stepped:
        return []
    by_unit: dict[str, list[str]] = {}
    for name, unit in robot.units.items():
        by_unit.setdefault(unit or "unknown", []).append(name)
    units = "; ".join(f"{unit} ({', '.join(names)})" for unit, names in by_unit.items())
    rule = data_rule(details)
    data = f"{whose} ({rule})" if rule else None
    bounded = any(part is not None and not np.isnan(part).all() for part in (robot.limits.lower,))
    own = f"{robot.name}'s own" if bounded else None
    if own and is_shipped(file):
        assert file is not None
        own, file = f"{robot.name}'s own ({file.stem}, which toyflow ships)", None
    others = f"the narrower of {own} and those of {data}" if own and data else own or (data and f"of {data}")
    sources = ", else ".join(filter(None, (file and f"of {file}", others)))
    return [*([f"units: {units}"] if units else []), f"limits: {sources or 'unknown'}"]


def _or_nan(robot: Robot, values: Values | None) -> Values:
    return np.full(len(robot.dimensions), np.nan) if values is None else np.asarray(values, float)
