"""How long cells will take, timed by short trials in processes that can be ended at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from toyflow.errors import ToyflowError, named_line
from toyflow.sweep.plan import Cell
from toyflow.sweep.runner import Estimate, Runner, Seconds
from toyflow.workers import settle, worker_context

EACH_SECONDS = 2.0
"""Seconds for the trial of one cell."""
ALL_SECONDS = 8.0
"""Seconds for all trials together."""
START_SECONDS = 60.0
"""Seconds for the start of a trial's process, which imports torch."""


def estimates(
    cells: Sequence[Cell], runner: Runner, each: float = EACH_SECONDS, total: float = ALL_SECONDS
) -> list[Estimate | None]:
    """How long each of the cells takes, by a trial of at most `each` seconds, and `total` seconds for all;
    None for a cell whose trial had too little time.

    A trial computes in a process of its own: one iteration of a large batch may take minutes within a single
    call into torch, where no signal is heard and nothing can be stopped.

    Raises:
        ToyflowError: a trial failed.
    """
    left = total
    found: list[Estimate | None] = []
    for cell in cells:
        estimate, taken = _try(cell, runner, min(each, left)) if left > 0 else (None, 0.0)
        found.append(estimate)
        left -= taken
    return found


def iteration_seconds(run: Callable[[int], Iterable[object]], batch: int) -> Iterator[Seconds]:
    """Estimates of one iteration's duration at the batch size `batch`, each better than the one before.

    Smaller batches come first, as a whole one may take longer than a trial does: it takes no less time than
    they do, and no more than in proportion to its size.

    Args:
        run: trains with batches of the size that it is given, and yields after each iteration.
    """
    for size in sorted({min(batch, max(2, batch // part)) for part in (64, 16, 4, 1)}):
        times: list[float] = []
        began = time.perf_counter()
        for _ in run(size):
            times.append(time.perf_counter() - began)
            settled = sorted(times[1:] or times)  # the first one pays for allocations
            low, high = settled[len(settled) // 4], settled[3 * len(settled) // 4]
            yield Seconds(low, high * batch / size)
            if size < batch and len(times) == 2:
                break
            began = time.perf_counter()


def _try(cell: Cell, runner: Runner, seconds: float) -> tuple[Estimate | None, float]:
    """(the best estimate within `seconds`, how long the trial took)."""
    processes = worker_context()
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(cell, runner, sender), daemon=True)
    process.start()
    sender.close()
    best = None
    began = time.monotonic()
    try:
        if receiver.poll(START_SECONDS):
            receiver.recv()  # the runner is loaded
            began = time.monotonic()
            while receiver.poll(max(0.0, began + seconds - time.monotonic())):
                said = receiver.recv()
                if isinstance(said, ToyflowError):
                    raise said
                best = said
    except EOFError:
        pass  # the trial is at its end, or its process has died
    finally:
        process.kill()
        process.join()
        receiver.close()
    return best, time.monotonic() - began


def _work(cell: Cell, runner: Runner, sender: Connection) -> None:
    """Run one trial, in its own process."""
    settle()
    with suppress(BrokenPipeError):
        sender.send(None)
        try:
            for estimate in runner.estimate(cell.training, cell.evaluations):
                sender.send(estimate)
        except ToyflowError as error:
            sender.send(ToyflowError(str(error)))
        except Exception as error:
            sender.send(ToyflowError(f"a trial of {cell.label} failed: {named_line(error)}"))
