"""A clock that jumps, to and fro by up to a day at every look, and files from the future and the past."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from faults import results
from faults.bench import DEMOS, ON_POINTS, SWEEP, TRAIN, Bench, apart, inside, well
from faults.campaign import Accepted, Trial

JUMPING = '''
"""Python runs this at its start, in every process that has it on its path."""

import random
import time

DAY = 86_400.0
_time, _time_ns, _random = time.time, time.time_ns, random.Random(0)
time.time = lambda: _time() + _random.uniform(-DAY, DAY)
time.time_ns = lambda: _time_ns() + int(_random.uniform(-DAY, DAY) * 1e9)
_localtime = time.localtime
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
'''


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for commands on such a clock, and one for such files."""
    commands = {
        "sweep": (SWEEP, (), lambda folder: results.cells(folder / "toy")),
        "robot-demos": (DEMOS, (), lambda folder: results.demonstrations(folder / "demos")),
        "robot-train": (TRAIN, ("demos",), lambda folder: results.cells(folder / "robot")),
    }
    for name, (words, parts, result) in commands.items():
        if name == "sweep" or not bench.short:

            def on_it(words=words, parts=parts, result=result) -> int:
                folder = bench.fresh(*parts)
                well(apart(folder, *words, PYTHONPATH=_with_jumps(bench)))
                if result(folder) != result(bench.world):
                    raise Accepted("the clock's jumps changed the result")
                return 1

            yield Trial("a clock that jumps", on_it)
    yield Trial("files from the future and the past", lambda: _dated(bench))


def _with_jumps(bench: Bench) -> str:
    """A PYTHONPATH that has them."""
    from commands import TESTS

    folder = bench.root / "jumps"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(JUMPING)
    return os.pathsep.join([str(folder), str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def _dated(bench: Bench) -> int:
    """Readers, and writers that go on, do not look at when a file was written."""
    policy = bench.policy(bench.world)
    words = (
        ("compare", "beta", "regression", "--out", "toy"),
        (*SWEEP, "--steps", "1,2,3"),
        ("robot-eval", policy, *ON_POINTS, "--suite", "points", "--states", "2", "--steps", "1"),
        DEMOS,
    )  # fmt: skip
    ends = []
    for years in (0, 50, -50):
        folder = bench.fresh("toy", "robot", "demos", "demos.episodes")
        for file in folder.rglob("*") if years else ():
            _shift(file, years)
        for each in words:
            well(inside(folder, *each), " ".join(each))
        ends.append(
            (
                results.cells(folder / "toy"),
                results.cells(folder / "robot"),
                results.demonstrations(folder / "demos"),
            )
        )
        bench.drop(folder)
    if ends[1:] != ends[:-1]:
        raise Accepted("the dates of files changed the result")
    return 2 * len(words)


def _shift(file: Path, years: int) -> None:
    moment = file.stat().st_mtime + years * 365 * 86_400
    os.utime(file, (moment, moment))
