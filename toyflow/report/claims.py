"""Claims of a paper and of our own, and what is needed to judge results against them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from toyflow.report.evidence import VALIDATION, Data, Testbed, defaults_of, is_current, tidy
from toyflow.report.headline import Named, decided_by_headline, is_headline, tested_together
from toyflow.report.judgement import Judgement
from toyflow.report.page_tables import TableView
from toyflow.report.results import Results

Headlines = Mapping[str, Sequence[Named]]
"""By headline folder its contrasts, tested together."""
Part = Literal["enough", "remedies", "paper"]
"""Where a report tells a claim: when one step is enough, what to do where it is not, what the paper says."""

OneStep = Literal["enough", "enough with averaged draws", "not enough"]
"""What one step is on a task."""


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
    one_step: OneStep | None = None
    """What one step is on a task that agrees with the claim, beside the best of all decodings or beside many
    steps; None where the claim does not say."""


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
    named: Callable[[Data], Sequence[Named]]
    """The contrasts that headline folders were run for, as far as these results have them."""


@dataclass(frozen=True)
class Judged:
    """What results say of a paper."""

    claims: Sequence[tuple[Claim, Judgement]]
    """Every claim on each of its testbeds."""
    headlines: Headlines


def judge_all(
    paper: Paper,
    folders: Mapping[str, Results],
    anatomies: Mapping[str, pd.DataFrame] | None = None,
) -> Judged:
    """Every claim on each of its testbeds, by the results of all these folders together. Where those of a
    headline folder decide, they do by p-values adjusted over all contrasts that it was run for.

    Args:
        paper: its claims are in the order of the result.
        folders: results by the folder's name.
        anatomies: of the models of a folder, by its name; see `read_anatomies`.
    """
    testbeds = dict.fromkeys(testbed for claim in paper.claims for testbed in claim.testbeds)
    fresh_first = dict(sorted(folders.items(), key=lambda of: not is_headline(of[0])))
    tasks = {testbed.task for testbed in testbeds}
    decodings = tidy(fresh_first, tasks, anatomies or {})  # which lists what lies in two folders once
    decodings = decodings[(decodings["times"] == "stratified") & (decodings["sampler"] == "euler")]
    headlines = {
        (testbed.name, setting): _NamedContrasts(paper, data)
        for testbed in testbeds
        for setting, data in settings(testbed, decodings)
    }
    judged = [
        (claim, replace(_judged(claim, testbed, decodings, headlines), on=testbed.name))
        for claim in paper.claims
        for testbed in claim.testbeds
    ]
    return Judged(judged, {folder: named for of in headlines.values() for folder, named in of.by_folder()})


class _NamedContrasts:
    """The contrasts that the headline folders of one recipe were run for."""

    def __init__(self, paper: Paper, data: Data) -> None:
        self._paper, self._fresh = paper, _fresh(data)
        self._found: dict[frozenset[str], Sequence[Named]] = {}

    def of(self, folders: Collection[str]) -> Sequence[Named]:
        """Those of the results of these folders together, with p adjusted over all of them: a claim that is
        judged by the seeds of two folders has the tests of both beside it, each once."""
        key = frozenset(folders)
        if self._fresh is None:
            return ()
        if key not in self._found:
            rows = self._fresh.rows[self._fresh.rows["folder"].isin(key)]
            self._found[key] = tested_together(self._paper.named(replace(self._fresh, rows=rows)))
        return self._found[key]

    def by_folder(self) -> Iterator[tuple[str, Sequence[Named]]]:
        """(folder, its contrasts tested together) of each folder that has some."""
        folders = [] if self._fresh is None else self._fresh.rows["folder"].unique()
        for folder in sorted(map(str, folders)):
            if named := self.of([folder]):
                yield folder, named


def _judged(
    claim: Claim,
    testbed: Testbed,
    decodings: pd.DataFrame,
    headlines: Mapping[tuple[str, str], _NamedContrasts],
) -> Judgement:
    """Judge the claim by the recipe with most seeds; among equals by the one with the longest training, then
    with most decodings. The verdicts of other recipes are added."""
    judged = [
        (judgement, (data.rows["drawn"].iloc[0], len(data.rows)), setting)
        for setting, data in settings(testbed, decodings)
        if (judgement := _by_fresh_seeds(claim, data, headlines[testbed.name, setting])) is not None
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
    for folder, group in rows[rows["folder"].map(is_headline).astype(bool)].groupby("folder"):
        rates = group.groupby("objective")["learning rate"].unique()
        own = f"learning rates of {folder}"
        if rates.map(len).eq(1).all() and rates.map(min).nunique() > 1:
            recipes[group.index] = [
                ", ".join(own if part == f"learning rate {rate}" else part for part in recipe.split(", "))
                for recipe, rate in zip(group["recipe"], group["learning rate"], strict=True)
            ]
    return recipes


def _fresh(data: Data) -> Data | None:
    """The results of headline folders, if any; the others have had their say in what was planned."""
    fresh = data.rows["folder"].map(is_headline)
    if not fresh.any():
        return None
    return replace(data, rows=data.rows[fresh], earlier=pd.concat([data.earlier, data.rows[~fresh]]))


def _by_fresh_seeds(claim: Claim, data: Data, contrasts: _NamedContrasts) -> Judgement | None:
    """Judge by headline folders, where they bear on the claim, else by the others."""
    fresh = _fresh(data)
    if fresh is None:
        return claim.judge(data)
    planned = claim.judge(fresh)
    if planned is None:
        return claim.judge(replace(data, rows=data.rows[~data.rows["folder"].map(is_headline)]))
    return decided_by_headline(claim.name, planned, contrasts.of(planned.folders))


def told_apart(recipes: Sequence[str]) -> list[str]:
    """Each recipe without the parts that all recipes share."""
    parts = [recipe.split(", ") for recipe in recipes]
    return [", ".join(part for part in of if not all(part in each for each in parts)) for of in parts]
