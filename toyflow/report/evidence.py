"""Results held against claims: what is picked, set against each other and decided.

The seed is the unit throughout: a claim is judged by one difference per seed, between results that agree in
the recipe and in everything else that the claim does not name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from toyflow import stats
from toyflow.report.results import Results
from toyflow.sweep.records import RECIPE_VERSION
from toyflow.sweep.store import StoredEvaluation
from toyflow.sweep.subject import load_subject

Verdict = Literal["agree", "disagree", "undecided", "undecided (one seed)", "no data here"]

MANY = 10
"""The steps that one step is held against; where these were not run, the most that were."""
LEARNED = 0.2
"""A score below this says that the task was not learned, and nothing else."""
ANY = None
"""In `Data.pick`: every value."""


@dataclass(frozen=True)
class Judgement:
    """How results bear on a claim."""

    verdict: Verdict
    evidence: str
    folders: tuple[str, ...] = ()
    """Where the results are."""
    seeds: int = 0


@dataclass(frozen=True)
class Data:
    """Decodings of one task under one recipe, a row each; see `tidy`."""

    rows: pd.DataFrame
    defaults: Mapping[str, str]
    """Of the task's options."""

    def pick(self, **wanted: Any) -> pd.DataFrame:
        """Rows in which each named column has the value, one of several values (a tuple), or passes a test
        (a callable). `ANY` lets all through; options of the task that are not named are at their default."""
        rows = self.rows
        for column, value in {**self.defaults, **wanted}.items():
            if value is ANY:
                continue
            if column not in rows:
                return rows.iloc[:0]
            if callable(value):
                rows = rows[rows[column].map(value).astype(bool)]
            else:
                rows = rows[rows[column].isin(value if isinstance(value, tuple) else (value,))]
        return rows

    def flow(self, schedule: Any, steps: Any, **wanted: Any) -> pd.DataFrame:
        """Rows of flow matching."""
        return self.pick(objective="flow", schedule=schedule, steps=steps, **wanted)

    def many(self, **wanted: Any) -> int:
        """`MANY` if flow was decoded so, else the most steps that it was."""
        steps = set(self.flow(ANY, ANY, **wanted)["steps"])
        return MANY if MANY in steps or not steps else max(steps)


@dataclass(frozen=True)
class Contrast:
    """Two means by seed; `first - second` is what is looked at."""

    first: pd.Series
    second: pd.Series
    folders: tuple[str, ...]
    laws: tuple[str, ...] = ()
    """Those of `first`."""

    @property
    def difference(self) -> pd.Series:
        """By seed."""
        return self.first - self.second

    @property
    def seeds(self) -> int:
        """How many."""
        return len(self.first)

    @property
    def has_spread(self) -> bool:
        """Whether there are seeds enough that differ; without, there is no interval."""
        largest = max(self.first.abs().max(), self.second.abs().max())
        return self.seeds > 1 and bool(np.ptp(self.difference) > 1e-6 * largest)

    def interval(self, confidence: float = 0.95) -> stats.Interval:
        """Student's t over seeds."""
        return stats.over_seeds(self.difference.tolist(), confidence)

    def minus(self, other: Contrast) -> Contrast | None:
        """How much larger this difference is than another one."""
        seeds = self.first.index.intersection(other.first.index)
        if seeds.empty:
            return None
        folders = unique([*self.folders, *other.folders])
        return Contrast(self.difference[seeds], other.difference[seeds], folders)


