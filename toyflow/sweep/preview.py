"""`--dry-run`: the cells of a plan, which of them exist, and what the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.parsing import listed_ranges
from toyflow.sweep.executors import Executor
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.reuse import warnings_of_reuse
from toyflow.sweep.runner import Estimate, Runner, Seconds
from toyflow.sweep.store import Store

Timing = Callable[[Sequence[Cell], Runner], Sequence[Estimate | None]]
"""Maps (cells, runner) to the time that each cell takes; None where that is not known."""

MOST_ROWS = 40
"""Most rows of a plan's table."""

MARGIN = 1.25
"""Factor by which a run may be slower or faster than its trial: it shares the machine with other cells."""


def print_plan(
    cells: Sequence[Cell],
    runner: Runner,
    store: Store,
    executor: Executor,
    console: Console,
    timing: Timing,
    cost: str = "",
) -> None:
    """Show the cells by what they have in common and which exist; then what the rest will take, from a short
    trial of each distinct kind.

    Args:
        cells, runner, store, executor: of the sweep.
        console: where to print.
        timing: makes the trials; see `toyflow.sweep.timing.estimates`.
        cost: what is known without a trial, in a sentence. It is printed where the trials tell nothing.

    Raises:
        UsageError: `store` holds results of another task, or something that the cells need is missing.
        ToyflowError: a trial failed.
    """
    store.check_task(cells[0].training.task)
    kinds = _kinds(cells, store)
    console.print(_plan_table(kinds, len(cells), store))
    if (hidden := len({kind.name for kind in kinds}) - MOST_ROWS) > 0:
        console.print(f"... and {hidden} more; --dry-run with fewer options shows them")
    for warning in warnings_of_reuse(cells, store, runner):
        console.print(f"[yellow]note[/] {escape(warning)}")
    missing = {kind: kind.left for kind in kinds if kind.left is not None}
    if not missing:
        console.print("nothing to run")
        return
    count = sum(len(kind.seeds) for kind in missing)
    to_run = f"{count} cell{'s' * (count > 1)} to run"
    with console.status("preparing"):
        runner.prepare([left.training for left in missing.values()])
    with console.status("timing a few iterations of each kind of cell"):
        taken = _taken(missing, runner, timing)
    if taken is None:
        console.print(f"{to_run}; a few seconds were not enough to tell what one takes (a busy machine?)")
        if cost:
            console.print(escape(cost))
        return
    work, longest = Seconds(0, 0), Seconds(0, 0)
    for kind, seconds in taken.items():
        work += seconds.times(len(kind.seeds))
        longest = max(longest, seconds)
    jobs = min(executor.jobs(), count)
    wall = Seconds(max(work.low / jobs, longest.low), max(work.high / jobs, longest.high))
    console.print(f"{to_run}: {_span(work)} of work, {_span(wall)} with {jobs} at a time")


@dataclass(eq=False)
class _Kind:
    """Cells of a plan that differ only in their seed and are in the same state."""

    name: str
    evaluations: tuple[EvaluationRecord, ...]
    trained: bool
    left: Cell | None
    """What is left to do for one of these cells; None for nothing."""
    seeds: list[int]

    def state(self) -> str:
        """The state in words, for the table."""
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
    """The table of a plan, a row for each name."""
    table = Table("cells", "seeds", "decodings", "state", title=f"{count} cells in {escape(str(store.root))}")
    table.title_justify = "left"
    for name, group in islice(groupby(kinds, key=lambda kind: kind.name), MOST_ROWS):
        alike = list(group)
        seeds = sorted(seed for kind in alike for seed in kind.seeds)
        decodings = ", ".join(evaluation.label for evaluation in alike[0].evaluations)
        states = ", ".join(kind.state() for kind in alike)
        table.add_row(escape(name), listed_ranges(seeds), decodings, states)
    return table


def _taken(missing: dict[_Kind, Cell], runner: Runner, timing: Timing) -> dict[_Kind, Seconds] | None:
    """What a cell of each kind takes. Those alike but for the schedule, the learning rate or the number of
    iterations are timed once; those that there was no time for are taken to lie between the others. None
    where there was no time for any."""
    distinct: dict[str, Cell] = {}
    for cell in missing.values():
        distinct.setdefault(_work_of(cell), cell)
    timed = dict(zip(distinct, timing(list(distinct.values()), runner), strict=True))
    known: dict[_Kind, Seconds] = {}
    for kind, cell in missing.items():
        if (estimate := timed[_work_of(cell)]) is not None:
            training, decoding = estimate
            longer = _iterations(cell) / _iterations(distinct[_work_of(cell)])
            seconds = decoding if kind.trained else training.times(longer) + decoding
            known[kind] = Seconds(seconds.low / MARGIN, seconds.high * MARGIN)
    if not known:
        return None
    between = Seconds(min(s.low for s in known.values()), max(s.high for s in known.values()))
    return {kind: known.get(kind, between) for kind in missing}


def _work_of(cell: Cell) -> str:
    """Equal where an iteration and a decoding of cells take the same time."""
    decodings = [(e.sampler, e.steps, e.draws) for e in cell.evaluations]
    return repr((cell.training.alike, cell.training.recipe.get("batch_size"), decodings))


def _iterations(cell: Cell) -> float:
    return cell.training.recipe.get("iterations", 1)


def _span(seconds: Seconds) -> str:
    """A range in words, in the unit that suits its upper end."""
    unit, size = ("h", 3600) if seconds.high >= 5400 else ("min", 60) if seconds.high >= 90 else ("s", 1)
    digits = int(seconds.high < 10 * size)
    low, high = (f"{value / size:.{digits}f}" for value in seconds)
    return f"about {high} {unit}" if low == high else f"{low} to {high} {unit}"
