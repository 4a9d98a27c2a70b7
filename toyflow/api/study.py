"""`run_study`: `toyflow sweep` from Python, for one task, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow.schedules import TimeSampling
from toyflow.machine import choose_device
from toyflow.report.results import Results, load_results
from toyflow.sweep.events import Event, Failed
from toyflow.sweep.executors import DebugExecutor
from toyflow.sweep.methods import warn_of_unused
from toyflow.sweep.plan import Cell, plan_sweep
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.subject import load_subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.task import Task
from toyflow.toy.toy_runner import ToyRunner


def plan_study(
    options: SweepOptions, task: Task | None = None, model: Mapping[str, str] | None = None
) -> list[Cell]:
    """The cells of a sweep of one task.

    Args:
        options: what to train and decode.
        task: an instance to use in place of the plug-in that `options` names.
        model: options of the model, by name, on top of those of `options`.

    Raises:
        UsageError: a name or value that does not exist.

    Example:
        >>> len(plan_study(SweepOptions(task="dial", seeds=(0, 1)), model={"decoder": "small"}))
        4
    """
    subject: Any = load_subject(options.task) if task is None else task
    if task is not None:
        check_instance(task)
    chosen = {**(model or {}), **(subject.data.record() if isinstance(subject, Task) else {})}
    return plan_sweep(options.with_set({name: (value,) for name, value in chosen.items()}), subject)


def check_instance(task: Any) -> None:
    """Raise UsageError unless `task` is an instance of a task whose constructor ran."""
    if not isinstance(task, Task):
        name = getattr(task, "__name__", type(task).__name__)
        raise UsageError(f"task must be an instance of a subclass of toyflow.Task, such as {name}().")
    if not hasattr(task, "data"):
        raise UsageError(f"task {task.name!r}: its __init__ must call super().__init__().")


def run_study(
    task: Task,
    *,
    schedules: Sequence[str] | None = None,
    objectives: Sequence[str] = ("flow",),
    steps: Sequence[int] = (1, 10),
    seeds: Sequence[int] = (0, 1, 2),
    samplers: Sequence[str] = ("euler",),
    predict: Sequence[str] = ("velocity",),
    grid: Sequence[str] = ("uniform",),
    draws: Sequence[int] = (1,),
    iterations: int | Sequence[int] | None = None,
    batch_size: int | Sequence[int] | None = None,
    learning_rate: float | Sequence[float] | None = None,
    time_sampling: TimeSampling = "stratified",
    model: Mapping[str, str] | None = None,
    device: str = "auto",
    threads: int = 1,
    progress: bool = False,
    out: Path | str,
) -> Results:
    """Train and decode every combination on `task`, in this process. Finished cells of `out` are kept, and
    `toyflow plot --out OUT` draws its figures.

    Results are found by the task's name and version: raise `version` when you change the task.

    Args:
        task: what the models learn.
        schedules: schedules of the training time, such as `shift:4@beta`; None for beta and uniform.
        objectives: training objectives, such as `flow` or `regression`.
        steps: numbers K of denoising steps to decode with.
        seeds: training seeds.
        samplers: `euler`, `midpoint`, `heun` or a plug-in's.
        predict: what the network says: `velocity`, `data`, see `toyflow.Prediction`.
        grid: times of the steps: `uniform`, a schedule's name, or times such as `0:0.9:1`.
        draws: numbers M of noises whose answers are averaged, see `toyflow.Decoding`.
        iterations, batch_size, learning_rate: of the training, one or several; None for the task's own.
        time_sampling: how the training times of a batch are drawn, `stratified` or `iid`.
        model: the task's model options, by name.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: processor threads; results record it, as their last digits depend on it.
        progress: show how far it is, as `toyflow sweep` does, on standard error.
        out: the results folder.

    Returns:
        The results; `frame` has a row per seed, schedule or objective, K and sampler.

    Raises:
        UsageError: a name or value that does not exist.
        ToyflowError: a cell failed; the message says why.

    Example:
        results = run_study(Wave(), schedules=["uniform", "shift:4"], seeds=[0, 1], out="results/wave")
        print(results.frame)
    """
    options = SweepOptions().updated(
        {
            "schedules": None if schedules is None else list(schedules),
            "objectives": list(objectives),
            "steps": list(steps),
            "seeds": list(seeds),
            "samplers": list(samplers),
            "predict": list(predict),
            "grid": list(grid),
            "draws": list(draws),
            "iterations": iterations,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "time_sampling": time_sampling,
        },
        "run_study",
    )
    cells = plan_study(options, task, model)
    warn_of_unused(options)
    store = Store(out)
    runner = ToyRunner(task.name, choose_device(device), threads, task)
    audience = show_on(Console(stderr=True)) if progress else _failures
    for failed in run_missing(cells, runner, store, DebugExecutor(), audience):
        raise ToyflowError(failed.message)
    return load_results(store, cells)


def _failures(events: Iterable[Event], _: Mapping[str, Cell]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]
