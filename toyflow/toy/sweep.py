"""`toyflow sweep` on a toy task: plan, run while showing it, then the tables."""

from __future__ import annotations

from contextlib import closing

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow import plugins
from toyflow.environment import cores, describe_environment
from toyflow.errors import ToyflowError
from toyflow.report import tables
from toyflow.report.results import Results, load_results
from toyflow.sweep.cell import Setting
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.live import watch
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import Cell
from toyflow.sweep.store import Store
from toyflow.toy.api import plan_study
from toyflow.toy.study import ToyStudy, choose_device


def run_sweep(options: SweepOptions, console: Console, dry_run: bool = False) -> int:
    """Run what is missing and print the tables of the whole; the exit code: 1 if a cell failed.

    Raises:
        UsageError: before any work starts.
    """
    cells = plan_study(options)
    store = Store(options.out)
    study = ToyStudy(choose_device(options.device), options.threads)
    jobs = options.jobs or (max(1, cores() // options.threads) if study.device == "cpu" else 1)
    missing = [left for cell in cells if (left := cell.missing(store))]
    if dry_run:
        _print_plan(cells, missing, study, jobs, store, console)
        return 0
    store.prepare()
    failed = 0
    if missing:
        words = (
            f"{len(missing)} of {len(cells)} cells to run"
            if len(missing) < len(cells)
            else f"{len(cells)} cells"
        )
        threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
        running = min(jobs, len(missing))
        console.print(f"{words} into {store.root}: {running} at a time, {threads} each, on {study.device}")
        plugins.load("tasks", options.task).prepare()
        setting = Setting(
            str(store.root), {**describe_environment(), "device": study.device, "threads": options.threads}
        )
        by_key = {cell.training.key: cell for cell in missing}
        with closing(LocalExecutor(jobs).run(missing, study, setting)) as events:
            failed = len(watch(events, by_key, console))
    else:
        console.print(f"all {len(cells)} cells are already in {store.root}")
    if failed < len(missing) or len(missing) < len(cells):
        print_tables(load_results(store, cells), console)
    if failed:
        raise ToyflowError(
            f"{failed} of {len(missing)} cells failed; run the same command again to retry them."
        )
    console.print(f"\nFigures: [bold]toyflow plot --out {escape(str(store.root))}[/]")
    return 0


def print_tables(results: Results, console: Console) -> None:
    """The scores, and one step against ten where both were run."""
    console.print()
    console.print(tables.summary_table(tables.summary(results)))
    models = tables.paired(results)
    if len(models):
        console.print()
        console.print(tables.paired_table(models))


def _print_plan(
    cells: list[Cell], missing: list[Cell], study: ToyStudy, jobs: int, store: Store, console: Console
) -> None:
    """The cells, which exist, and what the rest will cost, from a short trial of each distinct model."""
    left = {cell.training.key: cell for cell in missing}
    table = Table(
        "cell", "model", "K", "state", title=f"{len(cells)} cells in {store.root}", title_justify="left"
    )
    for cell in cells:
        steps = ", ".join(
            f"{e.steps}" if e.sampler == "euler" else f"{e.steps} {e.sampler}" for e in cell.evaluations
        )
        todo = left.get(cell.training.key)
        if todo is None:
            state = "[green]exists[/]"
        elif store.has_training(cell.training):
            state = f"trained; {len(todo.evaluations)} decodings to do"
        else:
            state = "to run"
        table.add_row(escape(cell.label), escape(", ".join(cell.training.model.values())), steps, state)
    console.print(table)
    if not missing:
        console.print("nothing to run")
        return
    with console.status("timing a few iterations of each kind of cell"):
        seconds = _estimate(missing, study, store)
    wall = max(sum(seconds) / jobs, max(seconds))
    console.print(
        f"{len(missing)} cells to run, about {_duration(sum(seconds))} of work: "
        f"{_duration(wall)} with {min(jobs, len(missing))} at a time"
    )


def _estimate(cells: list[Cell], study: ToyStudy, store: Store) -> list[float]:
    """Seconds per cell; cells alike but for seed and schedule are timed once."""
    known: dict[str, float] = {}
    seconds: list[float] = []
    for cell in cells:
        record = cell.training
        trained = store.has_training(record)
        alike = repr((record.task, record.model, record.objective, record.recipe, cell.evaluations, trained))
        if alike not in known:
            known[alike] = sum(study.estimate(record, cell.evaluations)[trained:])
        seconds.append(known[alike])
    return seconds


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
