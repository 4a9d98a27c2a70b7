"""Differences that a verdict rests on: how each is tested, alone and together with others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from typing import Any, Literal

import pandas as pd

from toyflow import stats
from toyflow.report.contrasts import Contrast
from toyflow.report.paired_tables import LEVEL
from toyflow.report.tables import shown_p

Verdict = Literal["agree", "disagree", "undecided", "undecided (one seed)", "no data here"]
Kind = Literal["difference", "not worse", "equivalent"]


@dataclass(frozen=True)
class Effect:
    """A difference that a verdict rests on, and what it is held against."""

    name: str
    """What is subtracted from what: `K = 1 minus K = 10`."""
    of: Contrast
    floor: float = 0.0
    kind: Kind = "difference"
    """`difference`: it is to lie above `floor`, by a two-sided test. `not worse`: the same by a one-sided
    test, as is the custom where `floor` is minus a margin. `equivalent`: it is to lie within +-`floor`, by
    two one-sided tests."""
    unit: str = "points"
    parts: Mapping[str, Contrast] = field(default_factory=dict)
    """The same under each schedule, where `of` is the mean over schedules."""
    adjusted: float | None = None
    """`p` adjusted for those that it was tested `together` with."""
    tests: int = 1
    """How many these are, itself included."""
    level: float = LEVEL
    """At which it would be decided."""

    @property
    def title(self) -> str:
        """Its name with its schedules: `K = 1 minus K = 10, mean over beta and uniform`."""
        if not self.parts:
            return self.name
        return f"{self.name}, {'mean over' if len(self.parts) > 1 else 'under'} {listed([*self.parts])}"

    @property
    def told(self) -> str:
        """`K = 1 minus K = 10: +2.4 points [90 %: +1.3, +3.4]`, its p where it was tested with others,
        and what is to be said beside its scores."""
        told = f"{self.title}: {difference(self.of, self.unit, self.confidence, full=True)}"
        told += "" if self.adjusted is None else f", p {shown_p(self.adjusted)} by Holm's method"
        return f"{told} ({'; '.join(self.of.remarks)})" if self.of.remarks else told

    @property
    def confidence(self) -> float:
        """Of the interval that is held against the floor."""
        return 1 - LEVEL * self._sides

    @property
    def holds(self) -> bool:
        """Whether the estimate lies where it should, be that shown or not."""
        mean = self.of.difference.mean()
        return bool(mean > self.floor and (self.kind != "equivalent" or mean < -self.floor))

    @cached_property
    def p(self) -> float | None:
        """P-value of what speaks against the side on which the estimate lies: the least level at which the
        interval that decides lies on that side, or half of it in one-sided tests. None where there is no
        interval."""
        if self.of.deciding() is None:
            return None
        return max(self.of.level_at(bound) for bound in self._bounds) / self._sides

    @cached_property
    def verdict(self) -> Verdict:
        """By `adjusted` where it was tested with others, else what it says alone. One schedule that shows the
        contrary refutes a mean over several."""
        if self.of.seeds < 2:
            return "undecided (one seed)"
        if len(self.parts) > 1 and is_contrary([self.part(name) for name in self.parts]):
            return "disagree"
        p = self.p if self.adjusted is None else self.adjusted
        if p is None or p >= LEVEL:
            return "undecided"
        return "agree" if self.holds else "disagree"

    def part(self, schedule: str) -> Effect:
        """The same under one schedule."""
        return replace(self, name=f"{self.name}, under {schedule}", of=self.parts[schedule], parts={})

    def by_schedule(self) -> str:
        """What `each_told` tells of its parts."""
        return each_told([replace(self.part(name), name=name) for name in self.parts])

    def needed(self) -> str:
        """How many training seeds would decide it, with a power of 80 %, if the difference is as measured:
        by the spread between seeds as estimated, and by its upper bound. It counts that the test examples
        stay the same, of which more seeds tell no more."""
        interval = self.of.deciding(self.confidence)
        if self.of.seeds < 2:
            return "two seeds or more, as one shows no spread"
        if interval is None:
            return "more seeds, as these show no spread to judge by"
        if interval.method == stats.CROSSED_RESOLUTION or self._seeds_at(0.0) is None:
            return "more test examples: no number of seeds is enough with these"
        spread = float(self.of.difference.std())
        upper = stats.upper_deviation(spread, self.of.seeds - 1)
        count, cautious = self._seeds_at(spread), self._seeds_at(upper)
        if count is None:
            return f"more than {stats.MOST_SEEDS} seeds"
        bound = f"more than {stats.MOST_SEEDS}" if cautious is None else str(cautious)
        return f"about {count} seeds, or {bound} if the spread between seeds is at its upper bound"

    @property
    def _bounds(self) -> tuple[float, ...]:
        return (self.floor, -self.floor) if self.kind == "equivalent" else (self.floor,)

    @property
    def _sides(self) -> int:
        return 1 if self.kind == "difference" else 2

    def _seeds_at(self, deviation: float) -> int | None:
        """How many seeds would decide it at this standard deviation between them; more than there are."""
        far = [abs(self.of.difference.mean() - bound) for bound in self._bounds]
        if not self.holds:  # it is beyond the nearer one that it would be shown to lie
            far = [min(far)]
        left = _of_examples(self.of)

        def power(seeds: int) -> float:
            error = max(sqrt(deviation**2 + seeds * left), stats.ROUNDING)
            missed = [1 - stats.t_test_power(each / error, seeds, self._sides * self.level) for each in far]
            return 1 - sum(missed)

        counts = range(self.of.seeds + 1, stats.MOST_SEEDS + 1)
        place = bisect_left(counts, stats.POWER, key=power)
        return counts[place] if place < len(counts) else None


def _of_examples(of: Contrast) -> float:
    """Variance of the mean difference that the choice of the test examples leaves however many seeds there
    are. 0 where outcomes are not stored."""
    table = of.by_example
    if table is None or min(table.differences.shape) < 2:
        return 0.0
    parts = stats.variances_of_mean(table.differences.to_numpy())
    return max(0.0, parts.examples.value - parts.cells.value)


def together(effects: Sequence[Effect]) -> list[Effect]:
    """The same effects with their p-values adjusted by Holm's method over all of them."""
    adjusted = stats.holm([each.p for each in effects])
    undecided = sum(p is None or p >= LEVEL for p in adjusted)
    return [
        replace(each, adjusted=p, tests=len(effects), level=LEVEL / max(undecided, 1))
        for each, p in zip(effects, adjusted, strict=True)
    ]


