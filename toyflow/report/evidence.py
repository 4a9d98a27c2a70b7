"""Evidence for a claim: decodings of results folders as one table, and the contrast of two parts of it.

A contrast has one difference per training seed, between results that agree in the recipe and in everything
else that the claim does not name; and, where outcomes are stored by example, one per seed and example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from toyflow import stats
from toyflow.flow.anatomy import MEASURES
from toyflow.report.results import UNIFORM_GRID, Results, by_example, prediction_of, task_of
from toyflow.report.tables import MANY, MARGIN
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.records import RECIPE_VERSION
from toyflow.sweep.stored import StoredEvaluation
from toyflow.sweep.subject import load_subject

VALIDATION = "validation"
"""The value of a task's option `split` whose results may choose a setting and decide nothing."""
ANY = None
"""An argument of `Data.pick` that lets every value through."""

PLAIN: Mapping[str, Any] = {
    "prediction": lambda name: pd.isna(name) or name == VELOCITY,
    "grid": UNIFORM_GRID,
    "draws": 1,
}
"""What `Data.pick` takes where these are not named: the velocity or, where the objective has no choice, what
that predicts; equal steps; one draw."""


@dataclass(frozen=True)
class Testbed:
    """A task with its options, on which claims are judged."""

    name: str
    task: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What its options are, as `Data.pick` takes them; others are at their default."""
    any_options: bool = False
    """Whether these others may have any value. Results that differ in one are judged apart, like recipes."""
    unit: str = "examples"
    """What a score counts: `grids`."""
    margin: float = MARGIN
    """Scores within this of each other are equivalent."""
    described: str = ""
    """From what to what, and what is right, for one who does not know it."""
    determined: bool = False
    """Whether the condition determines the target, so that the task has no spread of its own."""

    def rows(self, decodings: pd.DataFrame) -> pd.DataFrame:
        """Those that may be of this testbed."""
        if not self.any_options:
            return decodings
        return Data(decodings, self.options, self).pick(prediction=ANY, grid=ANY, draws=ANY)

    def open_options(self, decodings: pd.DataFrame) -> pd.Series:
        """For each decoding the options that this testbed leaves open and that are not at their default:
        `, side 3`."""

        def told(options: Mapping[str, str]) -> str:
            left = (name for name in sorted(options) if name not in {*self.options, "split"})
            return "".join(f", {name} {options[name]}" for name in left) if self.any_options else ""

        return decodings["changed"].map(told)


@dataclass(frozen=True)
class Data:
    """Decodings of one task under one recipe, a row each; see `tidy`."""

    rows: pd.DataFrame
    defaults: Mapping[str, Any]
    """What `pick` takes of the task's options that it does not name."""
    testbed: Testbed
    earlier: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Decodings by which a setting may be chosen, and nothing is judged: of the validation split, and of
    seeds that were seen when what is judged was planned."""

    def pick(self, **wanted: Any) -> pd.DataFrame:
        """Rows in which each named column has the value, one of several values (a tuple), or passes a test
        (a callable). `ANY` lets all through; options of the task that are not named are at their default, and
        prediction, grid and draws as in `PLAIN`."""
        rows = self.rows
        for column, value in {**PLAIN, **self.defaults, **wanted}.items():
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

    def before(self, validation: bool) -> Data:
        """The decodings of `earlier`: of the validation split, or of earlier seeds."""
        defaults = {name: value for name, value in self.defaults.items() if name != "split"}
        of_validation = self.earlier.get("split", pd.Series("", self.earlier.index)) == VALIDATION
        return Data(self.earlier[of_validation == validation], defaults, self.testbed)

    def many(self, **wanted: Any) -> int:
        """`MANY` if flow was decoded so, else the most steps that it was."""
        steps = set(self.flow(ANY, ANY, **wanted)["steps"])
        return MANY if MANY in steps or not steps else max(steps)


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

    def reversed(self) -> Contrast:
        """`second - first`."""
        negated = self.read and (lambda: self.by_example and -self.by_example)
        return Contrast(self.second, self.first, self.folders, read=negated)

    def minus(self, other: Contrast) -> Contrast | None:
        """How much larger this difference is than another one."""
        seeds = self.first.index.intersection(other.first.index)
        if seeds.empty:
            return None
        folders = unique([*self.folders, *other.folders])

        def read() -> ByExample | None:
            one, two = self.by_example, other.by_example
            return one - two if one and two else None

        return Contrast(self.difference[seeds], other.difference[seeds], folders, read=read)


def tidy(
    folders: Mapping[str, Results],
    tasks: Collection[str],
    anatomies: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """A row per decoding of these tasks; one that lies in two folders is listed once.

    Args:
        folders: results by the folder's name.
        tasks: names of tasks.
        anatomies: of the models of a folder, by its name; see `read_anatomies`.

    Columns: folder, task, objective, schedule ("" for none), prediction (None where the objective has no
    choice), seed, steps, sampler, grid, draws, model_calls, score, the metrics, the task's options by name,
    recipe, its learning rate and cell in words, training (the stored model) and keys; `changed`, the options
    that are not at their default. Rows of one cell differ only in seed, K, sampler and recipe. What a probe
    measured of the model: `anatomy leak` and so on, NaN where it was not probed.
    """
    rows = [
        _row(name, evaluation)
        for name, results in folders.items()
        for evaluation in results.evaluations
        if task_of(evaluation) in tasks
    ]
    keys = ["training_key", "evaluation_key"]
    known = ["folder", "task", "times", "sampler", "recipe", "learning rate", "changed", *keys]
    found = pd.DataFrame(rows, columns=None if rows else known).drop_duplicates(keys, ignore_index=True)
    probed = [frame for frame in (anatomies or {}).values() if len(frame)]
    measures = pd.concat(probed).drop_duplicates("key") if probed else pd.DataFrame(columns=["key"])
    measures = measures.reindex(columns=["key", *MEASURES]).set_index("key").add_prefix("anatomy ")
    return found.join(measures, on="training_key")


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
    folders = unique([*first["folder"], *second["folder"]])
    read = partial(_by_example, first, second, value, keys)
    return Contrast(one, other, folders, unique(sorted(first["schedule"])), read)


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


def _row(folder: str, evaluation: StoredEvaluation) -> dict[str, Any]:
    training, record = evaluation.training, evaluation.training.record
    task = task_of(evaluation)
    setting = {
        "task version": record.task.removeprefix(task),
        **record.recipe_texts,
        "recipe version": record.recipe_version,
        "noise seed": evaluation.record.noise_seed,
        "test set": evaluation.record.test_set,
    }
    defaults = defaults_of(task)
    options = {**defaults, **training.data_options, **record.model}
    prediction = prediction_of(record)
    grid, draws = evaluation.record.grid or UNIFORM_GRID, evaluation.record.draws
    return {
        **options,
        **evaluation.details["metrics"],
        "score": evaluation.score,
        "examples": evaluation.details.get("examples", np.nan),
        "folder": folder,
        "task": task,
        "objective": record.objective,
        "schedule": record.schedule or "",
        "prediction": prediction,
        "times": record.time_sampling or "stratified",
        "sampler": evaluation.record.sampler or "euler",
        "grid": grid,
        "draws": draws,
        "seed": record.seed,
        "steps": evaluation.record.steps,
        "model_calls": evaluation.details["model_calls"],
        "training_flops": training.details.get("training_flops", np.nan),
        "recipe": ", ".join(f"{name} {value}" for name, value in setting.items() if value != ""),
        "learning rate": record.recipe_texts.get("learning rate", ""),
        "drawn": record.recipe.get("iterations", 0) * record.recipe.get("batch_size", 1),
        "changed": {name: value for name, value in options.items() if defaults.get(name) != value},
        "cell": repr((record.objective, record.schedule, prediction, grid, draws, sorted(options.items()))),
        "training": training,
        "evaluation": evaluation,
        "training_key": record.key,
        "evaluation_key": evaluation.record.key,
    }


def defaults_of(task: str) -> dict[str, str]:
    """The task's options at their default."""
    subject = load_subject(task)
    return {**subject.data_options().texts(), **subject.model_options().texts()}


def is_current(recipe: str) -> bool:
    """Whether a `recipe` of `tidy` is of the version that this toyflow trains by."""
    return f"recipe version {RECIPE_VERSION}" in recipe.split(", ")


def _complete(rows: pd.DataFrame, value: str, seeds: set[int]) -> pd.DataFrame:
    """Rows of these seeds that have a value, dropping (cell, K) pairs that are missing for a seed."""
    if value not in rows:
        return rows.iloc[:0]
    rows = rows[rows["seed"].isin(seeds) & rows[value].notna()]
    return rows[rows.groupby(["cell", "steps"])["seed"].transform("nunique") == len(seeds)]


def unique(items: Sequence[str]) -> tuple[str, ...]:
    """Each item once, in order."""
    return tuple(dict.fromkeys(items))
