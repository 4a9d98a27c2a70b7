"""Events: what a running sweep reports. Plain data, so that they can cross a process boundary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something happened to a cell.

    Args:
        key: the key of the cell's training record.
    """

    key: str


@dataclass(frozen=True)
class Started(Event):
    """A worker took the cell."""


@dataclass(frozen=True)
class Waiting(Event):
    """Another process is at work on this cell."""


@dataclass(frozen=True)
class Progress(Event):
    """A stage of the cell has advanced.

    Args:
        stage: its name, such as `training`.
        done: how many of its `total` parts are done.
        note: what to show instead of the stage's name, such as the loss.
    """

    stage: str
    done: int
    total: int
    note: str | None = None


@dataclass(frozen=True)
class WarningRaised(Event):
    """A warning of toyflow's loggers while the cell ran, such as a damaged file that was made again."""

    text: str


@dataclass(frozen=True)
class Finished(Event):
    """The cell is complete in the store; `summary` has its scores in words."""

    summary: str


@dataclass(frozen=True)
class Rescheduled(Event):
    """The cell's worker was lost, as `message` says; another takes the cell."""

    message: str


@dataclass(frozen=True)
class Failed(Event):
    """The cell failed, as `message` says in one line; the others go on."""

    message: str
    traceback: str = ""
    """The traceback for the cell's log; empty where the message says all that a user needs."""


@dataclass(frozen=True)
class Incomplete(Failed):
    """The cell is complete in the store but for test examples that ended in an error, as `message` says."""
