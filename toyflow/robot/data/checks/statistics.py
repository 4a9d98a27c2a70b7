"""meta/stats.json beside the statistics of the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from toyflow.robot.data.checks.contents import STATS, Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.features import names_of_numbers

TOLERANCE = 0.05
"""Largest error of mean, min and max in standard deviations, and of a standard deviation as its share."""
QUANTILE_TOLERANCE = 0.25
"""The same for quantiles, in spans: LeRobot averages those of episodes, which are not those of all frames."""
ROUNDING = 1e-5
"""Share of the mean by which a mean, min or max may be off; and of its square, by which a variance may, as
LeRobot takes variances to be the mean of squares less the square of the mean, in single precision."""
QUANTILES = {"q01": 0.01, "q99": 0.99}


class DimensionStatistics(NamedTuple):
    """The statistics of one number of a state or an action: those of the columns, and as stored.

    Attributes:
        feature, number, name: which it is.
        computed, stored: by name (mean, std, min, max, q01, q99); `stored` lacks what meta/stats.json lacks.
    """

    feature: str
    number: int
    name: str
    computed: dict[str, float]
    stored: dict[str, float]


def statistics_table(contents: Contents) -> list[DimensionStatistics]:
    """One row per number of the state and the action, where these could be read."""
    table = []
    for feature in (contents.names.state, contents.names.action):
        column = contents.columns.get(feature)
        if column is None:
            continue
        values = column.astype(float)
        values = np.where(np.isfinite(values), values, np.nan)
        if not np.isfinite(values).any(0).all():
            continue
        low, high = np.nanquantile(values, list(QUANTILES.values()), axis=0)
        found = {
            "mean": np.nanmean(values, 0), "std": np.nanstd(values, 0), "min": np.nanmin(values, 0),
            "max": np.nanmax(values, 0), "q01": low, "q99": high,
        }  # fmt: skip
        names = names_of_numbers(contents.features[feature], values.shape[1])
        stored = _stored(contents, feature, values.shape[1])
        for number, name in enumerate(names):
            table.append(
                DimensionStatistics(
                    feature,
                    number,
                    name,
                    {key: float(numbers[number]) for key, numbers in found.items()},
                    {key: numbers[number] for key, numbers in stored.items()},
                )
            )
    return table


def check_statistics(
    contents: Contents, table: list[DimensionStatistics], features: Sequence[str]
) -> Iterator[Finding]:
    """The stored statistics of these features, by which training scales them, and those of the columns."""
    if not contents.statistics:
        return
    for feature in features:
        rows = [row for row in table if row.feature == feature]
        if not rows:
            continue
        missing = [key for key in ("mean", "std") if key not in rows[0].stored]
        if missing:
            yield Finding(
                "error", STATS, None, None, feature, f"it has no {' and no '.join(missing)} of {len(rows)} "
                "finite "
                "numbers."
            )  # fmt: skip
            continue
        wrong = [(row, key) for row in rows for key in row.stored if differs(row, key)]
        for row, key in wrong[:1]:
            more = f"; so are {len(wrong) - 1} others" if len(wrong) > 1 else ""
            yield Finding(
                "error", STATS, None, None, feature,
                f"{_stored_and(row, key)} by the columns{more}: the statistics are not of these frames."
            )  # fmt: skip
        odd = [(row, key) for row in rows for key in QUANTILES if key in row.stored and _is_odd(row, key)]
        for row, key in odd[: not wrong]:
            yield Finding(
                "note", STATS, None, None, feature,
                f"{_stored_and(row, key)} over all frames (LeRobot averages episodes); "
                "--normalisation quantile scales by it."
            )  # fmt: skip


def _stored_and(row: DimensionStatistics, key: str) -> str:
    """`std of number 0 (shoulder) is 30, and 0.3`: a statistic as stored and as computed."""
    return f"{key} of number {row.number} ({row.name}) is {row.stored[key]:.6g}, and {row.computed[key]:.6g}"


def differs(row: DimensionStatistics, key: str) -> bool:
    """Whether a stored statistic cannot be of these numbers."""
    if key not in row.computed:
        return False
    stored, is_so, deviation = row.stored[key], row.computed[key], row.computed["std"]
    rounding = ROUNDING * max(1.0, abs(row.computed["mean"]))
    if key in QUANTILES:
        slack = TOLERANCE * (row.computed["max"] - row.computed["min"]) + rounding
        return not row.computed["min"] - slack <= stored <= row.computed["max"] + slack
    if key == "std":
        variance, rounding = is_so**2, ROUNDING * row.computed["mean"] ** 2 + ROUNDING**2
        return stored < 0 or abs(stored**2 - variance) > 2 * TOLERANCE * variance + rounding
    return abs(stored - is_so) > TOLERANCE * deviation + rounding


def _is_odd(row: DimensionStatistics, key: str) -> bool:
    span = row.computed["max"] - row.computed["min"]
    return abs(row.stored[key] - row.computed[key]) > QUANTILE_TOLERANCE * span + ROUNDING


def _stored(contents: Contents, feature: str, width: int) -> dict[str, list[float]]:
    """The stored statistics of a feature that are `width` finite numbers, by name."""
    every: Any = contents.statistics.get(feature)
    found: dict[str, list[float]] = {}
    for name, numbers in (every if isinstance(every, dict) else {}).items():
        try:
            values = np.asarray(numbers, dtype=float).reshape(-1)
        except (TypeError, ValueError, OverflowError):
            continue
        if len(values) == width and np.isfinite(values).all():
            found[str(name)] = values.tolist()
    return found
