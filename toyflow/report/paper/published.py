"""The paper's LIBERO numbers (arXiv 2606.05737, tables 1 to 5, 10 and 11) beside a results folder's.

They are second-hand, from two reviews of the paper. Tables 4 and 5 name no schedule there; shift:4 is our
reading. Of table 5, LIBERO-Pro, only the mean over all cells is known.
`published.csv` holds them; its column `schedule` has the objective's name where that draws no time from a
schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.page_tables import TableView
from toyflow.report.results import Results, prediction_of, variants
from toyflow.report.tables import interval_notes
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.stored import StoredEvaluation, caveat_of

SETTING = ["size", "horizon", "supervision", "condition", "schedule", "steps", "suite"]
"""What has to be the same for two numbers to be compared."""
TOLD = ("size", "horizon", "supervision", "cameras", "language", "state", "suite", "sampler", "grid", "draws")
"""Names in a result's description that `SETTING` tells, or that are alike in all."""


def published() -> pd.DataFrame:
    """A row per published number: `table`, `SETTING`, `success` in %."""
    with (files("toyflow.report.paper") / "published.csv").open() as file:
        return pd.read_csv(file)


def beside_published(results: Results) -> pd.DataFrame:
    """A row per number of the paper and the results of the same setting: `success` is the paper's in %,
    `ours` with `low_95` and `high_95` is these results', of all `episodes` of `seeds`; `interval` says what
    that speaks of (see `toyflow.stats.proportion_over_seeds`). Empty where nothing matches.

    Other predictions than the velocity, other samplers than Euler's, grids and several draws are left out.
    Sizes other than the paper's are compared with its `tiny`; `our_size` says which. Results that differ in
    anything else, such as the recipe, the data or the assets, have rows of their own; `variant` tells them
    apart.
    """
    comparable = [evaluation for evaluation in results.evaluations if _is_comparable(evaluation)]
    if not comparable:
        return pd.DataFrame()
    rows = pd.DataFrame([_setting(evaluation) for evaluation in comparable])
    by = [*SETTING, "our_size", "caveat", "variant"]
    ours = []
    for setting, group in rows.assign(variant=variants(comparable, without=TOLD)).groupby(by):
        interval = stats.proportion_over_seeds(group["hits"].tolist(), group["episodes"].tolist())
        ours.append(
            {
                **dict(zip(by, setting, strict=True)),
                "seeds": len(group),
                "episodes": group["episodes"].sum(),
                "ours": 100 * interval.estimate,
                "low_95": 100 * interval.low,
                "high_95": 100 * interval.high,
                "interval": interval.method,
            }
        )
    return published().merge(pd.DataFrame(ours), on=SETTING)


def published_table(results: Results) -> list[TableView]:
    """Tables for a page: the paper's numbers where these results have the same setting."""
    beside = beside_published(results)
    if beside.empty:
        return []
    several, footnotes = beside["variant"].nunique() > 1, Footnotes()
    rows = [
        [
            str(row["table"]), row["schedule"], str(row["steps"]), row["suite"], str(row["horizon"]),
            row["supervision"], row["condition"], *([row["variant"]] if several else []),
            f"{row['success']:.1f}",
            f"{row['ours']:.1f}{footnotes.mark(row['caveat'])} [{row['low_95']:.1f}, {row['high_95']:.1f}]",
            str(row["seeds"]), str(row["episodes"]), row["our_size"],
        ]
        for _, row in beside.iterrows()
    ]  # fmt: skip
    columns = [
        "table", "schedule", "K", "suite", "horizon", "supervision", "sees",
        *(["ours differ in"] if several else []),
        "paper, %", "ours, % [95 %]", "seeds", "episodes", "our size",
    ]  # fmt: skip
    small = set(beside["our_size"]) - {"tiny", "full"}
    notes = [
        f"The paper's numbers are second-hand, without intervals. Ours: {interval_notes(beside)}.",
    ]
    if small:
        notes.append("Other sizes than the paper's: the numbers stand side by side, and are not to be equal.")
    note = footnotes.after(" ".join(notes))
    return [TableView("The paper's LIBERO numbers beside these", columns, rows, 7 + several, note)]


def _is_comparable(evaluation: StoredEvaluation) -> bool:
    """Whether it is an evaluation on a robot's suite, trained and decoded as the paper's policies are."""
    training, decoding = evaluation.training, evaluation.record
    trained_here = "trials" in evaluation.details and "imported" not in training.details
    predicts_velocity = prediction_of(training.record) in (None, VELOCITY)
    plain = decoding.sampler in (None, "euler") and decoding.grid is None and decoding.draws == 1
    return trained_here and predicts_velocity and plain


def _setting(evaluation: StoredEvaluation) -> Mapping[str, Any]:
    record, trials = evaluation.training.record, evaluation.details["trials"]
    model, examples = record.model, evaluation.details["examples"]
    return {
        "size": "full" if model["size"] == "full" else "tiny",
        "our_size": model["size"],
        "horizon": int(model["horizon"]),
        "supervision": model["supervision"],
        "condition": _condition(model),
        "schedule": record.label,
        "steps": evaluation.record.steps,
        "suite": trials["suite"],
        "caveat": caveat_of(evaluation),
        "hits": round(evaluation.score * examples),
        "episodes": examples,
    }


def _condition(model: Mapping[str, str]) -> str:
    """What the policy does not see, in the paper's words."""
    lacks = [
        words
        for words, lacking in (
            ("no image", model["cameras"] == "none"),
            ("no wrist", model["cameras"] == "image"),
            ("no prompt", model["language"] == "off"),
            ("no state", model["state"] == "off"),
        )
        if lacking
    ]
    return ", ".join(lacks) or "all"