def weakest(effects: Sequence[Effect]) -> Effect:
    """Of differences that must all lie where they should, the one that says least for it: first what is shown
    to lie elsewhere, then what is open. Of a mean over schedules that one of them refutes, that schedule."""

    def order(effect: Effect) -> tuple[int, bool, float]:
        shown = 0.0 if effect.p is None else 1 - effect.p
        rank = {"disagree": 0, "agree": 2}.get(effect.verdict, 1)
        return rank, effect.holds, shown if effect.holds else -shown

    found = min(effects, key=order)
    parts = [found.part(name) for name in found.parts] if len(found.parts) > 1 else []
    return min(parts, key=order) if is_contrary(parts) else found


def is_contrary(effects: Sequence[Effect]) -> bool:
    """Whether one of them is shown not to lie where it should, at 5 % by Holm's method."""
    return any(each.verdict == "disagree" for each in together(effects))


def each_told(effects: Sequence[Effect]) -> str:
    """Each effect with its p-value, adjusted by Holm's method where there are several."""
    told = [
        f"{each.name} {difference(each.of, each.unit, each.confidence)}, p {shown_p(each.adjusted)}"
        for each in together(effects)
    ]
    note = f" (p adjusted by Holm's method over {len(told)} tests)" if len(told) > 1 else ""
    return "; ".join(told) + note


def by_schedule(
    contrasts: Mapping[str, Contrast | None],
    floor: float = 0.0,
    kind: Kind = "difference",
    unit: str = "points",
) -> str:
    """Each schedule's difference with its p-value; see `each_told`."""
    return each_told(
        [Effect(name, of, floor, kind, unit) for name, of in contrasts.items() if of is not None]
    )


def difference(of: Contrast, unit: str = "points", confidence: float = 0.95, full: bool = False) -> str:
    """`+2.4 points [+1.1, +3.6]`, with the interval that decides (`Contrast.deciding`); in points,
    proportions are multiplied by 100. An interval of another confidence than 95 %, or over seeds alone, says
    so, and where `full` each does: `+2.4 points [90 % over seeds: +1.3, +3.4]`."""
    factor, digits = (100, 1) if unit == "points" else (1, 0 if unit == "iterations" else 2)
    mean = f"{factor * of.difference.mean():+.{digits}f}" + (f" {unit}" if unit else "")
    if of.seeds < 2:
        return mean
    interval = of.deciding(confidence)
    if interval is None:
        return f"{mean} on every seed"
    bounds = ", ".join(f"{factor * bound:+.{digits}f}" for bound in (interval.low, interval.high))
    over_seeds = interval.method == stats.T
    said = [f"{100 * confidence:g} %"] if full or confidence != 0.95 else []
    said += ["over seeds" if over_seeds else "over seeds and examples"] if full or over_seeds else []
    return f"{mean} [{' '.join(said) + ': ' if said else ''}{bounds}]"


def percent(values: pd.Series) -> str:
    """The mean of proportions: `88.2 %`."""
    return f"{100 * values.mean():.1f} %"


def listed(names: Sequence[Any]) -> str:
    """`a, b and c`."""
    *rest, last = [str(name) for name in names]
    return f"{', '.join(rest)} and {last}" if rest else last
