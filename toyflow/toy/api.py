"""A study from Python: the same plan, store and executors as `toyflow sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from toyflow import plugins
from toyflow.environment import describe_environment
from toyflow.errors import ToyflowError
from toyflow.report.results import Results, load_results
from toyflow.sweep.cell import Setting
from toyflow.sweep.events import Failed
from toyflow.sweep.executors import DebugExecutor
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import Cell, Grid, plan_cells
from toyflow.sweep.store import Store
from toyflow.toy.study import ToyStudy, choose_device
from toyflow.toy.task import Task
from toyflow.training import Recipe


def plan_study(options: SweepOptions, task: Task | type[Task] | None = None) -> list[Cell]:
    """The cells of `options`; `task` stands in for the plug-in that they name. Raises UsageError."""
    subject: Task | type[Task] = task or plugins.load("tasks", options.task)
    recipe = Recipe(
        iterations=options.iterations, batch_size=options.batch_size, learning_rate=options.learning_rate
    )
    chosen = {
        key: values
        for key in ("encoder", "decoder", "attention")
        if (values := getattr(options, key)) is not None
    }
    models = [
        subject.complete_options(dict(zip(chosen, values, strict=True)))
        for values in product(*chosen.values())
    ]
    return plan_cells(
        Grid(
            task=subject.name,
            schedules=options.schedules,
            objectives=options.objectives,
            steps=options.steps,
            seeds=options.seeds,
            samplers=options.samplers,
            models=models,
            recipe=vars(recipe),
            time_sampling=options.time_sampling,
        )
    )


def run_study(
    task: Task,
    *,
    schedules: Sequence[str] = ("beta", "uniform"),
    objectives: Sequence[str] = ("flow",),
    steps: Sequence[int] = (1, 10),
    seeds: Sequence[int] = (0, 1, 2),
    samplers: Sequence[str] = ("euler",),
    iterations: int = 1600,
    batch_size: int = 8,
    learning_rate: float = 4e-3,
    device: str = "auto",
    threads: int = 1,
    out: Path | str,
) -> Results:
    """Train and decode every combination on `task`, in this process; what `out` already holds is kept.

    `toyflow plot --out OUT` draws the figures of what it leaves.

    Raises:
        UsageError: a name or value that does not exist.
        ToyflowError: a cell failed; the message is its own.
    """
    options = SweepOptions().updated(
        {
            "schedules": list(schedules),
            "objectives": list(objectives),
            "steps": list(steps),
            "seeds": list(seeds),
            "samplers": list(samplers),
            "iterations": iterations,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
        },
        "run_study",
    )
    cells = plan_study(options, task)
    store = Store(out)
    store.prepare()
    study = ToyStudy(choose_device(device), threads, task)
    setting = Setting(str(out), {**describe_environment(), "device": study.device, "threads": threads})
    missing = [left for cell in cells if (left := cell.missing(store))]
    for event in DebugExecutor().run(missing, study, setting):
        if isinstance(event, Failed):
            raise ToyflowError(event.message)
    return load_results(store, cells)
