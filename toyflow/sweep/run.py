"""Run the missing part of a list of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from rich.console import Console

from toyflow.sweep.events import Event, Failed, Finished
from toyflow.sweep.executors import Executor
from toyflow.sweep.live import watch
from toyflow.sweep.plan import Cell
from toyflow.sweep.reuse import warnings_of_reuse
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store

LOG = logging.getLogger(__name__)

Audience = Callable[[Generator[Event, None, None], dict[str, Cell]], list[Failed]]
"""Takes the events of cells (by key) to their end; the failures among them."""


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
        UsageError: the store cannot be written to, or holds results of another task; nothing was started.
    """
    store.check_task(cells[0].training.task)
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
