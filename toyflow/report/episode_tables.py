"""Tables of a robot's evaluations: by task, and how long a plan takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.page_tables import TableView
from toyflow.report.perturbation_tables import by_perturbation, few_against_many, is_varied
from toyflow.report.results import Results, by_example, variants
from toyflow.sweep.stored import EPISODE_SCORE, StoredEvaluation, caveat_of, errors_in_words, missing_tasks
from toyflow.sweep.timing_doubts import MARK, doubts_in_words, plan_of, timing_doubts

MOST_TASKS = 10
"""Of a benchmark that varies tasks, a suite of more is not shown task by task."""
SCORE_NOTE = " An episode's score is the best it reached, 0 to 1; its interval is Student's t over episodes."
NONE = "-"
"""A cell of a terminal's table where a value is not known."""


def robot_views(results: Results, beside: Sequence[StoredEvaluation] = ()) -> list[TableView]:
    """What these results are shown by besides the tables that every task has; nothing for other tasks.
    Of the evaluations `beside`, those on tasks that nothing varies tell the unperturbed success."""
    evaluations = [e for e in results.evaluations if "trials" in e.details]
    if not evaluations:
        return []
    results = replace(results, evaluations=evaluations)
    plain = [e for e in evaluations if not is_varied(e) or len(e.details["tasks"]) <= MOST_TASKS]
    unperturbed = [e for e in beside if not is_varied(e)]
    return [
        *([by_task(plain)] if plain else []),
        *by_perturbation(replace(results, evaluations=[*evaluations, *unperturbed])),
        *few_against_many(results),
        latency(evaluations),
    ]


def by_task(evaluations: Sequence[StoredEvaluation]) -> TableView:
    """A row per model and decoding, a column per task: solved of all episodes; Wilson's interval of all.
    Where episodes have a score, its mean and Student's t interval over episodes, too."""
    tasks = sorted({row["task"] for evaluation in evaluations for row in evaluation.details["tasks"]})
    names, rows, notes = _names(evaluations), [], Footnotes()
    scored = any(EPISODE_SCORE in evaluation.details["metrics"] for evaluation in evaluations)
    for name, evaluation in zip(names, evaluations, strict=True):
        details = evaluation.details
        found = {row["task"]: _solved(row) for row in details["tasks"]}
        interval = stats.wilson(round(evaluation.score * details["examples"]), details["examples"])
        mark = notes.mark(caveat_of(evaluation))
        whole = f"{interval.estimate:.1%}{mark} [{interval.low:.1%}, {interval.high:.1%}]"
        whole += f", {errors_in_words(evaluation.errors)}" if evaluation.errors else ""
        scores = [_mean_score(evaluation)] if scored else []
        rows.append([*name, *(found.get(task, "") for task in tasks), whole, *scores])
    heads = _heads(names)
    columns = [*heads, *(f"task {task}" for task in tasks), "all [95 %]"]
    columns += ["mean score [95 %]"] if scored else []
    note = notes.after(_note(evaluations) + (SCORE_NOTE if scored else ""))
    return TableView("Solved episodes by task", columns, rows, len(heads), note)


def latency(evaluations: Sequence[StoredEvaluation]) -> TableView:
    """A row per model and decoding: milliseconds of the condition, of a step, of a plan and of its parts'
    sum, T_condition + K T_step; and the plan as a multiple of one step of one draw."""
    names, doubts, rows = _names(evaluations), timing_doubts(evaluations), []
    remote = any(evaluation.details["latency_ms"].get("network") for evaluation in evaluations)
    for name, evaluation, doubt in zip(names, evaluations, doubts, strict=True):
        times = evaluation.details["latency_ms"]
        plan = plan_of(times)
        network = [times.get("network")] if remote else []
        parts = (*network, times["condition"], times["step"], plan)
        told = (f"{each['p50']:.2f} ({each['p95']:.2f})" if each else NONE for each in parts)
        sum_of_parts = times["condition"]["p50"] + evaluation.details["model_calls"] * times["step"]["p50"]
        sum_of_parts += times["network"]["p50"] if times.get("network") else 0.0
        one_step = times.get("one_step")  # older results have none
        ratio = f"{plan['p50'] / one_step['p50']:.2f}" if one_step else NONE
        cells = [*told, f"{sum_of_parts:.2f}", ratio]
        rows.append([*name, *(cell + MARK if doubt and cell != NONE else cell for cell in cells)])
    devices = {str(evaluation.environment.get("device_name")): None for evaluation in evaluations}
    note = (
        f"One observation, weights loaded and warm, on {', '.join(devices)}. Last column: the plan as a "
        f"multiple of one in one step of one draw, timed in turns with it. {doubts_in_words(doubts)}"
    ).strip()
    if remote:
        note += (
            " Behind a server the plan is from question to answer; `network` is what it took outside the "
            "policy; what the server does not tell apart counts as the condition."
        )
    values = [
        *(["network"] if remote else []),
        "condition",
        "step",
        "plan",
        "condition + steps",
        "/ one step",
    ]
    columns = [*_heads(names), *values]
    return TableView("Milliseconds, p50 (p95)", columns, rows, len(columns) - len(values), note)


