"""What a running sweep tells its audience. Plain data, so that it can cross a process boundary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something happened to the cell of this key."""

    key: str


@dataclass(frozen=True)
class Started(Event):
    """A worker took the cell."""


@dataclass(frozen=True)
class Waiting(Event):
    """Another process is at work on this cell."""


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` parts of the stage that `stage` names; `note` is what to show in its place."""

    stage: str
    done: int
    total: int
    note: str | None = None


@dataclass(frozen=True)
class WarningRaised(Event):
    """Something that a user should know, and that stopped nothing: a damaged file that is made again."""

    text: str


@dataclass(frozen=True)
class Finished(Event):
    """The cell is complete in the store."""

    summary: str


@dataclass(frozen=True)
class Rescheduled(Event):
    """The cell's worker was lost; another takes the cell."""

    message: str


@dataclass(frozen=True)
class Failed(Event):
    """The cell failed; the others go on."""

    message: str
    traceback: str = ""
    """For the cell's log, where the message is not meant for users."""
