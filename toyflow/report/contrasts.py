"""The contrast of two parts of the evidence, by seed and by example.

It has one difference per training seed, between results that agree in the recipe and in everything else that
the claim does not name; and, where outcomes are stored by example, one per seed and example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd

from toyflow import stats
from toyflow.report.evidence import unique
from toyflow.report.results import by_example

BISECTIONS = 24
"""How often the level of a p-value is halved: to 1e-7."""


@dataclass(frozen=True)
class ByExample:
    """Differences by example."""

    differences: pd.DataFrame
    """A row per seed, a column per example."""
    within: tuple[float, float] | None
    """The least and the most that one can be, where outcomes are right or wrong."""

    def __neg__(self) -> ByExample:
        return replace(self, differences=-self.differences)

    def __sub__(self, other: ByExample) -> ByExample | None:
        """On the seeds of both; None where they have different numbers of examples."""
        seeds = self.differences.index.intersection(other.differences.index)
        one, two = self.differences.loc[seeds], other.differences.loc[seeds]
        if one.shape != two.shape:
            return None
        bounds = None
        if self.within and other.within:
            bounds = self.within[0] - other.within[1], self.within[1] - other.within[0]
        return ByExample(one - two, bounds)


@dataclass(frozen=True)
class Contrast:
    """Two means by seed; `first - second` is what is looked at."""

    first: pd.Series
    second: pd.Series
    folders: tuple[str, ...]
    schedules: tuple[str, ...] = ()
    """Schedules of `first`."""
    without: tuple[str, ...] = ()
    """What is not part of the means, as some seed lacks it."""
    elsewhere: tuple[str, ...] = ()
    """Folders that hold other weights of the same models, which do not count."""
    remarks: tuple[str, ...] = ()
    """What is to be said beside its scores; see `toyflow.sweep.stored.remark_of`."""
    read: Callable[[], ByExample | None] | None = field(default=None, repr=False, compare=False)
    """Reads the differences by example; None where there are none."""

    @property
    def difference(self) -> pd.Series:
        """`first - second` for each seed."""
        return self.first - self.second

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.first)

    @property
    def has_spread(self) -> bool:
        """Whether there are several seeds and their differences differ; else they have no interval."""
        largest = max(self.first.abs().max(), self.second.abs().max())
        return self.seeds > 1 and stats.has_spread(self.difference.tolist(), largest)

    @cached_property
    def by_example(self) -> ByExample | None:
        """The differences by example, read from disk and checked; None where they are not stored."""
        return self.read() if self.read else None

    def interval(self, confidence: float = 0.95) -> stats.Interval:
        """Student's t-interval of the mean difference over seeds: it speaks of new seeds on this test set."""
        return stats.over_seeds(self.difference.tolist(), confidence)

    def crossed(self, confidence: float = 0.95) -> stats.Interval | None:
        """The interval of the mean difference for new seeds and new examples (see `toyflow.stats.crossed`).
        None with one seed, and where outcomes by example are not stored.

        Raises:
            DamagedError: a file of outcomes is altered.
        """
        if self.seeds < 2 or self.by_example is None or self.by_example.differences.shape[1] < 2:
            return None
        table = self.by_example
        return stats.crossed(table.differences.to_numpy(), confidence, table.within)

    def deciding(self, confidence: float = 0.95) -> stats.Interval | None:
        """The interval that a verdict goes by: `crossed`, or where there is none the one over seeds. None
        with one seed, and where neither exists, as seeds show no spread."""
        crossed = self.crossed(confidence)
        return crossed or (self.interval(confidence) if self.has_spread else None)

    def level_at(self, bound: float) -> float:
        """The level at which the interval that decides ends at the bound; there must be one."""
        if bound not in self._levels:
            above, level = self.difference.mean() > bound, [0.0, 1.0]
            for _ in range(BISECTIONS):
                middle = sum(level) / 2
                interval = self.deciding(1 - middle)
                assert interval is not None
                excludes = interval.low > bound if above else interval.high < bound
                level[excludes] = middle
            self._levels[bound] = level[1]
        return self._levels[bound]

    @cached_property
    def _levels(self) -> dict[float, float]:
        return {}

    def reversed(self) -> Contrast:
        """`second - first`."""
        negated = self.read and (lambda: self.by_example and -self.by_example)
        return Contrast(self.second, self.first, read=negated, **origin([self]))

    def minus(self, other: Contrast) -> Contrast | None:
        """How much larger this difference is than another one."""
        seeds = self.first.index.intersection(other.first.index)
        if seeds.empty:
            return None

        def read() -> ByExample | None:
            one, two = self.by_example, other.by_example
            return one - two if one and two else None

        of_both = origin([self, other])
        return Contrast(self.difference[seeds], other.difference[seeds], read=read, **of_both)


