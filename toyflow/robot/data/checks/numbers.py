"""States and actions, number by number: finite, moving, without outliers and jumps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toyflow.robot.data.checks.contents import Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.demo_source import simulated_here
from toyflow.robot.data.features import BOOKKEEPING, names_of_numbers

CONSTANT = 1e-5
"""A standard deviation below this share of max(1, |mean|) counts as 0, as in `normalisation`."""
SELDOM = 0.01
"""Share of frames; a number that differs from its usual value in fewer barely moves."""
FAR = 10.0
"""An outlier is this many times the span of the middle 90 % of frames away from it."""
FEW = 3
"""Frames at most that are called outliers: more are how the robot moves."""
ALONE = 0.9
"""Share of the variance that one frame must not have by itself."""
JUMP = 10.0
"""A jump is this many times the largest of 99 % of the steps, and half the span of all numbers."""
FEW_VALUES = 5
"""A number with so few different values is a switch, which is expected to jump."""


def check_numbers(contents: Contents) -> Iterator[Finding]:
    """Everything about the numbers in the columns by themselves."""
    names = contents.names
    read = [feature for feature in (names.state, names.action) if feature in contents.columns]
    yield from check_finite(contents)
    for feature in read:
        yield from _check_dimensions(contents, feature)
    for feature in names.unused:
        if feature in contents.features:
            yield Finding("warning", "", None, None, feature, "no policy of toyflow reads it.")
    others = "+".join(names.cameras) or "none"
    for feature, why in names.unread.items():
        yield Finding(
            "error", "meta/info.json", None, None, feature, f"no policy can see it: {why}. To leave it out: "
            f"--cameras {others}."
        )  # fmt: skip


def check_finite(contents: Contents) -> Iterator[Finding]:
    """The first number of each column that is nan or infinite."""
    names = contents.names
    for feature, column in contents.columns.items():
        if feature in BOOKKEEPING or column.dtype.kind != "f":
            continue
        rows = column.reshape(len(column), -1)
        if (bad := ~np.isfinite(rows)).any():
            frame, dimension = map(int, np.argwhere(bad)[0])
            yield contents.at(
                "error" if feature in (names.state, names.action) else "warning",
                frame,
                feature,
                f"{_dimension(contents, feature, dimension)} is {rows[frame, dimension]}; "
                f"{int(bad.any(1).sum())} frames have such numbers.",
            )


def _check_dimensions(contents: Contents, feature: str) -> Iterator[Finding]:
    column = contents.columns[feature].astype(float)
    if not np.isfinite(column).all() or len(column) < 2:
        return
    for dimension, values in enumerate(column.T):
        name = _dimension(contents, feature, dimension)
        middle = float(np.median(values))
        if values.std() < CONSTANT * max(1.0, abs(float(values.mean()))):
            told = f"{name} never changes, it is {middle:g}"
            if feature == contents.names.state and simulated_here(str(contents.root)):
                yield Finding("note", "", None, None, feature, f"{told}.")
            else:
                why = f"{told}: robot-train refuses it without --keep-constant."
                yield Finding("warning", "", None, None, feature, why)
            continue
        moved = values != middle
        if moved.mean() < SELDOM:
            yield contents.at(
                "warning", int(moved.argmax()), feature, f"{name} barely moves: it is {middle:g} in all "
                "frames "
                f"but {int(moved.sum())}."
            )  # fmt: skip
            continue
        if alone := _outlier(contents, feature, name, values, middle):
            yield alone
            continue
        if feature == contents.names.action and (jump := _jump(contents, feature, name, values)):
            yield jump


def _outlier(
    contents: Contents, feature: str, name: str, values: np.ndarray, middle: float
) -> Finding | None:
    low, high = np.quantile(values, [0.05, 0.95])
    span = high - low
    far = (values < low - FAR * span) | (values > high + FAR * span)
    if span <= 0 or not far.any() or far.sum() > max(FEW, 0.001 * len(values)):
        return None
    away = np.abs(values - middle)
    worst = int(away.argmax())
    alone = away[worst] ** 2 > ALONE * (away**2).sum()
    return contents.at(
        "error" if alone else "warning", worst, feature, f"{name} is {values[worst]:g}, where 90 % of "
        "frames are "
        f"from {low:g} to {high:g}" + (": the scale of this number hangs on one frame." if alone else ".")
    )  # fmt: skip


def _jump(contents: Contents, feature: str, name: str, values: np.ndarray) -> Finding | None:
    episode = contents.columns.get("episode_index")
    if episode is None or len(np.unique(values[:10_000])) <= FEW_VALUES:
        return None
    steps = np.where(episode[1:] == episode[:-1], np.abs(np.diff(values)), 0.0)
    usual, span = float(np.quantile(steps, 0.99)), float(np.ptp(np.quantile(values, [0.05, 0.95])))
    jumps = steps > max(JUMP * usual, 0.5 * span)
    if usual <= 0 or not jumps.any():
        return None
    worst = int(np.where(jumps, steps, 0).argmax()) + 1
    return contents.at(
        "warning", worst, feature, f"{name} jumps from {values[worst - 1]:g} to {values[worst]:g} in one "
        "frame, "
        f"where 99 % of steps are below {usual:.3g} ({int(jumps.sum())} such jumps)."
    )  # fmt: skip


def _dimension(contents: Contents, feature: str, dimension: int) -> str:
    """A number of a feature in words: `number 3 (gripper)`."""
    column = contents.columns[feature]
    width = column.shape[1] if column.ndim == 2 else 1
    name = names_of_numbers(contents.features[feature], width)[dimension]
    return f"number {dimension}" + (f" ({name})" if name != str(dimension) else "")
