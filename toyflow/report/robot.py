"""Tables of a robot's evaluations: by task, and how long a plan takes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.sweep.store import StoredEvaluation


def task_table(evaluations: Sequence[StoredEvaluation]) -> Table:
    """A line per model and K, a column per task: solved of all episodes; then Wilson's interval of all."""
    tasks = sorted({row["task"] for evaluation in evaluations for row in evaluation.details["tasks"]})
    table = Table(title="solved episodes by task", title_justify="left")
    for column in ("law", "seed", "K"):
        table.add_column(column, no_wrap=True)
    for task in tasks:
        table.add_column(str(task), justify="right")
    table.add_column("all \\[95 %]", justify="right", no_wrap=True)
    for evaluation in evaluations:
        record, details = evaluation.training.record, evaluation.details
        rows = {row["task"]: row for row in details["tasks"]}
        cells = [f"{rows[t]['hits']}/{rows[t]['episodes']}" if t in rows else "" for t in tasks]
        interval = stats.wilson(round(evaluation.score * details["examples"]), details["examples"])
        whole = f"{interval.estimate:.1%} \\[{interval.low:.1%}, {interval.high:.1%}]"
        table.add_row(escape(record.label), str(record.seed), str(evaluation.record.steps), *cells, whole)
    table.caption = " ".join(notes(evaluations))
    table.caption_justify = "left"
    return table


def notes(evaluations: Sequence[StoredEvaluation]) -> list[str]:
    """What a reader of these scores has to know: where, how often the policy looked, and what went wrong."""
    trials = [evaluation.details["trials"] for evaluation in evaluations]
    suites = ", ".join(sorted({each["suite"] for each in trials}))
    replan = ", ".join(sorted({str(each["replan"]) for each in trials}))
    said = [f"Suite {suites}, official initial states; the policy looks again every {replan} actions."]
    if any(each["assets"] != "own" for each in trials):
        said.append("STAND-IN ASSETS: these are not the suite's scores.")
    errors = sum(evaluation.details["errors"] for evaluation in evaluations)
    if errors:
        said.append(f"{errors} episodes ended in an error of the simulator and count as not solved.")
    return said


def latency_table(evaluations: Sequence[StoredEvaluation]) -> Table:
    """A line per model and K: milliseconds of the condition, of a step, and of a plan."""
    table = Table(title="milliseconds, p50 (p95)", title_justify="left")
    for column in ("law", "seed", "K", "condition", "step", "plan"):
        table.add_column(column, justify="left" if column == "law" else "right", no_wrap=True)
    for evaluation in evaluations:
        record, latency = evaluation.training.record, evaluation.details["latency_ms"]
        steps = evaluation.record.steps
        times = (latency["condition"], latency["step"], latency["plan"][str(steps)])
        shown = [f"{each['p50']:.2f} ({each['p95']:.2f})" for each in times]
        table.add_row(escape(record.label), str(record.seed), str(steps), *shown)
    device = evaluations[0].training.environment.get("device_name", "")
    table.caption = f"one observation, weights loaded and warm; {escape(str(device))}"
    table.caption_justify = "left"
    return table
