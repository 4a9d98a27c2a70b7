"""kill -9 of a command and all its processes at random moments, and the same command again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import commands
from faults import results
from faults.bench import (
    DEMOS,
    ON_POINTS,
    PATIENCE,
    SWEEP,
    TRAIN,
    Bench,
    finished,
    inside,
    no_rubbish,
    unchanged,
    well,
)
from faults.campaign import Accepted, Rude, Trial

MOMENTS, SHORT_MOMENTS = 20, 2


@dataclass(frozen=True)
class Victim:
    """A command, what it starts from, where it writes, and what its result is."""

    name: str
    words: tuple[str, ...]
    parts: tuple[str, ...]
    sign: str
    """Pattern of its first file."""
    result: Callable[[Path], Any]
    fault: str = ""


def victims(bench: Bench) -> list[Victim]:
    """The four commands that work for long."""
    evaluate = (
        "robot-eval", bench.policy(bench.world), *ON_POINTS, "--suite", "slow", "--states", "4", "--steps",
        "1,4", "--videos", "1", "--simulators", "2", "--threads", "1",
    )  # fmt: skip
    demos = tuple(
        {"points": "slow", "2": "3"}.get(word, word) if at > 4 else word for at, word in enumerate(DEMOS)
    )
    return [
        Victim("sweep", SWEEP, (), "toy/toyflow.json", lambda f: results.cells(f / "toy"), fault="slow"),
        Victim("robot-demos", demos, (), "demos.episodes", lambda f: results.demonstrations(f / "demos")),
        Victim(
            "robot-train", TRAIN, ("demos",), "robot/toyflow.json",
            lambda f: (results.cells(f / "robot"), results.cards(f / "robot")),
        ),
        Victim(
            "robot-eval", evaluate, ("robot",), "robot/rollouts/*/episodes/*task-0?-state-003*",
            lambda f: (results.cells(f / "robot"), results.cards(f / "robot")),
        ),
    ]  # fmt: skip


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for each command, taken in turns. The short form kills twice on the way to one end."""
    rounds, kills = (1, SHORT_MOMENTS) if bench.short else (MOMENTS, 1)
    references = [Reference(bench, victim) for victim in victims(bench)]
    for _ in range(rounds):
        for reference in references:
            yield Trial(f"kill -9 of {reference.victim.name}", lambda r=reference: r.killed(kills))


class Reference:
    """A victim's undisturbed run, made when it is first needed."""

    def __init__(self, bench: Bench, victim: Victim) -> None:
        self.bench, self.victim = bench, victim
        self.result: Any = None
        self.seconds = 0.0

    def killed(self, times: int) -> int:
        """Kill it so often, each time going on from the last; then let it end, and compare."""
        victim, folder = self.victim, self.bench.fresh(*self.victim.parts)
        if self.result is None:
            self._run()
        before: dict[str, tuple[int, str]] = {}
        for _ in range(times):
            self.kill(folder)
            unchanged(before, folder)
            before = finished(folder)
        well(inside(folder, *victim.words))
        unchanged(before, folder)
        if victim.result(folder) != self.result:
            raise Accepted(f"the result in {folder} is not that of an undisturbed run")
        no_rubbish(folder)
        for left in folder.glob("*/training/*"):
            raise Rude(f"checkpoints are left: {left}")
        self.bench.drop(folder)
        return times

    def _run(self) -> None:
        folder = self.bench.fresh(*self.victim.parts)
        process, began = commands.start(folder, *self.victim.words, fault=self.victim.fault), 0.0
        while process.poll() is None:
            time.sleep(0.01)
            if not began and any(folder.glob(self.victim.sign)):
                began = time.monotonic()
        self.seconds = time.monotonic() - began
        if process.wait():
            raise Rude(f"{self.victim.name} failed undisturbed: {process.communicate()}")
        self.result = self.victim.result(folder)
        self.bench.drop(folder)

    def kill(self, folder: Path) -> None:
        """Kill it at a random moment after its first file was written, so that there is something to lose.
        A run that ends before that moment is undone and tried again with an earlier one."""
        share = self.bench.random.uniform(0, 1)
        before = folder.with_name(f"{folder.name}-before")
        shutil.copytree(folder, before)
        while True:
            process = commands.start(folder, *self.victim.words, fault=self.victim.fault)
            limit = time.monotonic() + PATIENCE
            while process.poll() is None and not any(folder.glob(self.victim.sign)):
                if time.monotonic() > limit:
                    raise Rude(f"{self.victim.name} hung")
                time.sleep(0.005)
            time.sleep(share * self.seconds)
            ended_before = process.poll() is not None
            if not ended_before:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if not ended_before:
                self.bench.drop(before)
                return
            share *= 0.8
            shutil.rmtree(folder)
            shutil.copytree(before, folder)
