"""Run the missing part of a list of cells, or say what it would cost."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.machine import choose_device, cores, describe_environment
from toyflow.sweep.cell import Setting, Study
from toyflow.sweep.events import Event, Failed
from toyflow.sweep.executors import Executor
from toyflow.sweep.live import watch
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import Cell
from toyflow.sweep.store import Store

Audience = Callable[[Generator[Event, None, None], dict[str, Cell]], list[Failed]]
"""Takes the events of cells (by key) to their end; the failures among them."""


def run_missing(
    cells: Sequence[Cell], study: Study, store: Store, executor: Executor, audience: Audience
) -> list[Failed]:
    """Run what `store` does not hold of `cells`; the cells that failed.

    Raises:
        UsageError: the store cannot be written to; nothing was started.
    """
    missing = missing_cells(cells, store)
    if not missing:
        return []
    study.prepare([cell.training for cell in missing])
    store.prepare()
    setting = Setting(
        str(store.root), {**describe_environment(), **study.environment(), **executor.environment()}
    )
    with closing(executor.run(missing, study, setting)) as events:
        return audience(events, {cell.training.key: cell for cell in missing})


def show_on(console: Console) -> Audience:
    """The audience that shows everything live."""
    return lambda events, cells: watch(events, cells, console)


def jobs_of(options: SweepOptions) -> int:
    """How many cells run at a time."""
    if options.jobs is not None:
        return options.jobs
    return max(1, cores() // options.threads) if choose_device(options.device) == "cpu" else 1


def missing_cells(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """What `store` does not hold; only looks at folder names."""
    return [left for cell in cells if (left := cell.missing(store))]


def print_plan(cells: Sequence[Cell], study: Study, store: Store, jobs: int, console: Console) -> None:
    """The cells, which exist, and what the rest will cost, from a short trial of each distinct kind."""
    missing = missing_cells(cells, store)
    left = {cell.training.key: cell for cell in missing}
    table = Table("cell", "decodings", "state", title=f"{len(cells)} cells in {escape(str(store.root))}")
    table.title_justify = "left"
    for cell in cells:
        decodings = ", ".join(evaluation.label for evaluation in cell.evaluations)
        todo = left.get(cell.training.key)
        if todo is None:
            state = "[green]exists[/]"
        elif store.has_training(cell.training):
            state = f"trained; {len(todo.evaluations)} decodings to do"
        else:
            state = "to run"
        table.add_row(escape(cell.label), decodings, state)
    console.print(table)
    if not missing:
        console.print("nothing to run")
        return
    study.prepare([cell.training for cell in missing])
    with console.status("timing a few iterations of each kind of cell"):
        seconds = _estimate(missing, study, store)
    wall = max(sum(seconds) / jobs, max(seconds))
    console.print(
        f"{len(missing)} cells to run, about {_duration(sum(seconds))} of work: "
        f"{_duration(wall)} with {min(jobs, len(missing))} at a time"
    )


def _estimate(cells: Sequence[Cell], study: Study, store: Store) -> list[float]:
    """Seconds per cell; cells alike but for seed and schedule are timed once."""
    known: dict[str, float] = {}
    seconds: list[float] = []
    for cell in cells:
        record = cell.training
        decodings = [(e.sampler, e.steps) for e in cell.evaluations]
        trained = store.has_training(record)
        alike = repr(
            (record.task, record.data, record.model, record.objective, record.recipe, decodings, trained)
        )
        if alike not in known:
            training, decoding = study.estimate(record, cell.evaluations)
            known[alike] = decoding + (0.0 if trained else training)
        seconds.append(known[alike])
    return seconds


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
