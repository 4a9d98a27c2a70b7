"""Units and conventions of states and actions, as far as names and ranges tell; where two readings are
possible, both are said."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from toyflow.errors import UsageError
from toyflow.robot.data.action_kinds import STAY_ABSOLUTE
from toyflow.robot.data.checks.contents import Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.demo_source import against_relative, demo_source, made_by
from toyflow.robot.data.features import names_of_numbers
from toyflow.robot.data.local_files import INFO
from toyflow.robot.data.relative_actions import (
    DEGREES,
    are_names,
    contradiction,
    correlations,
    in_words,
    ratio_of_ranges,
    relative_numbers,
)
from toyflow.robot.interface import are_shares

TURN = 2 * math.pi
SLACK = 1.02
GRIPPER = re.compile(r"grip|finger|jaw", re.IGNORECASE)
JOINT = re.compile(r"joint|shoulder|elbow|wrist|waist|forearm|\.pos$|angle|qpos", re.IGNORECASE)
EULER = re.compile(r"(^|[^a-z])(roll|pitch|yaw|rpy)", re.IGNORECASE)
AXIS_ANGLE = re.compile(r"axis|rotvec|(^|[^a-z])(ax|ay|az|rx|ry|rz)$", re.IGNORECASE)
CLOSE, FOLLOWS = 0.25, 0.9
"""An action is a target of the state where it is within this share of the state's deviation of it, and
correlated with it by so much, in the median over numbers."""

APART = (8.0, 200.0)
"""Episodes in degrees and others in radians differ by a factor between these, as goals differ, too."""


def check_conventions(contents: Contents) -> Iterator[Finding]:
    """Notes on how numbers are read, and warnings where state and action contradict each other."""
    read = {}
    for feature in (contents.names.state, contents.names.action):
        column = contents.columns.get(feature)
        if column is None or not np.isfinite(column.astype(float)).all():
            return
        names = names_of_numbers(contents.features[feature], column.shape[1])
        read[feature] = column.astype(float), names
    for feature, (column, names) in read.items():
        yield from _check_angles(feature, column, names)
        yield from _check_rotation(feature, column, names)
        yield from _check_gripper(feature, column, names)
        yield from _check_one_unit(contents, feature, column, names)
    yield from _check_same_units(contents, read)
    yield from _check_relative(contents)


def _check_angles(feature: str, column: np.ndarray, names: Sequence[str]) -> Iterator[Finding]:
    """Radians, degrees, or shares of a joint's range."""
    joints = [i for i, name in enumerate(names) if JOINT.search(name) and not GRIPPER.search(name)]
    if not joints:
        return
    largest = np.abs(column[:, joints]).max(0)
    in_degrees = largest > TURN * SLACK
    span = f"up to {largest.max():.4g}"
    if are_shares(-largest, largest):
        yield _note(feature, f"joints are {span}: -100..100 of LeRobot's normalised motors, not degrees.")
    elif in_degrees.all():
        other = ", or -100..100 of LeRobot's normalised motors" if largest.max() <= 100 * SLACK else ""
        yield _note(feature, f"joints are {span}: degrees{other}, not radians.")
    elif not in_degrees.any():
        other = ", or normalised to -1..1" if largest.max() <= SLACK else ""
        yield _note(feature, f"joints are {span}: radians{other}, or small angles in degrees.")
    else:
        large, small = (names[joints[int(np.flatnonzero(which)[0])]] for which in (in_degrees, ~in_degrees))
        yield _note(
            feature,
            f"joints have different ranges: {large} is up to {largest[in_degrees].max():.4g} (degrees?), "
            f"{small} up "
            f"to {largest[~in_degrees].max():.4g} (radians, or a joint that hardly moves?).",
        )


def _check_rotation(feature: str, column: np.ndarray, names: Sequence[str]) -> Iterator[Finding]:
    """Roll, pitch and yaw, or axis times angle."""
    for pattern, what, other in (
        (EULER, "roll, pitch and yaw", "axis times angle"),
        (AXIS_ANGLE, "axis times angle", "roll, pitch and yaw"),
    ):
        dims = [i for i, name in enumerate(names) if pattern.search(name)][:3]
        if len(dims) == 3:
            norm = np.linalg.norm(column[:, dims], axis=1)
            named = ", ".join(names[i] for i in dims)
            share = float(np.mean(norm > math.pi * SLACK))
            beyond = f"; {share:.0%} of frames are longer than pi, as axis times angle seldom is" * bool(
                share
            )
            yield _note(
                feature,
                f"numbers {dims[0]} to {dims[-1]} ({named}) are read by their names as "
                f"{what}, not as {other}{beyond}. LIBERO's state is axis times angle.",
            )
            return


def _check_gripper(feature: str, column: np.ndarray, names: Sequence[str]) -> Iterator[Finding]:
    """From 0 to 1, or from -1 to 1."""
    dims = [i for i, name in enumerate(names) if GRIPPER.search(name)]
    for dim in dims:
        low, high = column[:, dim].min(), column[:, dim].max()
        if low >= -0.01 and 0.5 < high <= SLACK:
            sentence = "0..1, not -1..1 as LIBERO's actions, where 1 closes it"
        elif -SLACK <= low < -0.5 and high <= SLACK:
            sentence = "-1..1, as LIBERO's actions, where 1 closes it; not 0..1"
        else:
            sentence = "neither 0..1 nor -1..1: metres, an angle, or per cent"
        yield _note(feature, f"number {dim} ({names[dim]}) is from {low:.4g} to {high:.4g}: {sentence}.")


