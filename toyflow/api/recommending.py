"""`toyflow recommend`: from short trainings of several schedules to one schedule and one K."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from toyflow import plugins
from toyflow.api.command_options import RECOMMEND_FRACTION
from toyflow.api.probing import BenchOf, OnProgress, probe_models
from toyflow.api.study import plan_study
from toyflow.atomic import write_json
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.machine import choose_device
from toyflow.report.recommendation import Recommendation, Yardstick, recommend_from, regret, regret_sentence
from toyflow.report.results import Results, load_results
from toyflow.sweep.executors import Executor, executor_of
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.run import Audience, run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.subject import load_subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.models import task_of
from toyflow.toy.probe_examples import bench_of
from toyflow.toy.task import Task
from toyflow.toy.toy_runner import ToyRunner
from toyflow.version import __version__

PROBE_STEPS, PROBE_EXAMPLES = 20, 250
"""Steps and examples of the probe: fewer than `toyflow probe` takes, as it is one of three kinds of
evidence."""
FILE = "recommendation.json"


def recommend(
    options: SweepOptions,
    executor: Executor,
    audience: Audience,
    *,
    fraction: float = RECOMMEND_FRACTION,
    metric: str | None = None,
    margin: float | None = None,
    task: Task | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Recommendation:
    """Train each of `options.schedules` for a `fraction` of the recipe's iterations, decode, and choose a
    schedule and a number of steps by the scores. A probe and a comparison are added as evidence. Writes
    OUT/recommendation.json; finished cells of OUT are kept.

    Args:
        options: schedules, steps and seeds to try on one setting of a task; `recommend_options` gives the
            defaults.
        executor: what runs the trainings.
        audience: what shows them; `show_on(console)` prints.
        fraction: length of the short trainings, as a share of the full one.
        metric: the metric to choose by; None for the task's headline.
        margin: how much worse fewer steps may score, in points or the metric's unit; None for 2 points, or a
            tenth of the best.
        task: an instance to use in place of the plug-in that `options` names.
        on_progress: of the probe.

    Raises:
        UsageError: several settings, grids or draws at once, a fraction outside (0, 1], a metric that does
            not exist.
        ToyflowError: a training failed, or the metric is not a number.

    Example:
        options = replace(recommend_options({}), task="wave", iterations=400)
        found = recommend(options, DebugExecutor(), show_on(Console()), task=Wave())
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"--fraction must be above 0 and at most 1, got {fraction:g}.")
    for name, values in options.set.items():
        if len(values) > 1:
            raise UsageError(
                f"recommend looks at one setting; give {name} one value, not {', '.join(values)}."
            )
    if len(options.recipes()) > 1:
        raise UsageError(
            "recommend looks at one recipe; give iterations, batch size and learning rate one value."
        )
    if len(options.grid) > 1 or len(options.draws) > 1:
        raise UsageError("recommend looks at one decoding but for its steps; give grid and draws one value.")
    subject: Any = load_subject(options.task) if task is None else task
    if subject.runner != Task.runner:
        raise UsageError(f"recommend supports toy tasks only, not {options.task!r}.")
    yardstick = yardstick_of(subject, metric, margin)
    others = [yardstick_of(subject, name, None) for name in _metrics(subject) if name != yardstick.metric]
    iterations = int(plan_study(options, task)[0].training.recipe["iterations"])
    shorter = max(1, round(fraction * iterations))
    short = replace(options, iterations=(shorter,))
    cells = plan_study(short, task)
    store = Store(short.out)
    device = choose_device(short.device)
    runner = ToyRunner(short.task, device, short.threads, task=task, data_dir=short.data_dir)
    failed = run_missing(cells, runner, store, executor, audience)
    if failed:
        raise ToyflowError(
            f"{len(failed)} of {len(cells)} trainings failed; the same command tries them again."
        )
    results = load_results(store, cells)
    began = time.perf_counter()
    models = {e.training.record.key: e.training for e in results.evaluations}.values()
    able = [m for m in models if plugins.load("objectives", m.record.objective).has_velocity]
    probed = None
    if able:
        probed = probe_models(
            able, steps=PROBE_STEPS, examples=PROBE_EXAMPLES, device=short.device,
            bench_of=_bench_of(task) if task else None, data_dir=short.data_dir, on_progress=on_progress,
        )  # fmt: skip
    record = cells[0].training
    found = recommend_from(
        results,
        probed,
        yardstick,
        others,
        {
            "toyflow": __version__,
            "task": record.task,
            "data": dict(record.data),
            "model": dict(record.model),
            "schedules": [cell.training.label for cell in cells if cell.training.seed == record.seed],
            "recipe": dict(record.recipe) | {"iterations": iterations},
            "iterations": iterations,
            "short_iterations": shorter,
            "steps": list(short.steps),
            "seeds": list(short.seeds),
            "margin": margin,
            "trainings": len(cells),
            "seconds": seconds_of(results) + time.perf_counter() - began,
            "threads": short.threads,
            "device": device,
        },
    )
    write_json(store.root / FILE, _as_json(found))
    return found


