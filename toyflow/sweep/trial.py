"""What cells will take, from short trials in processes that can be ended at any moment."""

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
"""For one cell, from when its process begins to time it."""
ALL_SECONDS = 8.0
"""For all cells together, and the start of their processes."""


def estimates(
    cells: Sequence[Cell], runner: Runner, each: float = EACH_SECONDS, all_: float = ALL_SECONDS
) -> list[Estimate | None]:
    """What each of the cells takes; None for one that `each` seconds, or what is left of `all_`, do not
    suffice for.

    A trial computes in a process of its own: one iteration of a large batch may take minutes within a single
    call into torch, where no signal is heard and nothing can be stopped.

    Raises:
        ToyflowError: a trial failed.
    """
    deadline = time.monotonic() + all_
    return [_estimate(cell, runner, each, deadline) for cell in cells]


def iteration_seconds(run: Callable[[int], Iterable[object]], batch: int) -> Iterator[Seconds]:
    """What one iteration at the batch size `batch` takes, better and better.

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


def _estimate(cell: Cell, runner: Runner, each: float, deadline: float) -> Estimate | None:
    if time.monotonic() >= deadline:
        return None
    processes = worker_context()
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(cell, runner, sender), daemon=True)
    process.start()
    sender.close()
    best = None
    try:
        with suppress(EOFError):  # the trial is at its end, or its process has died
            while receiver.poll(max(0.0, deadline - time.monotonic())):
                said = receiver.recv()
                if isinstance(said, ToyflowError):
                    raise said
                if said is None:  # the runner is loaded, and the clock starts
                    deadline = min(deadline, time.monotonic() + each)
                else:
                    best = said
    finally:
        process.kill()
        process.join()
        receiver.close()
    return best


def _work(cell: Cell, runner: Runner, sender: Connection) -> None:
    """The life of a trial's process."""
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
