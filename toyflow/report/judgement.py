"""How differences over seeds become a verdict on a claim."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any, Literal

import numpy as np
import pandas as pd

from toyflow import stats
from toyflow.report.evidence import Contrast, unique

Verdict = Literal["agree", "disagree", "undecided", "undecided (one seed)", "no data here"]

LEARNED = 0.2
"""A score below this says that the task was not learned, and nothing else."""
BISECTIONS = 24
"""How often the level of a p-value is halved: to 1e-7."""


@dataclass(frozen=True)
class Judgement:
    """How results bear on a claim."""

    verdict: Verdict
    evidence: str
    effects: tuple[str, ...] = ()
    """The differences that the verdict rests on, with their intervals."""
    needed: str = ""
    """What would decide it; empty where it is decided."""
    folders: tuple[str, ...] = ()
    """Where the results are."""
    seeds: int = 0
    on: str = ""
    """Name of the testbed."""


@dataclass(frozen=True)
class Effect:
    """A difference that a verdict rests on, and what it has to lie above."""

    name: str
    """What is subtracted from what: `K = 1 minus K = 10`."""
    of: Contrast
    floor: float = 0.0
    equivalence: bool = False
    """Whether it is a matter of being no worse by more than -`floor`, which is tested one-sided."""
    unit: str = "points"

    @property
    def confidence(self) -> float:
        """Of the interval that is held against the floor."""
        return 0.90 if self.equivalence else 0.95

    @property
    def verdict(self) -> Verdict:
        """What it says alone."""
        return decide([self.of], self.floor, self.equivalence)

    @property
    def told(self) -> str:
        """`K = 1 minus K = 10: +2.4 points [90 %: +1.3, +3.4]`."""
        return f"{self.name}: {difference(self.of, self.unit, self.confidence, full=True)}"

    def needed(self) -> str:
        """How many training seeds would decide it, with a power of 80 %, if the difference is as measured:
        by the spread between seeds as estimated, and by its upper bound. It counts that the test examples
        stay the same, of which more seeds tell no more."""
        if self.of.seeds < 2:
            return "two seeds or more, as one shows no spread"
        if not self.of.has_spread:
            return "more seeds, as these show no spread to judge by"
        spread = float(self.of.difference.std())
        upper = stats.upper_deviation(spread, self.of.seeds - 1)
        count, cautious = (self._seeds_at(deviation) for deviation in (spread, upper))
        if count is None:
            if self._seeds_at(0.0) is None:  # seeds that all agree would not do either
                return "more test examples: no number of seeds is enough with these"
            return f"more than {stats.MOST_SEEDS} seeds"
        bound = f"more than {stats.MOST_SEEDS}" if cautious is None else str(cautious)
        return f"about {count} seeds, or {bound} if the spread between seeds is at its upper bound"

    @property
    def _beyond(self) -> float:
        return abs(self.of.difference.mean() - self.floor)

    def _seeds_at(self, deviation: float) -> int | None:
        error = _of_examples(self.of)

        def power(seeds: int) -> float:
            size = self._beyond / max(hypot(deviation, error * sqrt(seeds)), stats.ROUNDING)
            return stats.t_test_power(size, seeds, 1 - self.confidence)

        counts = range(2, stats.MOST_SEEDS + 1)
        place = bisect_left(counts, stats.POWER, key=power)
        return counts[place] if place < len(counts) else None


def _of_examples(of: Contrast) -> float:
    """Standard error of the mean difference that the choice of the test examples leaves however many seeds
    there are: the root of `crossed`'s V_examples - V_cells. 0 where outcomes are not stored."""
    if of.by_example is None:
        return 0.0
    values = of.by_example.differences.to_numpy()
    seeds, examples = values.shape
    if min(seeds, examples) < 2:
        return 0.0
    by_example = values.mean(0)
    rest = values - values.mean(1)[:, None] - by_example + values.mean()
    cells = np.square(rest).sum() / ((seeds - 1) * (examples - 1)) / (seeds * examples)
    return sqrt(max(0.0, by_example.var(ddof=1) / examples - cells))


def decide(contrasts: Sequence[Contrast], floor: float, equivalence: bool = False) -> Verdict:
    """`agree` where every difference is shown to lie above `floor` at 5 %, `disagree` where one is shown to
    lie below (Bonferroni); one-sided where it is a matter of `equivalence`, as is its custom. Shown means for
    new seeds and new examples, or where outcomes are not stored for new seeds; see `Contrast.deciding`."""
    level = 0.10 if equivalence else 0.05
    if min(each.seeds for each in contrasts) < 2:
        return "undecided (one seed)"
    intervals = [each.deciding(1 - level) for each in contrasts]
    stricter = [each.deciding(1 - level / len(contrasts)) for each in contrasts]
    if None in intervals:
        return "undecided"
    if all(each.low > floor for each in intervals if each):
        return "agree"
    if any(each.high < floor for each in stricter if each):
        return "disagree"
    return "undecided"


