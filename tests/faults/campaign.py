"""Trials, what may be found in them, and their table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class Finding(Exception):
    """What should not have happened."""


class Lost(Finding):
    """A finished result is gone, or is another than it was."""


class Accepted(Finding):
    """Damage was taken for good, or a number is another than it should be."""


class Rude(Finding):
    """No harm, but not what a user should meet: a traceback, a file that is not named, a hang, rubbish."""


class NotHere(Exception):
    """This machine cannot do what the trial needs."""


class Trial(NamedTuple):
    """One row's work; `run` gives how many faults it has tried, 1 for None, or raises a `Finding`."""

    row: str
    run: Callable[[], int | None]


@dataclass
class Row:
    """The figures of one kind of fault."""

    name: str
    tried: int = 0
    lost: int = 0
    accepted: int = 0
    rude: int = 0
    absent: str = ""
    """Why it was not tried here, if so."""

    @property
    def survived(self) -> int:
        return self.tried - self.lost - self.accepted - self.rude

    def cells(self) -> list[str]:
        return [str(number) for number in (self.tried, self.survived, self.lost, self.accepted, self.rude)]


@dataclass
class Outcome:
    """All rows, in the order in which they were tried, and a line for each finding."""

    rows: dict[str, Row] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return not self.findings


HEAD = ("fault", "tried", "survived", "results lost", "damage accepted", "rude")
_FIGURES = {Lost: "lost", Accepted: "accepted", Rude: "rude"}


def carry_out(trials: Iterable[Trial], console: Console, seconds: float = math.inf) -> Outcome:
    """Try everything, or what can be begun within `seconds`; a finding is noted at once and stops nothing."""
    outcome, began = Outcome(), time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        every = list(trials)
        bar = progress.add_task("", total=len(every))
        for number, trial in enumerate(every):
            if time.monotonic() - began > seconds:
                console.print(f"the time is over: {number} of {len(every)} trials were begun")
                break
            progress.update(bar, description=trial.row)
            _carry_out(trial, outcome, console)
            progress.advance(bar)
    return outcome


def _carry_out(trial: Trial, outcome: Outcome, console: Console) -> None:
    if not console.is_terminal and trial.row not in outcome.rows:
        console.print(f"{trial.row} ...", markup=False)
    row = outcome.rows.setdefault(trial.row, Row(trial.row))
    try:
        row.tried += trial.run() or 1
    except NotHere as reason:
        row.absent = str(reason)
    except Finding as finding:
        row.tried += 1
        figure = _FIGURES[type(finding)]
        setattr(row, figure, getattr(row, figure) + 1)
        outcome.findings.append(f"{trial.row}: {figure}: {finding}")
        console.print(outcome.findings[-1], style="red", markup=False)


def as_table(outcome: Outcome) -> Table:
    """For a terminal."""
    table = Table(*HEAD[:1], title="The fault campaign", title_justify="left")
    for name in HEAD[1:]:
        table.add_column(name, justify="right")
    for row in outcome.rows.values():
        table.add_row(*([row.name, row.absent] if row.absent else [row.name, *row.cells()]))
    return table


def as_markdown(rows: Iterable[Row]) -> str:
    """For the documentation, with a last line for all."""
    every = list(rows)
    tried, lost = sum(row.tried for row in every), sum(row.lost for row in every)
    accepted, rude = sum(row.accepted for row in every), sum(row.rude for row in every)
    lines = ["| " + " | ".join(HEAD) + " |", "|---" + "|---:" * (len(HEAD) - 1) + "|"]
    for row in [*every, Row("**all**", tried, lost, accepted, rude)]:
        lines.append(f"| {row.name} | {' | '.join(row.cells())} |")
    return "\n".join(lines) + "\n"


def from_markdown(table: str) -> dict[str, Row]:
    """The rows that `as_markdown` wrote, by name."""
    rows: dict[str, Row] = {}
    for line in table.splitlines()[2:-1]:
        name, *figures = (cell.strip() for cell in line.strip("| ").split(" | "))
        tried, _, lost, accepted, rude = map(int, figures)
        rows[name] = Row(name, tried, lost, accepted, rude)
    return rows