def for_terminal(view: TableView) -> Table:
    """The same for a terminal."""
    table = Table(title=view.caption, title_justify="left", caption=escape(view.note), caption_justify="left")
    for place, column in enumerate(view.columns):
        table.add_column(escape(column), justify="left" if place < view.names else "right", no_wrap=True)
    for row in view.rows:
        table.add_row(*map(escape, row))
    return table


def _names(evaluations: Sequence[StoredEvaluation]) -> list[list[str]]:
    """Schedule, variant where there are several, seed and decoding."""
    differing = variants(evaluations, without=("sampler", "grid", "draws"))
    several = len(set(differing)) > 1
    return [
        [
            e.training.record.label,
            *([variant] if several else []),
            str(e.training.record.seed),
            e.record.label,
        ]
        for e, variant in zip(evaluations, differing, strict=True)
    ]


def _heads(names: Sequence[Sequence[str]]) -> list[str]:
    return ["schedule", *(["variant"] if len(names[0]) > 3 else []), "seed", "decoding"]


def _mean_score(evaluation: StoredEvaluation) -> str:
    """`0.803 [0.742, 0.864]`."""
    if EPISODE_SCORE not in evaluation.details["metrics"]:
        return NONE
    mean = evaluation.details["metrics"][EPISODE_SCORE]
    values = by_example([evaluation], EPISODE_SCORE)
    return f"{mean:.3f}" if values is None else mean_score(values[0])


def mean_score(values: Float[np.ndarray, "episodes"]) -> str:
    """`0.803 [0.742, 0.864]`: the mean of episodes' scores with Student's t interval; of one alone, it.

    >>> mean_score(np.array([0.5, 0.7, 0.9])), mean_score(np.array([0.5]))
    ('0.700 [0.203, 1.000]', '0.500')
    """
    if len(values) < 2:
        return f"{values.mean():.3f}"
    interval = stats.within_0_and_1(stats.mean_over_conditions(values))
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _solved(row: Mapping[str, Any]) -> str:
    """`48/49, 1 error`."""
    return f"{row['hits']}/{row['episodes']}" + (
        f", {errors_in_words(row['errors'])}" if row["errors"] else ""
    )


def _note(evaluations: Sequence[StoredEvaluation]) -> str:
    """What a reader of these scores has to know: where, how often the policy looked, and what went wrong."""
    trials = [evaluation.details["trials"] for evaluation in evaluations]
    suites = ", ".join(sorted({each["suite"] for each in trials}))
    replan = ", ".join(sorted({str(each["replan"]) for each in trials}))
    said = [f"Suite {suites}, official initial states; the policy plans anew after {replan} actions."]
    if missing := sum(row["tasks"] for row in missing_tasks(evaluations).values()):
        said.append(f"{missing} tasks that were asked for cannot run here and are in no number.")
    if any(evaluation.errors for evaluation in evaluations):
        said.append(
            "Errors are the simulator's and say nothing of the policy: no number counts them. The same "
            "command again runs those episodes anew."
        )
    if blown := sum(evaluation.details.get("not_finite", 0) for evaluation in evaluations):
        said.append(f"{blown} episodes ended as the policy planned an action that is not finite: not solved.")
    return " ".join(said)
