"""`robot-demos --check`: how often the scripted expert solves the official initial states. Records
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from rich.console import Console

from toyflow.errors import UsageError
from toyflow.robot.data.demos.attempt_progress import AttemptProgress
from toyflow.robot.data.demos.attempt_workers import run_attempts
from toyflow.robot.data.demos.expert_report import ExpertReport
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome, try_expert
from toyflow.robot.simulation.environment import Environment, find_tasks
from toyflow.robot.simulation.simulators import Work, WorkerChannel


def expert_success(
    environment: type[Environment],
    suite: str,
    tasks: Sequence[int] | None,
    states: int,
    jobs: int,
    console: Console,
) -> ExpertReport:
    """Run the expert from each of the first `states` official initial states of each task that it knows.

    Raises:
        UsageError: no such suite or task, the expert knows none, or it has fewer initial states.
        ToyflowError: workers kept dying.
    """
    chosen = find_tasks(environment, suite, tasks)
    fewest = min(task.init_states for task in chosen)
    if not 1 <= states <= fewest:
        raise UsageError(f"--check takes 1 to {fewest} official initial states of {suite}, not {states}.")
    left = [Attempt(task.index, number) for task, number in product(chosen, range(states))]
    outcomes: dict[Attempt, AttemptOutcome] = {}
    unknown: dict[int, UnknownTask] = {}

    def take(at_hand: int | None) -> Attempt | None:
        left[:] = [attempt for attempt in left if attempt.task not in unknown]
        attempt = next((a for a in left if a.task == at_hand), left[0] if left else None)
        if attempt:
            left.remove(attempt)
        return attempt

    events = run_attempts(OfficialStates(environment, suite), take, jobs)
    with closing(events), AttemptProgress(console, "expert", len(left)) as live:
        for event in events:
            if isinstance(event, UnknownTask):
                unknown[event.task] = event
                continue
            if isinstance(event, AttemptOutcome):
                outcomes[event.attempt] = event
            live.show(event, len(outcomes) + states * len(unknown))
    known = [task for task in chosen if task.index not in unknown]
    if not known:
        raise UsageError(unknown[chosen[0].index].why)
    by_task = [(task, [outcomes[Attempt(task.index, n)] for n in range(states)]) for task in known]
    words = f"first {states} official initial states"
    if unknown:
        words += f"; {len(unknown)} of {len(chosen)} tasks are not known to it"
    return ExpertReport.of(environment.name, suite, environment.assets_of(known), words, by_task)


class UnknownTask(NamedTuple):
    """A task that the expert does not know, and what it does know."""

    task: int
    why: str


@dataclass(frozen=True)
class OfficialStates(Work[Attempt, "AttemptOutcome | UnknownTask"]):
    """Attempts from official initial states; the attempt's number is that of the state."""

    environment: type[Environment]
    suite: str

    def open(self, task: int) -> Environment:
        """See `Work`."""
        return self.environment(self.suite, task)

    def run(
        self, environment: Environment, job: Attempt, channel: WorkerChannel
    ) -> AttemptOutcome | UnknownTask:
        """See `Work`."""
        task = self.environment.tasks(self.suite)[job.task]
        environment.reset(0, init_state=job.number)
        try:
            expert = environment.expert(0)
        except UsageError as error:
            return UnknownTask(job.task, str(error))
        return try_expert(environment, expert, task, job, channel.beat)
