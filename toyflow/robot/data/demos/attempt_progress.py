"""Progress of attempts: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from toyflow.pace import Pace
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome
from toyflow.robot.simulation.simulators import JobLost


class AttemptProgress:
    """Shows how many of `total` are done; used as a context.

    Args:
        what: what is counted, in a word.
        done: number of attempts that were done before.
    """

    def __init__(self, console: Console, what: str, total: int, done: int = 0) -> None:
        self._console, self._total = console, total
        self._pace = Pace(done)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        self._bar = self._progress.add_task(what, total=total, completed=done, note="")

    def __enter__(self) -> AttemptProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: AttemptOutcome | JobLost[Attempt], done: int) -> None:
        """Show an event, after which `done` are done."""
        task, number = event.job if isinstance(event, JobLost) else event.attempt
        if isinstance(event, JobLost):
            self._console.print(
                f"[yellow]again[/]  task {task}, attempt {number}: its process {escape(event.why)}"
            )
            return
        ending = "solved" if event.solved else "[yellow]failed[/]"
        line = f"task {task}, attempt {number}: {ending} in {event.steps} steps, {event.seconds:.0f} s"
        if self._console.is_terminal:
            self._progress.update(self._bar, completed=done, note=line)
        else:
            self._console.print(
                f"{escape(f'[{done}/{self._total}]')} {line}; {self._pace.left(done, self._total)}"
            )
