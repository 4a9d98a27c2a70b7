"""`toyflow sweep`: plan, run while showing it, then the tables."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from toyflow import plugins
from toyflow.errors import ToyflowError
from toyflow.report import tables
from toyflow.report.results import Results, load_results
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.run import jobs_of, missing_cells, print_plan, run_missing, show_on
from toyflow.sweep.store import Store


def run_sweep(options: SweepOptions, console: Console, dry_run: bool = False) -> None:
    """Run what is missing and print the tables of the whole.

    Raises:
        UsageError: before any work starts.
        ToyflowError: at the end, if a cell failed.
    """
    subject = plugins.load("tasks", options.task)
    cells = plan_sweep(options, subject)
    store = Store(options.out)
    study = subject.study(options)
    jobs = jobs_of(options)
    out = escape(str(store.root))
    if dry_run:
        print_plan(cells, study, store, jobs, console)
        return
    missing = len(missing_cells(cells, store))
    if missing:
        part = (
            f"{missing} of {len(cells)} cells to run"
            if missing < len(cells)
            else f"{missing} cell{'s' * (missing > 1)}"
        )
        device = study.environment()["device"]
        threads = f"{options.threads} thread{'s' if options.threads > 1 else ''} each"
        console.print(f"{part} into {out}: {min(jobs, missing)} at a time, {threads}, on {device}")
    else:
        console.print(f"all {len(cells)} cells are already in {out}")
    failed = len(run_missing(cells, study, store, LocalExecutor(jobs), show_on(console)))
    if failed < missing or missing < len(cells):
        print_tables(load_results(store, cells), console)
    if failed:
        raise ToyflowError(f"{failed} of {missing} cells failed; the same command tries them again.")
    console.print(f"\nFigures: [bold]toyflow plot --out {out}[/]")


def print_tables(results: Results, console: Console) -> None:
    """The scores, and one step against ten where both were run."""
    models = tables.paired(results)  # reads and checks the outcomes, so before anything is shown
    console.print()
    console.print(tables.summary_table(tables.summary(results)))
    if len(models):
        console.print()
        console.print(tables.paired_table(models))
