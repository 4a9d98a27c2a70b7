"""A paper's claims and ours, and how results are held against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from toyflow.report.evidence import VALIDATION, Data, Testbed, defaults_of, is_current, tidy
from toyflow.report.judgement import Judgement
from toyflow.report.page_tables import TableView
from toyflow.report.results import Results

Part = Literal["enough", "remedies", "paper"]
"""Where a report tells a claim: when one step is enough, what to do where it is not, what the paper says."""

HEADLINE = "headline"
"""How the folder's name begins whose contrasts were named, and whose seeds were drawn, before it was run."""


@dataclass(frozen=True)
class Claim:
    """A claim, and how to hold results against it."""

    name: str
    text: str
    numbers: str
    """What the paper reports; where the claim is ours, why we make it."""
    part: Part
    ours: bool
    testbeds: tuple[Testbed, ...]
    """Where it is judged; a verdict each."""
    needs: str
    """What must have been run."""
    judge: Callable[[Data], Judgement | None]
    """Judges the claim by the results on one testbed; None where the data are not there."""


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


def judge_all(
    claims: Sequence[Claim],
    folders: Mapping[str, Results],
    anatomies: Mapping[str, pd.DataFrame] | None = None,
) -> list[tuple[Claim, Judgement]]:
    """Every claim on each of its testbeds, by the results of all these folders together.

    Args:
        claims: in the order of the result.
        folders: results by the folder's name.
        anatomies: of the models of a folder, by its name; see `read_anatomies`.
    """
    tasks = {testbed.task for claim in claims for testbed in claim.testbeds}
    fresh_first = dict(sorted(folders.items(), key=lambda of: not _is_headline(of[0])))
    decodings = tidy(fresh_first, tasks, anatomies or {})  # which lists what lies in two folders once
    return [
        (claim, replace(_judged(claim, testbed, decodings), on=testbed.name))
        for claim in claims
        for testbed in claim.testbeds
    ]


def _judged(claim: Claim, testbed: Testbed, decodings: pd.DataFrame) -> Judgement:
    """Judge the claim by the recipe with most seeds; among equals by the one with the longest training, then
    with most decodings. The verdicts of other recipes are added."""
    rows = decodings[(decodings["times"] == "stratified") & (decodings["sampler"] == "euler")]
    judged = [
        (judgement, (data.rows["drawn"].iloc[0], len(data.rows)), setting)
        for setting, data in settings(testbed, rows)
        if (judgement := _by_fresh_seeds(claim, data)) is not None
    ]
    if not judged:
        return Judgement("no data here", f"It needs {claim.needs}.")
    judged.sort(key=lambda of: (is_current(of[2]), of[0].seeds, of[1]), reverse=True)
    (best, *_), *others = judged
    if not others:
        return best
    own, *rest = told_apart([setting for *_, setting in judged])
    said = "; ".join(f"{other.verdict} ({name})" for (other, *_), name in zip(others, rest, strict=True))
    evidence = f"{best.evidence} This is by {own}; other recipes in these results: {said}."
    return replace(best, evidence=evidence)


def settings(testbed: Testbed, rows: pd.DataFrame) -> Iterator[tuple[str, Data]]:
    """The data of each recipe on the testbed, and of each value of the options that it leaves open. A
    headline folder with a learning rate for each objective has a recipe of its own."""
    rows = testbed.rows(rows[rows["task"] == testbed.task])
    defaults = {} if testbed.any_options else defaults_of(testbed.task)
    for setting, group in rows.groupby(_recipes(rows) + testbed.open_options(rows)):
        unseen = group.get("split", pd.Series("", group.index)) != VALIDATION
        if unseen.any():
            yield str(setting), Data(group[unseen], {**defaults, **testbed.options}, testbed, group[~unseen])


def _recipes(rows: pd.DataFrame) -> pd.Series:
    """The recipe of each decoding, in words. In a headline folder, objectives may differ in their learning
    rate, as which rate each has was written down before the run; but none may have two, or the better of
    them could be picked afterwards. There, `learning rates of FOLDER` stands for the rate."""
    recipes = rows["recipe"].copy()
    for folder, group in rows[rows["folder"].map(_is_headline).astype(bool)].groupby("folder"):
        rates = group.groupby("objective")["learning rate"].unique()
        own = f"learning rates of {folder}"
        if rates.map(len).eq(1).all() and rates.map(min).nunique() > 1:
            recipes[group.index] = [
                ", ".join(own if part == f"learning rate {rate}" else part for part in recipe.split(", "))
                for recipe, rate in zip(group["recipe"], group["learning rate"], strict=True)
            ]
    return recipes


def _is_headline(folder: str) -> bool:
    return folder.split("/")[-1].startswith(HEADLINE)


def _by_fresh_seeds(claim: Claim, data: Data) -> Judgement | None:
    """Judge by the seeds of folders that were planned for this, where they bear on the claim; the others
    have had their say in what was planned."""
    fresh = data.rows["folder"].map(_is_headline)
    if fresh.any() and not fresh.all():
        earlier = pd.concat([data.earlier, data.rows[~fresh]])
        planned = claim.judge(replace(data, rows=data.rows[fresh], earlier=earlier))
        if planned is not None:
            return planned
        return claim.judge(replace(data, rows=data.rows[~fresh]))
    return claim.judge(data)


def told_apart(recipes: Sequence[str]) -> list[str]:
    """Each recipe without the parts that all recipes share."""
    parts = [recipe.split(", ") for recipe in recipes]
    return [", ".join(part for part in of if not all(part in each for each in parts)) for of in parts]
