"""Runs attempts in worker processes, and repeats those whose process was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from toyflow.errors import ToyflowError
from toyflow.robot.data.demos.recording import Attempt
from toyflow.robot.simulation.simulators import PATIENCE, JobDone, JobLost, Work, run_jobs

MOST_LOSSES = 3
"""An attempt that loses its process so often ends the whole run."""

R = TypeVar("R")

Take = Callable[[int | None], Attempt | None]
"""Gives the next attempt, for a worker with the simulator of this task open (or None); None if none is
left."""


def run_attempts(
    work: Work[Attempt, R], take: Take, jobs: int, patience: float = PATIENCE
) -> Generator[R | JobLost[Attempt], None, None]:
    """Make the attempts that `take` gives, up to `jobs` at a time, until it gives none and none is running.
    Closing the generator stops all workers.

    Raises:
        ToyflowError: an attempt raised it, or lost its process `MOST_LOSSES` times.
    """
    again: list[Attempt] = []
    losses: Counter[Attempt] = Counter()
    running = run_jobs(work, lambda task: again.pop() if again else take(task), jobs, patience)
    with closing(running):
        for events in running:
            for event in events:
                if isinstance(event, JobDone):
                    yield event.result
                elif isinstance(event, JobLost):
                    if event.error is not None:
                        raise event.error
                    again.append(event.job)
                    losses[event.job] += 1
                    _check_losses(event, losses[event.job])
                    yield event


def _check_losses(lost: JobLost[Attempt], times: int) -> None:
    if times >= MOST_LOSSES:
        task, number = lost.job
        raise ToyflowError(
            f"attempt {number} at task {task} was made {times} times and its process {lost.why}. What is "
            "finished is kept; the same command continues from there."
        )
