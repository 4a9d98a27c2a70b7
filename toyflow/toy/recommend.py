"""`toyflow recommend`: short trainings of candidate laws, probed and compared, to one law and one K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from toyflow import plugins
from toyflow.atomic import write_json
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.report.recommend import Recommendation, Yardstick, recommend_from
from toyflow.report.results import Results, load_results
from toyflow.report.runs import existing_store
from toyflow.sweep.executors import Executor
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import Cell
from toyflow.sweep.run import Audience, run_missing
from toyflow.sweep.store import Store, StoredEvaluation
from toyflow.toy.api import plan_study
from toyflow.toy.probe import probe
from toyflow.toy.study import ToyStudy, choose_device
from toyflow.toy.task import Task

FRACTION = 0.25
"""Of the iterations of the training that is advised on."""
FILE = "recommendation.json"


def recommend(
    options: SweepOptions,
    executor: Executor,
    audience: Audience,
    *,
    fraction: float = FRACTION,
    metric: str | None = None,
    margin: float | None = None,
    task: Task | None = None,
) -> Recommendation:
    """Train each of `options.schedules` for a `fraction` of `options.iterations`, decode, probe, choose, and
    write OUT/recommendation.json. What OUT already holds is kept.

    Args:
        metric: what to choose by; None for the task's headline.
        margin: points of the headline, or the metric's unit; see `Yardstick`.
        task: an instance to use in place of the plug-in that `options` names.

    Raises:
        UsageError: several settings at once, a fraction outside (0, 1], a metric that does not exist.
        ToyflowError: a training failed.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"--fraction must be above 0 and at most 1, got {fraction:g}.")
    for name, values in options.set.items():
        if len(values) > 1:
            raise UsageError(
                f"recommend looks at one setting; give {name} one value, not {', '.join(values)}."
            )
    yardstick = yardstick_of(task or plugins.load("tasks", options.task), metric, margin)
    short = replace(options, iterations=max(1, round(fraction * options.iterations)))
    cells = plan_study(short, task)
    store = Store(short.out)
    study = ToyStudy(
        short.task, choose_device(short.device), short.threads, task=task, data_dir=short.data_dir
    )
    failed = run_missing(cells, study, store, executor, audience)
    if failed:
        raise ToyflowError(
            f"{len(failed)} of {len(cells)} trainings failed; the same command tries them again."
        )
    results = load_results(store, cells)
    keys = [cell.training.key for cell in cells if has_velocity(cell)]
    probed = (
        probe(store.root, keys, device=short.device, task=task, data_dir=short.data_dir) if keys else None
    )
    cost = {
        "trainings": len(cells),
        "iterations": short.iterations,
        "full_iterations": options.iterations,
        "seconds": seconds_of(results),
    }
    found = recommend_from(results, probed, yardstick, cost)
    write_json(store.root / FILE, _as_json(found))
    return found


def full_sweep(options: SweepOptions, folder: Path, task: Task | None = None) -> Results:
    """What `folder` holds of full trainings of this setting and these laws, to hold a choice against.

    Raises:
        UsageError: it holds none, or several recipes of them.
    """
    cells, results = plan_study(options, task), load_results(existing_store(folder))
    asked, laws = cells[0].training, {cell.training.label for cell in cells}

    def fits(evaluation: StoredEvaluation) -> bool:
        record = evaluation.training.record
        alike = (record.task, record.data, record.model) == (asked.task, asked.data, asked.model)
        return alike and record.label in laws

    kept = [i for i, evaluation in enumerate(results.evaluations) if fits(evaluation)]
    if not kept:
        raise UsageError(f"{folder} holds nothing of this setting and these candidates.")
    recipes = {repr(results.evaluations[i].training.record.recipe) for i in kept}
    if len(recipes) > 1:
        raise UsageError(f"{folder} holds this setting under {len(recipes)} recipes; keep one per folder.")
    frame = results.frame.iloc[kept].reset_index(drop=True)
    return replace(results, frame=frame, evaluations=[results.evaluations[i] for i in kept])


def yardstick_of(task: Task | type[Task], metric: str | None, margin: float | None) -> Yardstick:
    """Raises UsageError for a metric that the task has not."""
    metrics: Sequence[str] = (*task.metrics, *task.set_metrics)
    if metric is not None and metric not in metrics:
        raise unknown(f"metric of {task.name}", metric, metrics)
    chosen = metric or metrics[0]
    headline = chosen == metrics[0]
    if margin is not None and not 0 < margin < float("inf"):
        raise UsageError(f"--margin must be a number above 0, got {margin:g}.")
    in_unit = margin / 100 if headline and margin is not None else margin
    return Yardstick(chosen, headline, chosen in task.lower_is_better, in_unit)


def has_velocity(cell: Cell) -> bool:
    """Whether its model can be probed."""
    return plugins.load("objectives", cell.training.objective).has_velocity


def seconds_of(results: Results) -> float:
    """Of training every model and of all its decodings."""
    trainings = {e.training.record.key: e.training.details["seconds"] for e in results.evaluations}
    return sum(trainings.values()) + float(
        results.frame[["encode_seconds", "decode_seconds"]].to_numpy().sum()
    )


def _as_json(found: Recommendation) -> dict[str, object]:
    rows = found.candidates.rename_axis("law").reset_index().astype(object)
    rows = rows.where(rows.notna(), None)
    return {
        "law": found.choice.law,
        "steps": found.choice.steps,
        "metric": found.yardstick.metric,
        "choice": asdict(found.choice),
        "candidates": rows.to_dict(orient="records"),
        "sentences": list(found.sentences),
        "cost": dict(found.cost),
    }