def recommend_and_check(
    options: SweepOptions,
    console: Console,
    *,
    fraction: float = RECOMMEND_FRACTION,
    metric: str | None = None,
    margin: float | None = None,
    against: Path | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[Recommendation, str | None]:
    """`recommend` as the command line does it; and a sentence on what the choice costs, by full trainings.

    Args:
        options: what to try; `recommend_options` gives the defaults.
        console: where the trainings are shown.
        fraction: length of the short trainings, as a share of the full one.
        metric: the metric to choose by; None for the task's headline.
        margin: how much worse fewer steps may score; see `recommend`.
        against: a results folder with full trainings of these schedules, on other seeds; None for no check.
        on_progress: of the probe.

    Raises:
        UsageError, ToyflowError: as `recommend`; and where `against` holds no such trainings.

    Example:
        options = recommend_options({"task": "dial", "schedules": "uniform,shift:4"})
        found, _ = recommend_and_check(options, Console())
        print(found.choice)
    """
    executor = executor_of(options)
    full = full_sweep(options, against) if against else None
    found = recommend(
        options, executor, show_on(console), fraction=fraction, metric=metric, margin=margin,
        on_progress=on_progress,
    )  # fmt: skip
    if full is None:
        return found, None
    return found, regret_sentence(regret(full, found.choice, found.yardstick), found.yardstick)


def _bench_of(task: Task) -> BenchOf:
    return lambda training, examples, device: bench_of(task_of(training.record, task), examples, device)


def full_sweep(options: SweepOptions, folder: Path, task: Task | None = None) -> Results:
    """Load full-length results of `options` from `folder`, on seeds not used for the recommendation.

    Args:
        options: as for `recommend`.
        folder: a results folder.
        task: as for `recommend`.

    Raises:
        UsageError: the folder holds no such trainings.
    """
    store = existing_store(folder)
    seeds = {training.record.seed for training in store.trainings()} - set(options.seeds)
    if seeds:
        cells = plan_study(replace(options, seeds=tuple(sorted(seeds))), task)
        if any(store.has_training(cell.training) for cell in cells):
            return load_results(store, cells)
    chosen_on = ", ".join(map(str, options.seeds))
    raise UsageError(
        f"{folder} holds no training of this setting, with its recipe and these schedules, on seeds other "
        f"than {chosen_on}, on which the choice is made."
    )


def yardstick_of(task: Task | type[Task], metric: str | None, margin: float | None) -> Yardstick:
    """The metric that `recommend` chooses by, None for the headline, and how much worse fewer steps may score
    in it. Raises UsageError for a metric that `task` does not have, or a margin not above 0."""
    metrics = _metrics(task)
    if metric is not None and metric not in metrics:
        raise unknown(f"metric of {task.name}", metric, metrics)
    if margin is not None and not 0 < margin < float("inf"):
        raise UsageError(f"--margin must be a number above 0, got {margin:g}.")
    chosen = metric or metrics[0]
    lower = chosen in task.lower_is_better
    share = chosen in task.metrics and not lower
    in_unit = margin / 100 if share and margin is not None else margin
    return Yardstick(chosen, chosen == metrics[0], share, lower, in_unit)


def _metrics(task: Task | type[Task]) -> Sequence[str]:
    return *task.metrics, *task.set_metrics


def seconds_of(results: Results) -> float:
    """Seconds that training every model and all decodings took."""
    trainings = {e.training.record.key: e.training.details["seconds"] for e in results.evaluations}
    return sum(trainings.values()) + float(
        results.frame[["encode_seconds", "decode_seconds"]].to_numpy().sum()
    )


def _as_json(found: Recommendation) -> dict[str, object]:
    rows = found.candidates.rename_axis("schedule").reset_index().astype(object)
    rows = rows.where(rows.notna(), None)
    return {
        "schedule": found.choice.schedule,
        "steps": found.choice.steps,
        "metric": found.yardstick.metric,
        "choice": asdict(found.choice),
        "candidates": rows.to_dict(orient="records"),
        "sentences": list(found.sentences),
        "setting": dict(found.setting),
    }
