"""`robot-demos --check`: how often the scripted expert solves the official initial states. Records
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product

from rich.console import Console

from toyflow.errors import UsageError
from toyflow.robot.data.demos.attempt_progress import AttemptProgress
from toyflow.robot.data.demos.attempt_workers import run_attempts
from toyflow.robot.data.demos.expert_report import ExpertReport
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome, try_official
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
    """Run the expert from each of the first `states` official initial states of each task.

    Raises:
        UsageError: no such suite or task, it has no expert, or fewer initial states.
        ToyflowError: workers kept dying.
    """
    chosen = find_tasks(environment, suite, tasks)
    fewest = min(task.init_states for task in chosen)
    if not 1 <= states <= fewest:
        raise UsageError(f"--check takes 1 to {fewest} official initial states of {suite}, not {states}.")
    assets = environment.assets()
    left = [Attempt(task.index, number) for task, number in product(chosen, range(states))]
    outcomes: dict[Attempt, AttemptOutcome] = {}

    def take(at_hand: int | None) -> Attempt | None:
        attempt = next((a for a in left if a.task == at_hand), left[0] if left else None)
        if attempt:
            left.remove(attempt)
        return attempt

    events = run_attempts(OfficialStates(environment, suite), take, jobs)
    with closing(events), AttemptProgress(console, "expert", len(left)) as live:
        for event in events:
            if isinstance(event, AttemptOutcome):
                outcomes[event.attempt] = event
            live.show(event, len(outcomes))
    by_task = [(task, [outcomes[Attempt(task.index, n)] for n in range(states)]) for task in chosen]
    return ExpertReport.of(
        environment.name, suite, assets, f"first {states} official initial states", by_task
    )


@dataclass(frozen=True)
class OfficialStates(Work[Attempt, AttemptOutcome]):
    """Attempts from official initial states; the attempt's number is that of the state."""

    environment: type[Environment]
    suite: str

    def open(self, task: int) -> Environment:
        """See `Work`."""
        return self.environment(self.suite, task)

    def run(self, environment: Environment, job: Attempt, channel: WorkerChannel) -> AttemptOutcome:
        """See `Work`."""
        task = self.environment.tasks(self.suite)[job.task]
        return try_official(environment, task, job, channel.beat)
