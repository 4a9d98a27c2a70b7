"""A running sweep on a screen: live bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from toyflow.pace import Pace
from toyflow.sweep import events
from toyflow.sweep.plan import Cell


def watch(stream: Iterable[events.Event], cells: Mapping[str, Cell], console: Console) -> list[events.Failed]:
    """Show events as they come, until the stream ends; the failures among them. `cells` is by key."""
    failures: list[events.Failed] = []
    with view_of(cells, console) as view:
        for event in stream:
            view.show(event)
            if isinstance(event, events.Failed):
                failures.append(event)
    return failures


def view_of(cells: Mapping[str, Cell], console: Console) -> _Lines | _Bars:
    """What shows events of `cells` while it is entered."""
    return _Bars(cells, console) if console.is_terminal else _Lines(cells, console)


TOLD_EVERY = 30.0
"""Seconds between two lines on a cell that runs."""


class _Lines:
    """A line when a cell starts and one when it ends; in between, now and then, one on how far it is."""

    def __init__(self, cells: Mapping[str, Cell], console: Console) -> None:
        self.cells, self.console = cells, console
        self.ended = 0
        self.waiting: set[str] = set()
        self.told: dict[str, float] = {}
        self.paces: dict[tuple[str, str], Pace] = {}
        self.reached: dict[tuple[str, str], int] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: events.Event) -> None:
        if isinstance(event, events.Waiting):
            if event.key in self.waiting:
                return  # it says so every second
            self.waiting.add(event.key)
        label = escape(self.cells[event.key].label)
        if isinstance(event, events.Finished | events.Failed):
            self.ended += 1
            self.console.print(f"{escape(f'[{self.ended}/{len(self.cells)}]')} {_ending(label, event)}")
        elif isinstance(event, events.WarningRaised):
            self.console.print(_note(label, event))
        elif isinstance(event, events.Started | events.Waiting | events.Rescheduled):
            self._tell(event.key, _words(event))
        elif isinstance(event, events.Progress):
            stage = event.key, event.stage
            if stage not in self.paces or event.done < self.reached[stage]:  # or another decoding's begins
                self.paces[stage] = Pace(event.done)
            self.reached[stage] = event.done
            now = time.monotonic()
            if now - self.told.setdefault(event.key, now) >= TOLD_EVERY:
                self._tell(event.key, escape(self._how_far(event)))

    def _how_far(self, event: events.Progress) -> str:
        share = f"{100 * event.done // event.total} %"
        said = (
            f"{event.note}; {share} of {event.stage} done" if event.note else f"{event.stage}, {share} done"
        )
        pace = self.paces.get((event.key, event.stage))
        return f"{said}, {pace.left(event.done, event.total)}" if pace and event.done < event.total else said

    def _tell(self, key: str, words: str) -> None:
        self.told[key] = time.monotonic()
        indent = " " * (2 * len(str(len(self.cells))) + 3)
        self.console.print(f"{indent} {escape(self.cells[key].label)}: {words}")


class _Bars:
    """A bar for the sweep, and one for each running cell that goes when the cell ends."""

    def __init__(self, cells: Mapping[str, Cell], console: Console) -> None:
        self.cells, self.console = cells, console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            speed_estimate_period=600,
        )
        self.sweep = self.progress.add_task("[bold]sweep", total=len(cells), note=f"0 of {len(cells)}")
        self.bars: dict[str, TaskID] = {}
        self.share: dict[str, float] = {}
        self.ended = 0

    def __enter__(self) -> _Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.bars.values():
            self.progress.remove_task(bar)
        self.progress.stop()

    def show(self, event: events.Event) -> None:
        label = escape(self.cells[event.key].label)
        if isinstance(event, events.Started | events.Waiting | events.Rescheduled):
            self._bar(event.key, _words(event))
        elif isinstance(event, events.WarningRaised):
            self.console.print(_note(label, event))
        elif isinstance(event, events.Progress):
            bar = self._bar(event.key, event.note or event.stage)
            self.progress.update(bar, completed=event.done, total=event.total)
            done = event.done / event.total
            self.share[event.key] = 0.9 * done if event.stage == "training" else 0.9 + 0.1 * done
        elif isinstance(event, events.Finished | events.Failed):
            self.ended += 1
            self.share.pop(event.key, None)
            if event.key in self.bars:
                self.progress.remove_task(self.bars.pop(event.key))
            self.console.print(_ending(label, event))
        done, note = self.ended + sum(self.share.values()), f"{self.ended} of {len(self.cells)}"
        self.progress.update(self.sweep, completed=done, note=note)

    def _bar(self, key: str, note: str) -> TaskID:
        """The cell's bar, made if there is none."""
        if key not in self.bars:
            self.bars[key] = self.progress.add_task(
                f"  {escape(self.cells[key].label)}", total=None, note=note
            )
        self.progress.update(self.bars[key], note=note)
        return self.bars[key]


def _words(event: events.Started | events.Waiting | events.Rescheduled) -> str:
    if isinstance(event, events.Rescheduled):
        return escape(f"{event.message}; another worker takes it")
    return "started" if isinstance(event, events.Started) else "another process trains it; waiting"


def _note(label: str, event: events.WarningRaised) -> str:
    return f"[yellow]note[/]    {label}: {escape(event.text)}"


def _ending(label: str, event: events.Finished | events.Failed) -> str:
    if isinstance(event, events.Finished):
        return f"[green]done[/]    {label}: {escape(event.summary)}"
    if isinstance(event, events.Incomplete):
        return f"[yellow]errors[/]  {label}: {escape(event.message)}"
    return f"[bold red]failed[/]  {label}: {escape(event.message)}"