def both_halves(first: Verdict, second: Verdict) -> Verdict:
    """The verdict on a claim of two halves, from the verdicts on each."""
    order: tuple[Verdict, ...] = ("undecided (one seed)", "disagree", "undecided", "agree")
    return order[min(order.index(first), order.index(second))]


def conclude(
    evidence: str,
    *effects: Effect,
    verdict: Verdict | None = None,
    of: Sequence[pd.Series] = (),
    lacking: str = "",
) -> Judgement:
    """The judgement that `effects`, which share a floor, lead to, or that has the `verdict`.

    Args:
        evidence: a sentence without its full stop.
        of: scores by which it is told whether a model has learned the task; else those in the effects.
        lacking: what has to be run before the claim can hold, whatever the effects say.
    """
    needs = _needed(effects)
    if verdict is None:
        verdict = decide([each.of for each in effects], effects[0].floor, effects[0].equivalence)
        needs = "; ".join(filter(None, (needs, lacking)))
    elif lacking:
        needs = lacking
    if lacking and verdict == "agree":
        verdict = "undecided"
    scores = of or [values for each in effects for values in (each.of.first, each.of.second)]
    if max(values.mean() for values in scores) < LEARNED:
        verdict = "undecided" if verdict in ("agree", "disagree") else verdict
        needs = "models that have learned the task"
        evidence += f". None of these models has learned the task: all are below {100 * LEARNED:g} %"
    seeds = min(each.of.seeds for each in effects)
    told = f"{evidence}." if seeds > 1 else f"{evidence}. All of it is seed {effects[0].of.first.index[0]}."
    folders = unique([folder for each in effects for folder in each.of.folders])
    return Judgement(
        verdict, told, tuple(each.told for each in effects), needs if verdict.startswith("undecided") else "",
        folders, seeds,
    )  # fmt: skip


def _needed(effects: Sequence[Effect]) -> str:
    """What would decide those that do not agree: `about 17 seeds`, by name where they differ."""
    names: dict[str, list[str]] = {}
    for each in effects:
        if each.verdict != "agree":
            names.setdefault(each.needed(), []).append(each.name)
    if len(names) < 2:
        return "".join(names)
    return "; ".join(f"{needed} ({listed(of)})" for needed, of in names.items())


def each_adjusted(effects: Sequence[Effect]) -> str:
    """Each effect with its p-value, adjusted by Holm's method where there are several: of its being at the
    floor, or, where it is a matter of equivalence, below (one-sided)."""
    told = [f"{each.name} {difference(each.of, each.unit, each.confidence)}" for each in effects]
    found = [_p_value(each) for each in effects]
    adjusted = iter(stats.holm([p for p in found if p is not None]))
    shown = ["n/a" if p is None else _shown_p(next(adjusted)) for p in found]
    words = [f"{effect}, p {p}" for effect, p in zip(told, shown, strict=True)]
    tests = sum(p is not None for p in found)
    note = f" (p adjusted by Holm's method over {tests} tests)" if tests > 1 else ""
    return "; ".join(words) + note


def is_contrary(effects: Sequence[Effect]) -> bool:
    """Whether one of them is shown to lie below its floor, at 5 % by Holm's method: two-sided, or one-sided
    where it is a matter of equivalence."""
    above = [p for each in effects if (p := _p_above(each)) is not None]
    sides = 1 if effects and effects[0].equivalence else 2
    return any(p < 0.05 for p in stats.holm([sides * (1 - p) for p in above])) if above else False


def _p_above(effect: Effect) -> float | None:
    """One-sided p-value against its lying below the floor, from the interval that decides: half the level at
    which that ends at the floor. None where there is no interval."""
    if effect.of.deciding() is None:
        return None
    above, level = effect.of.difference.mean() > effect.floor, [0.0, 1.0]
    for _ in range(BISECTIONS):
        middle = sum(level) / 2
        interval = effect.of.deciding(1 - middle)
        assert interval is not None
        excludes = interval.low > effect.floor if above else interval.high < effect.floor
        level[excludes] = middle
    return level[1] / 2 if above else 1 - level[1] / 2


def _p_value(effect: Effect) -> float | None:
    p = _p_above(effect)
    return p if p is None or effect.equivalence else 2 * min(p, 1 - p)


def _shown_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def by_schedule(
    contrasts: Mapping[str, Contrast | None],
    floor: float = 0.0,
    equivalence: bool = False,
    unit: str = "points",
) -> str:
    """Each schedule's difference with its adjusted p-value; see `each_adjusted`."""
    return each_adjusted(
        [Effect(name, of, floor, equivalence, unit) for name, of in contrasts.items() if of is not None]
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


def schedules_are(of: Contrast) -> str:
    """`shift:3 and shift:4 are together`."""
    return f"{listed(of.schedules)} {'are together' if len(of.schedules) > 1 else 'is'}"
