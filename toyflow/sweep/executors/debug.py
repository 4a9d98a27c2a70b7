"""Cells one after another, in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from toyflow.sweep.cell import run_cell
from toyflow.sweep.events import Event
from toyflow.sweep.executors.base import Executor, Send, attempt, streamed
from toyflow.sweep.plan import Cell
from toyflow.sweep.runner import RunContext, Runner


class DebugExecutor(Executor):
    """Runs cells one by one in this process: for debugging, tests, and tasks that cannot be pickled."""

    def jobs(self) -> int:
        """See `Executor`."""
        return 1

    def run(self, cells: Sequence[Cell], runner: Runner, context: RunContext) -> Generator[Event, None, None]:
        """See `Executor`. Cells run in a thread, so that their events can be watched as they come."""

        def work(send: Send) -> None:
            for cell in cells:
                attempt(cell.training.key, context.out, partial(run_cell, cell, runner, context, send), send)

        return streamed(work)
