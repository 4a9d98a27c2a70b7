"""The tables of a report's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toyflow import plugins, stats
from toyflow.errors import ToyflowError
from toyflow.footnotes import Footnotes
from toyflow.report import paired_tables, tables
from toyflow.report.results import CELL, UNIFORM_GRID, Results, task_of
from toyflow.report.tables import MANY, in_words
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.stored import StoredTraining, errors_in_words, remark_of
from toyflow.sweep.subject import options_of
from toyflow.sweep.timing_doubts import MARK, doubts_in_words

NONE = "\u2013"
"""A table's cell where a value is not known or does not apply."""
LONG = 40
"""A table of more rows than this is folded."""


@dataclass(frozen=True)
class TableView:
    """A table as text; the first `names` columns name a row, the others hold numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    note: str = ""

    @property
    def is_long(self) -> bool:
        """Whether the table is long, so that a page folds it."""
        return len(self.rows) > LONG


def _names(frame: pd.DataFrame) -> list[str]:
    """Columns that name a row: the schedule, and the variant where there are several."""
    return CELL if frame["variant"].nunique() > 1 else CELL[:1]


def _heads(names: Sequence[str]) -> list[str]:
    return ["schedule" if name == "label" else name for name in names]


def scores(results: Results) -> TableView:
    """A row per schedule and variant, a column per K."""
    table = tables.summary(results)
    names, steps = _names(table), sorted(table["steps"].unique())
    rows, notes = [], Footnotes()
    for _, group in table.groupby(CELL, sort=False):
        by_steps = {row["steps"]: row for _, row in group.iterrows()}
        cells = [_percent(by_steps[k], notes) if k in by_steps else NONE for k in steps]
        rows.append([*group[names].iloc[0].astype(str), str(group["seeds"].max()), *cells])
    note = notes.after(f"Intervals: {tables.interval_notes(table)}.")
    columns = [*_heads(names), "seeds", *(f"K = {k}" for k in steps)]
    return TableView(
        f"Scores: {in_words(results.metric)} in % [95 %], by steps K", columns, rows, len(names), note
    )


def _percent(row: pd.Series, notes: Footnotes) -> str:
    """`88.2 [86.7, 89.7]`."""
    score, low, high = (100 * row[column] for column in ("score", "low_95", "high_95"))
    beside = f", {errors_in_words(row['errors'])}" if row["errors"] else ""
    return f"{score:.1f}{notes.mark(row['caveat'])} [{low:.1f}, {high:.1f}]{beside}"


def one_against_many(results: Results) -> Iterable[TableView]:
    """One step against ten, or the most there are; nothing where only one K was decoded."""
    steps = set(results.frame["steps"])
    many = MANY if MANY in steps else max(steps)
    models = paired_tables.paired(results, 1, many) if many > 1 else pd.DataFrame()
    if models.empty:
        return
    names, settings = _names(models), paired_tables.paired_by_setting(models)
    others = any(len(evaluation.details["metrics"]) > 1 for evaluation in results.evaluations)
    alone = f"By {in_words(results.metric)} alone; other metrics follow below. " if others else ""
    pairs = results.frame[results.frame["steps"].isin([1, many])].groupby(CELL)
    rows, notes = [], Footnotes()
    for _, row in settings.iterrows():
        remark = _remark(results, pairs.get_group((row["label"], row["variant"])))
        low, mid, high = (100 * row[column] for column in ("low_90", "difference", "high_90"))
        several = str(row["seed"]).startswith("all ")
        rows.append(
            [
                *row[names].astype(str),
                str(row["seed"]).removeprefix("all ") if several else f"seed {row['seed']}",
                f"{mid:+.1f}{notes.mark(remark)} [{low:+.1f}, {high:+.1f}]",
                tables.shown_p(row["p_holm"]),
                row["verdict"],
            ]
        )
    p = "p, Holm" if len(settings) > 1 else "p"
    yield TableView(
        f"K = 1 against K = {many}, same models, same noise",
        [*_heads(names), "seeds", "difference, points [90 %]", p, "K = 1 is"],
        rows,
        len(names),
        notes.after(alone + paired_tables.judged_note(settings)),
    )


def other_metrics(results: Results) -> Iterable[TableView]:
    """Metrics that are not the headline, where the task has some."""
    metrics = [name for name in results.metrics if name != results.metric]
    if not metrics:
        return
    names, shares, notes = _names(results.frame), _shares(results), Footnotes()
    rows = [
        [
            *group[names].iloc[0].astype(str),
            str(group["steps"].iloc[0]),
            *(_mean(group[name], name in shares) + notes.mark(_remark(results, group)) for name in metrics),
        ]
        for _, group in results.frame.groupby([*CELL, "steps"], sort=False)
    ]
    columns = [*_heads(names), "K", *map(in_words, metrics)]
    note = "Means over seeds, where several differ with Student's t interval over seeds, on this test set."
    yield TableView("Other metrics [95 %]", columns, rows, len(names), notes.after(note))


def _remark(results: Results, rows: pd.DataFrame) -> str:
    """What is to be said beside the scores of these rows of the frame."""
    return remark_of(*(results.evaluations[place] for place in rows.index))


def _shares(results: Results) -> set[str]:
    """Metrics that are proportions: all but those of which less is better, if the task is installed."""
    try:
        task = plugins.load("tasks", task_of(results.evaluations[0]))
    except ToyflowError:
        return {results.metric}
    return {*results.metrics} - {*task.lower_is_better}


def _mean(values: pd.Series, share: bool) -> str:
    values = values.dropna()
    if values.empty:
        return NONE
    digits = ".4f" if abs(values.mean()) < 1 else ".4g"
    if not stats.has_spread(values.tolist()):
        return f"{values.mean():{digits}}"
    interval = stats.over_seeds(values.tolist())
    interval = stats.within_0_and_1(interval) if share else interval
    return f"{interval.estimate:{digits}} [{interval.low:{digits}}, {interval.high:{digits}}]"


def costs(results: Results) -> TableView:
    """What training and decoding took, beside the score."""
    details = [evaluation.training.details for evaluation in results.evaluations]
    recipes = [evaluation.training.record.recipe for evaluation in results.evaluations]
    drawn = [recipe.get("iterations", np.nan) * recipe.get("batch_size", 1) for recipe in recipes]
    passes = [training.get("training_passes", {}) for training in details]
    calls_of_all_draws = results.frame["model_calls"] * results.frame["draws"]
    frame = results.frame.assign(
        forward=[each.get("forward", np.nan) for each in passes],
        backward=[each.get("backward", np.nan) for each in passes],
        training=[
            training.get("training_flops", np.nan) * n / 1e9
            for training, n in zip(details, drawn, strict=True)
        ],
        decoding=[
            (training.get("encode_flops", np.nan) + calls * training.get("call_flops", np.nan)) / 1e6
            for training, calls in zip(details, calls_of_all_draws, strict=True)
        ],
    )
    columns = {
        "score": (f"{in_words(results.metric)}, %", lambda value: f"{100 * value:.1f}"),
        "model_calls": ("NFE", "{:.0f}".format),
        "forward": ("forward passes", "{:g}".format),
        "backward": ("backward passes", "{:g}".format),
        "training": ("training, GFLOP", "{:,.0f}".format),
        "training_seconds": ("training, s", "{:,.0f}".format),
        "parameters": ("parameters", "{:,.0f}".format),
        "decoding": ("decoding, MFLOP", "{:,.1f}".format),
        "answer_ms": ("an answer, ms", "{:.2f}".format),
    }
    names, rows, notes = _names(frame), [], Footnotes()
    for _, group in frame.groupby([*CELL, "steps"], sort=False):
        means = group[list(columns)].mean()
        cells = [
            NONE if np.isnan(means[name]) else write(means[name]) for name, (_, write) in columns.items()
        ]
        cells[0] += notes.mark(_remark(results, group))
        if any(group["timing_doubt"]):
            cells[-1] += MARK
        rows.append([*group[names].iloc[0].astype(str), str(group["steps"].iloc[0]), *cells])
    of_draws = " once and all draws" if frame["draws"].max() > 1 else ""
    of_policies = any("trials" in evaluation.details for evaluation in results.evaluations)
    note = (
        "Means over seeds, so that scores can be read at equal cost. NFE: model calls to decode. Passes: "
        "model calls per training example. Operations are counted on the model, decoding per "
        f"{'plan' if of_policies else 'example'} with its condition encoded{of_draws}. Times are of the "
        f"machines below, an answer's {'the median of single plans' if of_policies else 'a mean'}; "
        f"other work there lengthens training. {NONE}: not recorded. "
        f"{doubts_in_words(frame['timing_doubt'])}"
    ).strip()
    heads = [*_heads(names), "K", *(head for head, _ in columns.values())]
    return TableView("Cost beside score", heads, rows, len(names), notes.after(note))


def configuration(results: Results, trainings: Sequence[StoredTraining]) -> TableView:
    """What was run."""
    records = [training.record for training in trainings]
    decodings = [evaluation.record for evaluation in results.evaluations]
    options = [options_of(training) for training in trainings]
    values: dict[str, Iterable[Any]] = {
        "task": [record.task for record in records],
        "schedules": results.frame["label"].unique(),
        "steps": [record.steps for record in decodings],
        **_beyond_the_defaults(results),
        "seeds": [record.seed for record in records],
        "sampler": [record.sampler for record in decodings],
        "times": [record.time_sampling for record in records],
        **_by_name([data for data, _ in options]),
        **_by_name([model for _, model in options]),
        **_by_name([record.recipe_texts for record in records]),
        "recipe version": [record.recipe_version for record in records],
        "test set": [record.test_set for record in decodings],
        "noise seed": [record.noise_seed for record in decodings],
    }
    rows = [[name, distinct(found)] for name, found in values.items()]
    return TableView("Configuration", ["what", "values"], rows, 2)


def _beyond_the_defaults(results: Results) -> dict[str, Iterable[Any]]:
    """Predictions, grids and draws, each where one is not the default."""
    columns = ("prediction", VELOCITY), ("grid", UNIFORM_GRID), ("draws", 1)
    found = {name: (results.frame[name].dropna(), default) for name, default in columns}
    return {name: values.tolist() for name, (values, default) in found.items() if (values != default).any()}


def versions(trainings: Sequence[StoredTraining]) -> TableView:
    """Versions of the software, and the machine."""
    environments = _by_name([training.environment for training in trainings])
    rows = [[name.replace("_", " "), distinct(found)] for name, found in environments.items()]
    return TableView("Versions and machine of the trainings", ["what", "values"], rows, 2)


def _by_name(mappings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return {name: [mapping[name] for mapping in mappings if name in mapping] for name in names}


def distinct(values: Iterable[Any]) -> str:
    """Each value once, numbers in their order, names as they come sorted."""
    unique = {value for value in values if value is not None}
    if not unique:
        return NONE
    numbers = all(isinstance(value, int | float | np.number) for value in unique)
    return ", ".join(str(value) for value in sorted(unique, key=None if numbers else str))
