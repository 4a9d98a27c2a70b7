"""Two processes on one folder at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import commands
from faults import results
from faults.bench import DEMOS, ON_POINTS, SWEEP, TRAIN, Bench, Done, ended, inside, no_rubbish, refused, well
from faults.campaign import Accepted, Rude, Trial


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for each pair; the short form has those that meet in one cell."""
    yield Trial("two at once: sweep and sweep", lambda: _two_sweeps(bench))
    if not bench.short:
        yield Trial("two at once: sweep and plot", lambda: _sweep_and_plot(bench))
        yield Trial("two at once: robot-demos", lambda: _two_demos(bench))
        yield Trial("two at once: robot-train", lambda: _two_trainings(bench))
        yield Trial("two at once: robot-eval", lambda: _two_evaluations(bench))


def _both(folder: Path, *words: str, fault: str = "") -> list[Done]:
    processes = [commands.start(folder, *words, fault=fault) for _ in range(2)]
    return [ended(process) for process in processes]


def _two_sweeps(bench: Bench) -> int:
    folder, alone = bench.fresh(), bench.fresh()
    both = [well(done) for done in _both(folder, *SWEEP, fault="slow")]
    well(inside(alone, *SWEEP))
    cells = results.cells(alone / "toy")
    if results.cells(folder / "toy") != cells:
        raise Accepted("two sweeps came to another result than one")
    made = sum(done.out.count(": started") for done in both)
    if made > len([name for name in cells if "/" not in name]):
        raise Rude(f"{made} cells were begun of {len(cells)}")
    no_rubbish(folder)
    return 1


def _sweep_and_plot(bench: Bench) -> int:
    """A plot draws what is there, or says that nothing is yet."""
    folder, tried = bench.fresh(), 0
    sweep = commands.start(folder, *SWEEP, fault="slow")
    while sweep.poll() is None:
        plotted = inside(folder, "plot", "--out", "toy")
        if plotted.code:
            refused(plotted, "holds no results")
        tried += 1
    well(ended(sweep))
    return tried


def _two_demos(bench: Bench) -> int:
    """One makes them, and the other says so; or comes after it and finds all there."""
    folder = bench.fresh()
    for done in _both(folder, *DEMOS):
        if done.code:
            refused(done, "another process is making demos")
    well(inside(folder, *DEMOS))
    if results.demonstrations(folder / "demos") != results.demonstrations(bench.world / "demos"):
        raise Accepted("two came to other demonstrations than one")
    return 1


def _two_trainings(bench: Bench) -> int:
    """One trains, the other waits for it; neither trains twice."""
    folder = bench.fresh("demos")
    both = [well(done) for done in _both(folder, *TRAIN)]
    if results.cells(folder / "robot") != results.cells(bench.world / "robot"):
        raise Accepted("two came to another policy than one")
    if sum(done.out.count(": started") for done in both) > 1:
        raise Rude("both trained the same policy")
    no_rubbish(folder)
    return 1


def _two_evaluations(bench: Bench) -> int:
    folder, alone = bench.fresh("robot"), bench.fresh("robot")
    words = (
        "robot-eval", bench.policy(bench.world), *ON_POINTS, "--suite", "slow", "--states", "3",
        "--steps", "1,4", "--threads", "1",
    )  # fmt: skip
    for done in _both(folder, *words):
        well(done)
    well(inside(alone, *words))
    if results.cells(folder / "robot") != results.cells(alone / "robot"):
        raise Accepted("two came to other outcomes than one")
    no_rubbish(folder)
    return 1