def tidy(folders: Mapping[str, Results], tasks: Collection[str]) -> pd.DataFrame:
    """A row per decoding: folder, task, objective, schedule ("" for none), seed, steps, model_calls, score,
    its metrics, the task's options by name, recipe and cell in words, training (the stored model) and keys. A
    cell is all that tells models apart but for the seed. What lies in two folders is listed once, other
    tasks are left out."""
    rows = [
        _row(name, evaluation)
        for name, results in folders.items()
        for evaluation in results.evaluations
        if task_of(evaluation) in tasks
    ]
    columns = None if rows else ["task", "times", "sampler", "recipe", "training_key", "evaluation_key"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(
        ["training_key", "evaluation_key"], ignore_index=True
    )


def contrast(
    first: pd.DataFrame, second: pd.DataFrame, value: str = "score", alike: Sequence[str] = ()
) -> Contrast | None:
    """`first` against `second` on the seeds they share, each seed's mean over what every seed has, where the
    columns `alike` have values that both have. None where they share nothing."""
    seeds = set(first["seed"]) & set(second["seed"])
    first, second = (_complete(rows, value, seeds) for rows in (first, second))
    keys = list(alike)
    if keys:
        shared = pd.MultiIndex.from_frame(first[keys]).intersection(pd.MultiIndex.from_frame(second[keys]))
        first, second = (rows[pd.MultiIndex.from_frame(rows[keys]).isin(shared)] for rows in (first, second))
    if first.empty or second.empty:
        return None
    one, other = (
        rows.groupby(["seed", *keys])[value].mean().groupby("seed").mean() for rows in (first, second)
    )
    folders, laws = unique([*first["folder"], *second["folder"]]), unique(sorted(first["schedule"]))
    return Contrast(one, other, folders, laws)


def _row(folder: str, evaluation: StoredEvaluation) -> dict[str, Any]:
    training, record = evaluation.training, evaluation.training.record
    task = task_of(evaluation)
    setting = {
        "task version": record.task.removeprefix(task),
        **{name.replace("_", " "): f"{value:g}" for name, value in record.recipe.items()},
        "recipe version": record.recipe_version,
        "noise seed": evaluation.record.noise_seed,
        "test set": evaluation.record.test_set,
    }
    options = {**defaults_of(task), **record.data, **record.model}
    return {
        **options,
        **evaluation.details["metrics"],
        "score": evaluation.score,
        "folder": folder,
        "task": task,
        "objective": record.objective,
        "schedule": record.schedule or "",
        "times": record.time_sampling or "stratified",
        "sampler": evaluation.record.sampler or "euler",
        "seed": record.seed,
        "steps": evaluation.record.steps,
        "model_calls": evaluation.details["model_calls"],
        "training_flops": training.details.get("training_flops", np.nan),
        "recipe": ", ".join(f"{name} {value}" for name, value in setting.items() if value != ""),
        "drawn": record.recipe.get("iterations", 0) * record.recipe.get("batch_size", 1),
        "cell": repr((record.objective, record.schedule, sorted(options.items()))),
        "training": training,
        "training_key": record.key,
        "evaluation_key": evaluation.record.key,
    }


def defaults_of(task: str) -> dict[str, str]:
    """The task's options at their default."""
    chosen = load_subject(task).choose({})
    return {**chosen.data, **chosen.model}


def is_current(recipe: str) -> bool:
    """Whether a `recipe` of `tidy` is of the version that this toyflow trains by."""
    return f"recipe version {RECIPE_VERSION}" in recipe.split(", ")


def task_of(evaluation: StoredEvaluation) -> str:
    """Its name without the version."""
    return re.sub(r"-v\d+$", "", evaluation.training.record.task)


def _complete(rows: pd.DataFrame, value: str, seeds: set[int]) -> pd.DataFrame:
    """Rows of these seeds with a value, without those whose like some seed lacks."""
    if value not in rows:
        return rows.iloc[:0]
    rows = rows[rows["seed"].isin(seeds) & rows[value].notna()]
    return rows[rows.groupby(["cell", "steps"])["seed"].transform("nunique") == len(seeds)]


def decide(contrasts: Sequence[Contrast], floor: float, equivalence: bool = False) -> Verdict:
    """`agree` where every difference is shown to lie above `floor` at 5 %, `disagree` where one is shown to
    lie below (Bonferroni); one-sided where it is a matter of `equivalence`, as is its custom."""
    level = 0.10 if equivalence else 0.05
    if min(each.seeds for each in contrasts) < 2:
        return "undecided (one seed)"
    if not all(each.has_spread for each in contrasts):
        return "undecided"
    if all(each.interval(1 - level).low > floor for each in contrasts):
        return "agree"
    if any(each.interval(1 - level / len(contrasts)).high < floor for each in contrasts):
        return "disagree"
    return "undecided"


def both_halves(first: Verdict, second: Verdict) -> Verdict:
    """Of a claim with two halves."""
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
    """`+2.4 points [+1.1, +3.6]`; in points, proportions are multiplied by 100."""
    factor, digits = (100, 1) if unit == "points" else (1, 0 if unit == "iterations" else 2)
    mean = f"{factor * of.difference.mean():+.{digits}f}" + (f" {unit}" if unit else "")
    if of.seeds < 2:
        return mean
    if not of.has_spread:
        return f"{mean} on every seed"
    interval = of.interval(confidence)
    bounds = ", ".join(f"{factor * bound:+.{digits}f}" for bound in (interval.low, interval.high))
    return f"{mean} [{bounds}]"


def percent(values: pd.Series) -> str:
    """The mean of proportions: `88.2 %`."""
    return f"{100 * values.mean():.1f} %"


def listed(names: Sequence[Any]) -> str:
    """`a, b and c`."""
    *rest, last = [str(name) for name in names]
    return f"{', '.join(rest)} and {last}" if rest else last


def laws_are(of: Contrast) -> str:
    """`shift:3 and shift:4 are together`."""
    return f"{listed(of.laws)} {'are together' if len(of.laws) > 1 else 'is'}"


def unique(items: Sequence[str]) -> tuple[str, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(items))
