"""What commands share: the console, progress, questions, and processes started early."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from toyflow.errors import UsageError
from toyflow.launch import launch

PLAIN_WIDTH = 120
console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress: a bar in a terminal, from the first call on; elsewhere a line per tenth."""
    if not console.is_terminal:
        told = -1

        def tell(done: int, total: int) -> None:
            nonlocal told
            if 10 * done // total > told:
                told = 10 * done // total
                console.print(f"{what}: {done} of {total} parts")

        yield tell
        return
    from rich.progress import Progress  # takes as long to import as the rest of the command line

    progress = Progress(console=console, transient=True)
    bar = progress.add_task(what, total=None)

    def advance(done: int, total: int) -> None:
        progress.start()  # a second start does nothing; an earlier one would disturb a sweep's display
        progress.update(bar, completed=done, total=total)

    try:
        yield advance
    finally:
        progress.stop()


def agreed(question: str, without: str) -> bool:
    """Whether the user says yes. `without` says how not to be asked.

    Raises:
        UsageError: nobody answers.
    """
    try:
        return typer.confirm(question)
    except typer.Abort:
        raise UsageError(f"nobody answered, so nothing was done; {without}.") from None


def key_reader() -> Callable[[], str] | None:
    """What waits for a key; None where no terminal is there."""
    return typer.getchar if sys.stdin.isatty() else None


def start_workers(task: str) -> None:
    """Start importing what cells of `task` need in a process of their own, while this one goes on. Only the
    main process of a launch does so."""
    if not launch().is_main:
        return
    from toyflow import plugins
    from toyflow.workers import start_fork_server

    robot = ["toyflow.robot.robot_runner", "toyflow.robot.data.augmentation"]
    toy = ["toyflow.toy.toy_runner", "torchvision.datasets"]
    start_fork_server([*(robot if task == "robot" else toy), *plugins.modules("tasks", task)])


def check_torch() -> None:
    """Import torch.

    Raises:
        BrokenTorchError: it cannot be imported; the message says what to do.
    """
    from toyflow.machine import check_torch

    check_torch()
