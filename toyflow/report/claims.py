"""A paper's claims, and the verdict that results give on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from toyflow import stats
from toyflow.report.evidence import Contrast, Data, defaults_of, is_current, tidy, unique
from toyflow.report.page_tables import TableView
from toyflow.report.results import Results

Verdict = Literal["agree", "disagree", "undecided", "undecided (one seed)", "no data here"]

LEARNED = 0.2
"""A score below this says that the task was not learned, and nothing else."""


@dataclass(frozen=True)
class Judgement:
    """How results bear on a claim."""

    verdict: Verdict
    evidence: str
    folders: tuple[str, ...] = ()
    """Where the results are."""
    seeds: int = 0


@dataclass(frozen=True)
class Claim:
    """A claim, and how to hold results against it."""

    name: str
    text: str
    numbers: str
    """What the paper reports; where the claim is ours, why we make it."""
    ours: bool
    task: str
    needs: str
    """What must have been run."""
    judge: Callable[[Data], Judgement | None]
    """Judges the claim by the results; None where the data are not there."""


@dataclass(frozen=True)
class Overview:
    """One figure of several tasks together."""

    file: str
    """Name of the figure's file in the report's folder."""
    title: str
    alt: str
    draw: Callable[[Mapping[str, Results], bool], Figure | None]
    """Draws the figure from results by folder, its panels side by side or, where True, stacked; None where
    the results are of one task only."""


@dataclass(frozen=True)
class Paper:
    """A paper that results can be held against."""

    title: str
    reference: str
    claims: Sequence[Claim]
    overview: Overview
    numbers_file: str
    """Name, without its ending, of the table of `numbers`."""
    numbers: Callable[[Results], pd.DataFrame]
    """A row per number of the paper that these results have one beside; empty where there is none."""
    tables: Callable[[Results], Sequence[TableView]]
    """Tables of these numbers for a page."""


def judge_all(claims: Sequence[Claim], folders: Mapping[str, Results]) -> list[tuple[Claim, Judgement]]:
    """Every claim, by the results of all these folders together."""
    decodings = tidy(folders, {claim.task for claim in claims})
    return [(claim, _judged(claim, decodings)) for claim in claims]


def _judged(claim: Claim, decodings: pd.DataFrame) -> Judgement:
    """Judge the claim by the recipe with most seeds; among equals by the one with the longest training, then
    with most decodings. The verdicts of other recipes are added."""
    rows = decodings[(decodings["task"] == claim.task) & (decodings["times"] == "stratified")]
    rows, defaults = rows[rows["sampler"] == "euler"], defaults_of(claim.task)
    judged = [
        (judgement, (group["drawn"].iloc[0], len(group)), str(recipe))
        for recipe, group in rows.groupby("recipe")
        if (judgement := claim.judge(Data(group, defaults))) is not None
    ]
    if not judged:
        return Judgement("no data here", f"It needs {claim.needs}.")
    judged.sort(key=lambda of: (is_current(of[2]), of[0].seeds, of[1]), reverse=True)
    (best, *_), *others = judged
    if not others:
        return best
    own, *rest = told_apart([recipe for *_, recipe in judged])
    said = "; ".join(f"{other.verdict} ({recipe})" for (other, *_), recipe in zip(others, rest, strict=True))
    evidence = f"{best.evidence} This is by {own}; other recipes in these results: {said}."
    return Judgement(best.verdict, evidence, best.folders, best.seeds)


def told_apart(recipes: Sequence[str]) -> list[str]:
    """Each recipe without the parts that all recipes share."""
    parts = [recipe.split(", ") for recipe in recipes]
    return [", ".join(part for part in of if not all(part in each for each in parts)) for of in parts]


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
    verdict: Verdict, evidence: str, *contrasts: Contrast, of: Sequence[pd.Series] = ()
) -> Judgement:
    """Undecided where no model has learned the task, by the scores `of`, else by those in the contrasts."""
    scores = of or [values for each in contrasts for values in (each.first, each.second)]
    if max(values.mean() for values in scores) < LEARNED:
        verdict = "undecided" if verdict in ("agree", "disagree") else verdict
        evidence += f". None of these models has learned the task: all are below {100 * LEARNED:g} %"
    seeds = min(each.seeds for each in contrasts)
    told = (
        f"{evidence} ({seeds} seeds)." if seeds > 1 else f"{evidence} (seed {contrasts[0].first.index[0]})."
    )
    folders = unique([folder for each in contrasts for folder in each.folders])
    return Judgement(verdict, told, folders, seeds)


def difference(of: Contrast, unit: str = "points", confidence: float = 0.95) -> str:
    """`+2.4 points [+1.1, +3.6]`, with the interval that decides (`Contrast.deciding`); in points,
    proportions are multiplied by 100. An interval of another confidence, or over seeds alone, says so: `+2.4
    points [90 % over seeds: +1.3, +3.4]`."""
    factor, digits = (100, 1) if unit == "points" else (1, 0 if unit == "iterations" else 2)
    mean = f"{factor * of.difference.mean():+.{digits}f}" + (f" {unit}" if unit else "")
    if of.seeds < 2:
        return mean
    interval = of.deciding(confidence)
    if interval is None:
        return f"{mean} on every seed"
    bounds = ", ".join(f"{factor * bound:+.{digits}f}" for bound in (interval.low, interval.high))
    said = [] if confidence == 0.95 else [f"{100 * confidence:g} %"]
    said += ["over seeds"] if interval.method == stats.T else []
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