def _check_one_unit(
    contents: Contents, feature: str, column: np.ndarray, names: Sequence[str]
) -> Iterator[Finding]:
    """Whether some episodes count in degrees and others in radians: then they fall into two groups, far apart
    both by how large their numbers get and by their ranges (geometric means over numbers)."""
    moving = np.ptp(column, axis=0) > 0
    numbers = [i for i, name in enumerate(names) if moving[i] and not GRIPPER.search(name)]
    parts = [(start, column[start:stop, numbers]) for _, start, stop in contents.runs()]
    sizes = np.array([(np.abs(part).max(0), np.ptp(part, axis=0)) for _, part in parts])
    whole = [i for i, size in enumerate(sizes) if len(numbers) > 1 and (size > 0).all()]
    if len(whole) < 2:
        return
    logs = np.log(sizes[whole]).mean(2)
    order = logs[:, 1].argsort()
    logs, whole = logs[order], np.array(whole)[order]
    cut = int(np.diff(logs[:, 1]).argmax()) + 1
    gap = logs[cut:].min(0) - logs[:cut].max(0)
    factor = float(np.exp(np.median(logs[cut:, 1]) - np.median(logs[:cut, 1])))
    if gap.min() < math.log(APART[0]) or factor > APART[1]:
        return
    units, odd = ("degrees", "radians"), whole[cut:]
    if len(odd) > cut:
        units, odd, factor = units[::-1], whole[:cut], 1 / factor
    yield contents.at(
        "warning", parts[odd.min()][0], feature, f"in {len(odd)} of {len(parts)} episodes numbers go "
        f"{factor:.2g} times as far as in the others: {units[0]} there, {units[1]} elsewhere?"
    )  # fmt: skip


def _check_same_units(
    contents: Contents, read: dict[str, tuple[np.ndarray, Sequence[str]]]
) -> Iterator[Finding]:
    """Whether state and action of one length have ranges that differ by a factor of degrees per radian."""
    (state, _), (action, _) = read[contents.names.state], read[contents.names.action]
    if state.shape != action.shape:
        return
    ratio = ratio_of_ranges(state, action)
    for each, degrees, radians in ((ratio, "state", "action"), (1 / ratio, "action", "state")):
        if DEGREES[0] < each < DEGREES[1]:
            yield Finding(
                "warning", "", None, None, contents.names.action, f"ranges of the {degrees} are {each:.3g} "
                f"times those of the {radians}: the {degrees} is in degrees and the {radians} in radians?"
            )  # fmt: skip


def _check_relative(contents: Contents) -> Iterator[Finding]:
    """Targets of the state, or changes of it."""
    state, action = (contents.columns[f].astype(float) for f in (contents.names.state, contents.names.action))
    if state.shape != action.shape or "episode_index" not in contents.columns:
        return
    found = correlations(state, action, contents.columns["episode_index"])
    if found is None:
        return
    if found.target > FOLLOWS and found.apart < CLOSE:
        yield _note(
            contents.names.action,
            f"actions are targets of the state (correlated by {found.target:.2f} with the next one): "
            "absolute, not relative to it.",
        )
    elif found.is_change:
        yield _note(
            contents.names.action,
            f"actions are changes of the state (correlated by {found.change:.2f} with its next change): "
            "relative, not absolute.",
        )


def check_relative_training(contents: Contents, stay_absolute: str) -> Iterator[Finding]:
    """Errors where a policy cannot learn actions relative to the state, else a note on which numbers are.

    Args:
        stay_absolute: see `relative_numbers`.
    """
    feature = contents.names.action
    if why := against_relative(demo_source(str(contents.root))):
        made = made_by(Path(contents.root))
        yield Finding("error", made.name if made else "", None, None, feature, why)
        return
    action, state = (
        names_of_numbers(contents.features[each], int(contents.features[each]["shape"][0]))
        for each in (feature, contents.names.state)
    )
    try:
        numbers = relative_numbers(action, state, stay_absolute, f"data set {contents.where}")
    except UsageError as error:
        yield Finding("error", INFO, None, None, feature, str(error))
        return
    if why := _contradiction(contents, numbers):
        yield Finding("error", "", None, None, feature, why)
        return
    said = f"with --actions relative, {in_words(numbers, action)}."
    if stay_absolute == STAY_ABSOLUTE and not are_names(action):
        said += (
            " Numbers have no names that would tell a gripper: if there is one, name its numbers, "
            "--relative-except 6+13."
        )
        yield Finding("warning", "", None, None, feature, said)
    else:
        yield _note(feature, said)


def _contradiction(contents: Contents, numbers: Sequence[int]) -> str | None:
    """What the columns say against relative actions; None where columns or numbers are missing or not finite,
    which other checks name."""
    names = (contents.names.state, contents.names.action, "episode_index")
    state, action, episode = (contents.columns.get(name) for name in names)
    if state is None or action is None or episode is None:
        return None
    if max(numbers) >= min(state.shape[1], action.shape[1]):
        return None
    if not all(np.isfinite(each.astype(float)).all() for each in (state, action)):
        return None
    return contradiction(state, action, episode, numbers)


def _note(feature: str, sentence: str) -> Finding:
    return Finding("note", "", None, None, feature, sentence)
