"""What commands share: where they print, and what they start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

PLAIN_WIDTH = 120
console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar from the first call on in a terminal; elsewhere a line for every tenth part."""
    if not console.is_terminal:
        told = -1

        def tell(done: int, total: int) -> None:
            nonlocal told
            if 10 * done // total > told:
                told = 10 * done // total
                console.print(f"{what}: {done} of {total} parts")

        yield tell
        return
    from rich.progress import Progress

    progress = Progress(console=console, transient=True)
    bar = progress.add_task(what, total=None)

    def advance(done: int, total: int) -> None:
        progress.start()  # again is nothing; not before, as a sweep may be on the screen
        progress.update(bar, completed=done, total=total)

    try:
        yield advance
    finally:
        progress.stop()


def start_workers(task: str) -> None:
    """Let the processes of cells import what they need for `task` while this one does what it needs."""
    from toyflow import plugins
    from toyflow.workers import start_fork_server

    robot = ["toyflow.robot.robot_runner", "toyflow.robot.data.augmentation"]
    toy = ["toyflow.toy.runner", "torchvision.datasets"]
    start_fork_server([*(robot if task == "robot" else toy), *plugins.modules("tasks", task)])


def check_torch() -> None:
    """Import torch. Raises BrokenTorchError, which says what to do."""
    from toyflow.machine import check_torch

    check_torch()