def origin(contrasts: Sequence[Contrast]) -> dict[str, tuple[str, ...]]:
    """Fields of what is made of these contrasts: where they come from, and what is left out."""
    return {
        name: unique([each for contrast in contrasts for each in getattr(contrast, name)])
        for name in ("folders", "without", "elsewhere", "remarks")
    }


def contrast(
    first: pd.DataFrame, second: pd.DataFrame, value: str = "score", alike: Sequence[str] = ()
) -> Contrast | None:
    """`first` against `second` on the seeds that they share.

    Args:
        first, second: rows of `tidy`.
        value: the column to compare.
        alike: columns of which only the values found in both are used.

    Returns:
        One mean per shared seed, over the (cell, K) rows that all seeds have; with `alike`, only values of
        those columns found in both. None where nothing is shared.
    """
    seeds = set(first["seed"]) & set(second["seed"])
    (first, lacking), (second, others) = (_complete(rows, value, seeds) for rows in (first, second))
    keys = list(alike)
    if keys:
        shared = pd.MultiIndex.from_frame(first[keys]).intersection(pd.MultiIndex.from_frame(second[keys]))
        first, second = (rows[pd.MultiIndex.from_frame(rows[keys]).isin(shared)] for rows in (first, second))
    if first.empty or second.empty:
        return None
    one, other = (
        rows.groupby(["seed", *keys])[value].mean().groupby("seed").mean() for rows in (first, second)
    )
    both = pd.concat([first, second])
    return Contrast(
        one,
        other,
        folders=unique(both["folder"].tolist()),
        schedules=unique(sorted(first["schedule"])),
        without=unique([*lacking, *others]),
        elsewhere=unique([folder for folders in both["elsewhere"] for folder in folders]),
        remarks=unique([remark for remark in both.get("remark", ()) if remark]),
        read=partial(_by_example, first, second, value, keys),
    )


def _by_example(
    first: pd.DataFrame, second: pd.DataFrame, value: str, keys: Sequence[str]
) -> ByExample | None:
    """What `contrast` looks at, by example: means over the same rows. Where rows have test sets of their own,
    the examples of one place in all of them count as one."""
    metric = None if value == "score" else value
    means, outcomes = [], True
    for rows in (first, second):
        table = by_example(rows["evaluation"].tolist(), metric) if "evaluation" in rows else None
        if table is None:
            return None
        outcomes &= bool(np.isin(table, (0, 1)).all())
        columns = rows[["seed", *keys]].reset_index(drop=True).join(pd.DataFrame(table))
        means.append(columns.groupby(["seed", *keys]).mean().groupby("seed").mean())
    one, two = means
    return ByExample(one - two, (-1.0, 1.0) if outcomes else None) if one.shape == two.shape else None


def _complete(rows: pd.DataFrame, value: str, seeds: set[int]) -> tuple[pd.DataFrame, list[str]]:
    """Rows of these seeds that have a value, without (cell, K) pairs that are missing for a seed; and what
    these are."""
    if value not in rows:
        return rows.iloc[:0], []
    rows = rows[rows["seed"].isin(seeds) & rows[value].notna()]
    whole = rows.groupby(["cell", "steps"])["seed"].transform("nunique") == len(seeds)
    kept, dropped = rows[whole], rows[~whole]
    return kept, [_named(row, kept, len(seeds)) for _, row in _seeds_of_each(dropped).iterrows()]


def _seeds_of_each(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per (cell, K), with the number of its seeds as `seed`."""
    names = ["cell", "steps", "objective", "schedule", "draws"]
    return rows.groupby(names, sort=False)["seed"].nunique().reset_index()


def _named(row: pd.Series, kept: pd.DataFrame, seeds: int) -> str:
    """`shift:3, which has 2 of 3 seeds`; with K and draws where the others of the schedule have all seeds."""
    name = row["schedule"] or row["objective"]
    if (kept["schedule"].where(kept["schedule"] != "", kept["objective"]) == name).any():
        name += f" at K = {row['steps']}" + (f" in {row['draws']} draws" if row["draws"] > 1 else "")
    return f"{name}, which has {row['seed']} of {seeds} seeds"
