"""`toyflow sweep`: plan, run with live progress, then print tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from toyflow.errors import ToyflowError
from toyflow.sweep.events import Incomplete
from toyflow.sweep.executors import executor_of
from toyflow.sweep.methods import warn_of_unused
from toyflow.sweep.plan import Cell, plan_sweep
from toyflow.sweep.preview import print_plan
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.runner import make_runner
from toyflow.sweep.store import Store
from toyflow.sweep.subject import load_subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.sweep.timing import estimates

if TYPE_CHECKING:  # imports pandas
    from toyflow.report.results import Results


def run_sweep(options: SweepOptions, console: Console, dry_run: bool = False, cost: str = "") -> None:
    """Run the cells of a sweep that its results folder lacks, and print tables of all of its cells.

    Args:
        options: what to train and decode; `sweep_options` merges flags and presets.
        console: where progress and tables are printed.
        dry_run: print the plan and what it costs, and run nothing.
        cost: for a dry run, what is known of the cost without a trial; printed where trials tell nothing.

    Raises:
        UsageError: before any work starts.
        ToyflowError: at the end, if a cell failed.

    Example:
        run_sweep(sweep_options({"schedules": "beta,uniform", "seeds": "0-4"}), Console())
    """
    subject = load_subject(options.task)
    cells = plan_sweep(options, subject)
    store = Store(options.out)
    runner = make_runner(subject, options)
    executor = executor_of(options)
    out = escape(str(store.root))
    warn_of_unused(options)
    if dry_run:
        print_plan(cells, runner, store, executor, console, estimates, cost)
        return
    started = 0

    def announce(missing: Sequence[Cell]) -> None:
        nonlocal started
        started = len(missing)
        part = (
            f"{len(missing)} of {len(cells)} cells to run"
            if len(missing) < len(cells)
            else f"{len(missing)} cell{'s' * (len(missing) > 1)}"
        )
        threads = f"{options.threads} thread{'s' if options.threads > 1 else ''} each"
        at_once = min(executor.jobs(), len(missing))
        console.print(f"{part} into {out}: {at_once} at a time, {threads}, on {executor.place(runner)}")

    failures = run_missing(cells, runner, store, executor, show_on(console), announce)
    incomplete = sum(isinstance(failure, Incomplete) for failure in failures)
    failed = len(failures) - incomplete
    nothing_ran = "" if started else f"all {len(cells)} cells are already in {out}"
    if failed < started or started < len(cells):
        from toyflow.report.results import load_results  # imports pandas, for which no cell should wait

        if any(cell.evaluations for cell in cells):
            with console.status("reading results"):
                results = load_results(store, cells)
            print_tables(results, console, nothing_ran)
        else:
            _print_losses(store, cells, console, nothing_ran)
    if failures:
        kinds = ((failed, "failed"), (incomplete, "have errors, which are left out of the numbers"))
        said = " and ".join(f"{count} of {started} cells {what}" for count, what in kinds if count)
        raise ToyflowError(f"{said}; the same command tries them again.")
    console.print(f"\nFigures: [bold]toyflow plot --out {out}[/]")


def _print_losses(store: Store, cells: Sequence[Cell], console: Console, heading: str) -> None:
    """Print the heading, if any, and the final losses of cells that were to be trained only."""
    from toyflow.report.losses import SENTENCE, losses, losses_table  # import pandas

    trained = [store.training(cell.training.key) for cell in cells if store.has_training(cell.training)]
    table = losses_table(losses(trained))
    if heading:
        console.print(heading)
    console.print()
    console.print(table)
    console.print(f"\n{SENTENCE}")


def print_tables(results: Results, console: Console, heading: str = "") -> None:
    """Print the heading, if any, the scores, one step against ten where both were run, and draws and grids
    against decodings without. Raises DamagedError before anything is printed."""
    from toyflow.report import paired_tables, tables  # import pandas

    models, decodings = paired_tables.paired(results), paired_tables.paired_decodings(results)
    summary = tables.summary_table(tables.summary(results))
    if heading:
        console.print(heading)
    console.print()
    console.print(summary)
    if len(models):
        console.print()
        console.print(paired_tables.paired_table(models))
    if len(decodings):
        console.print()
        console.print(paired_tables.decodings_table(decodings))
