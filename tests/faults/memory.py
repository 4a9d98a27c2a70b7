"""No memory is left, in one cell or one simulator: it is named, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator

from faults import results
from faults.bench import DEMOS, ON_POINTS, SWEEP, Bench, apart, inside, refused, well
from faults.campaign import Accepted, Rude, Trial


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for a cell that asks for more than there is, one that is killed, and simulators."""
    yield Trial("out of memory: a cell is refused it", lambda: _cell(bench, "hoard", "memory"))
    if not bench.short:
        yield Trial("out of memory: a cell is killed for it", lambda: _cell(bench, "kill", "SIGKILL"))
        yield Trial("out of memory: a simulator is killed for it", lambda: _simulator(bench))


def _cell(bench: Bench, fault: str, word: str) -> int:
    folder = bench.fresh()
    done = apart(folder, *SWEEP, fault=f"{fault}@{folder / 'hit'}")
    refused(done, "1 of 4 cells failed")
    if done.out.count("failed ") != 1 or word not in done.out:
        raise Rude(f"the cell is not named, or not why: {done.out[-600:]}")
    if len([name for name in results.cells(folder / "toy") if "/" not in name]) != 3:
        raise Rude("the other cells did not go on")
    well(inside(folder, *SWEEP))
    if results.cells(folder / "toy") != results.cells(bench.world / "toy"):
        raise Accepted("the sweep came to another result")
    return 1


def _simulator(bench: Bench) -> int:
    """Its attempt is made again, by another."""
    folder = bench.fresh("robot")

    def disturbed(*words: str) -> None:
        died = folder / f"{words[0]}-died"
        well(apart(folder, *words, POINTS_FAULT=f"dies@{died}"))
        if not died.exists():
            raise Rude(f"no simulator of {words[0]} was killed: the campaign is wrong")

    disturbed(*DEMOS)
    demos, undisturbed = (results.demonstrations(root / "demos") for root in (folder, bench.world))
    if demos != undisturbed:
        raise Accepted("the demonstrations are others")
    policy = bench.policy(bench.world)
    words = ("robot-eval", policy, *ON_POINTS, "--suite", "points", "--states", "2", "--steps", "1")
    disturbed(*words, "--threads", "1")
    well(inside(alone := bench.fresh("robot"), *words, "--threads", "1"))
    if results.cells(folder / "robot") != results.cells(alone / "robot"):
        raise Accepted("the evaluation is another")
    return 2
