"""Run the missing part of a list of cells, or say what it would cost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.parsing import listed_ranges
from toyflow.sweep.events import Event, Failed, Finished
from toyflow.sweep.executors import Executor
from toyflow.sweep.live import watch
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.reuse import warnings_of_reuse
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store

LOG = logging.getLogger(__name__)

Audience = Callable[[Generator[Event, None, None], dict[str, Cell]], list[Failed]]
"""Takes the events of cells (by key) to their end; the failures among them."""

MOST_ROWS = 40
"""Of the table of a plan."""


def run_missing(
    cells: Sequence[Cell],
    runner: Runner,
    store: Store,
    executor: Executor,
    audience: Audience,
    on_ready: Callable[[Sequence[Cell]], None] = lambda missing: None,
) -> list[Failed]:
    """Run what `store` does not hold of `cells`; the cells that failed. Logs a warning where what it holds
    was made by other code of the task.

    Args:
        on_ready: is called with the missing cells, if any, once nothing is in the way of their start.

    Raises:
        UsageError: the store cannot be written to; nothing was started.
    """
    missing = missing_cells(cells, store)
    for warning in warnings_of_reuse(cells, store, runner):
        LOG.warning("%s", warning)
    if not missing:
        return []
    runner.prepare([cell.training for cell in missing])
    context = RunContext(str(store.root), executor.environment(runner))
    store.prepare()
    on_ready(missing)
    with closing(executor.run(missing, runner, context)) as events:
        return audience(_logged(events, store), {cell.training.key: cell for cell in missing})


def _logged(events: Generator[Event, None, None], store: Store) -> Generator[Event, None, None]:
    """The events, with the traceback of a failed cell in its log, until the cell is well."""
    for event in events:
        log = store.root / "logs" / event.key / "error.txt"
        with suppress(OSError):  # a full disk is what some cells fail of
            if isinstance(event, Failed) and event.traceback:
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(event.traceback)
                event = replace(event, message=f"{event.message} (traceback: {log})")
            elif isinstance(event, Finished):
                log.unlink(missing_ok=True)
        yield event


def show_on(console: Console) -> Audience:
    """The audience that shows everything live."""
    return lambda events, cells: watch(events, cells, console)


def missing_cells(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """What `store` does not hold; only looks at folder names."""
    return [left for cell in cells if (left := cell.missing(store))]


def print_plan(
    cells: Sequence[Cell], runner: Runner, store: Store, executor: Executor, console: Console
) -> None:
    """The cells by what they have in common, which exist, and what the rest will cost, from a short trial of
    each distinct kind."""
    kinds = _kinds(cells, store)
    console.print(_plan_table(kinds, len(cells), store))
    if (hidden := len({kind.name for kind in kinds}) - MOST_ROWS) > 0:
        console.print(f"... and {hidden} more; --dry-run with fewer options shows them")
    missing = [kind for kind in kinds if kind.left is not None]
    if not missing:
        console.print("nothing to run")
        return
    runner.prepare([kind.left.training for kind in missing if kind.left])
    with console.status("timing a few iterations of each kind of cell"):
        seconds = _estimate(missing, runner)
    count = sum(len(kind.seeds) for kind in missing)
    work = sum(each * len(kind.seeds) for each, kind in zip(seconds, missing, strict=True))
    jobs = executor.jobs()
    wall = max(work / jobs, max(seconds))
    console.print(
        f"{count} cells to run, about {_duration(work)} of work: "
        f"{_duration(wall)} with {min(jobs, count)} at a time"
    )


@dataclass
class _Kind:
    """Cells of a plan that differ in their seed alone, and in the same state."""

    name: str
    evaluations: tuple[EvaluationRecord, ...]
    trained: bool
    left: Cell | None
    """What is to be done, of one of them; None for nothing."""
    seeds: list[int]

    def state(self) -> str:
        """In words."""
        if self.left is None:
            return f"[green]{len(self.seeds)} exist{'s' * (len(self.seeds) == 1)}[/]"
        if self.trained:
            return f"{len(self.seeds)} trained, {len(self.left.evaluations)} decodings to do"
        return f"{len(self.seeds)} to run"


def _kinds(cells: Sequence[Cell], store: Store) -> list[_Kind]:
    """Kinds by name in the order of the plan, and by state."""
    by_name: dict[str, dict[Any, _Kind]] = {}
    for cell in cells:
        left = cell.missing(store)
        trained = left is not cell
        states = by_name.setdefault(cell.name, {})
        state = left.evaluations if left else None, trained
        kind = states.setdefault(state, _Kind(cell.name, cell.evaluations, trained, left, []))
        kind.seeds.append(cell.training.seed)
    return [kind for states in by_name.values() for kind in states.values()]


def _plan_table(kinds: Sequence[_Kind], count: int, store: Store) -> Table:
    """A row for each name."""
    table = Table("cells", "seeds", "decodings", "state", title=f"{count} cells in {escape(str(store.root))}")
    table.title_justify = "left"
    for name, group in islice(groupby(kinds, key=lambda kind: kind.name), MOST_ROWS):
        alike = list(group)
        seeds = sorted(seed for kind in alike for seed in kind.seeds)
        decodings = ", ".join(evaluation.label for evaluation in alike[0].evaluations)
        states = ", ".join(kind.state() for kind in alike)
        table.add_row(escape(name), listed_ranges(seeds), decodings, states)
    return table


def _estimate(kinds: Sequence[_Kind], runner: Runner) -> list[float]:
    """Seconds per cell of each kind; those alike but for the schedule are timed once."""
    known: dict[str, float] = {}
    seconds: list[float] = []
    for kind in kinds:
        assert kind.left is not None
        record = kind.left.training
        decodings = [(e.sampler, e.steps) for e in kind.left.evaluations]
        alike = repr(
            (record.task, record.data, record.model, record.objective, record.recipe, decodings, kind.trained)
        )
        if alike not in known:
            training, decoding = runner.estimate(record, kind.left.evaluations)
            known[alike] = decoding + (0.0 if kind.trained else training)
        seconds.append(known[alike])
    return seconds


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
