"""Cells in processes of this machine."""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from toyflow.sweep.cell import run_cell
from toyflow.sweep.events import Event, Failed, Finished
from toyflow.sweep.executors.base import Executor, attempt
from toyflow.sweep.plan import Cell
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store
from toyflow.workers import settle, worker_context


class LocalExecutor(Executor):
    """Up to `jobs` cells at a time, each in a process of its own: one that dies takes no other with it."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def jobs(self) -> int:
        """See `Executor`."""
        return self._jobs

    def run(self, cells: Sequence[Cell], runner: Runner, context: RunContext) -> Generator[Event, None, None]:
        """See `Executor`. Cells that another process is at work on are left for last."""
        processes, store = worker_context(), Store(context.out)
        left = list(cells)
        running: dict[Connection, tuple[Cell, BaseProcess]] = {}
        try:
            while left or running:
                while left and len(running) < self._jobs:
                    free = (cell for cell in left if not store.is_claimed(cell.training))
                    cell = next(free, left[0])
                    left.remove(cell)
                    receiver, sender = processes.Pipe(duplex=False)
                    process = processes.Process(target=_work, args=(cell, runner, context, sender))
                    process.start()
                    sender.close()
                    running[receiver] = cell, process
                for receiver in wait(list(running)):
                    assert isinstance(receiver, Connection)
                    event = _receive(receiver, *running[receiver])
                    if isinstance(event, Finished | Failed):
                        running.pop(receiver)[1].join()
                        receiver.close()
                    yield event
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                process.join()


def _receive(receiver: Connection, cell: Cell, process: BaseProcess) -> Event:
    try:
        return receiver.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        how = (
            f"was killed by signal {-code} ({signal.Signals(-code).name})"
            if code < 0
            else f"exited with {code}"
        )
        hint = "; is the memory enough for this many --jobs?" if code == -signal.SIGKILL else ""
        return Failed(cell.training.key, f"its process {how}{hint}")


def _work(cell: Cell, runner: Runner, context: RunContext, sender: Connection) -> None:
    """A worker's whole life."""
    settle()
    run = partial(run_cell, cell, runner, context, sender.send)
    with suppress(BrokenPipeError):
        attempt(cell.training.key, context.out, run, sender.send)
