"""Executors: how cells get run. Each yields the events of its cells as they come."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from toyflow.errors import ToyflowError
from toyflow.sweep.cell import Setting, Study, run_cell
from toyflow.sweep.events import Event, Failed, Finished
from toyflow.sweep.plan import Cell
from toyflow.sweep.store import Store
from toyflow.workers import exit_with_parent, worker_context


class Executor(ABC):
    """Runs cells. A cell that fails yields `Failed` and the others go on; closing the iterator stops all."""

    @abstractmethod
    def run(self, cells: Sequence[Cell], study: Study, setting: Setting) -> Generator[Event, None, None]:
        """The events of all cells; each cell's last one is `Finished` or `Failed`."""

    def environment(self) -> dict[str, Any]:
        """What to keep beside a result: how many cells ran at once, for its timings."""
        return {"jobs": 1}


class DebugExecutor(Executor):
    """One cell after another in this process: for debugging, tests, and tasks that cannot be pickled."""

    def run(self, cells: Sequence[Cell], study: Study, setting: Setting) -> Generator[Event, None, None]:
        """See `Executor`. Cells run in a thread, so that their events can be watched as they come."""
        events: SimpleQueue[Event | None] = SimpleQueue()
        stopped = threading.Event()

        def send(event: Event) -> None:
            if stopped.is_set():
                raise _Stop
            events.put(event)

        def work() -> None:
            with suppress(_Stop):
                for cell in cells:
                    _guarded(cell, study, setting, send)
            events.put(None)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            while (event := events.get()) is not None:
                yield event
        finally:
            stopped.set()
            thread.join()


class _Stop(BaseException):
    """Ends a cell from within, at its next event."""


@dataclass
class LocalExecutor(Executor):
    """Up to `jobs` cells at a time, each in a process of its own: one that dies takes no other with it."""

    jobs: int

    def environment(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"jobs": self.jobs}

    def run(self, cells: Sequence[Cell], study: Study, setting: Setting) -> Generator[Event, None, None]:
        """See `Executor`. Cells that another process is at work on are left for last."""
        context, store = worker_context(), Store(setting.out)
        left = list(cells)
        running: dict[Connection, tuple[Cell, BaseProcess]] = {}
        try:
            while left or running:
                while left and len(running) < self.jobs:
                    free = (cell for cell in left if not store.is_claimed(cell.training))
                    cell = next(free, left[0])
                    left.remove(cell)
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(cell, study, setting, sender))
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


def _work(cell: Cell, study: Study, setting: Setting, sender: Connection) -> None:
    """A worker's whole life. Ctrl-C is the parent's to handle; without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    with suppress(BrokenPipeError):
        _guarded(cell, study, setting, sender.send)


def _guarded(cell: Cell, study: Study, setting: Setting, send: Callable[[Event], None]) -> None:
    try:
        run_cell(cell, study, setting, send)
    except BrokenPipeError:
        raise
    except ToyflowError as error:
        send(Failed(cell.training.key, str(error)))
    except OSError as error:
        send(Failed(cell.training.key, f"{error.strerror or error} ({error.filename or setting.out})"))
    except Exception as error:
        send(Failed(cell.training.key, f"{type(error).__name__}: {error}"))
