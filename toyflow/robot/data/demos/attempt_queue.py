"""Which attempts to make, so that the same ones count whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from toyflow.errors import ToyflowError
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome

FAILURES_PER_EPISODE = 3
FEWEST_FAILURES = 5
"""A task is given up after so many failures per wanted episode, but not before the fewest."""


class AttemptQueue:
    """Attempts per task, in the order of their numbers, until `episodes` of them are solved. Attempt n is
    given out only while fewer than `episodes` of those before it are solved or running, so that the same
    attempts count for any number of workers.

    Args:
        tasks: indices of the tasks.
        episodes: solved attempts wanted per task.
        outcomes: attempts that were made before.
    """

    def __init__(
        self, tasks: Sequence[int], episodes: int, outcomes: Mapping[Attempt, AttemptOutcome]
    ) -> None:
        self._tasks, self._episodes = tasks, episodes
        self._outcomes = dict(outcomes)
        self._running: set[Attempt] = set()

    @property
    def wanted(self) -> int:
        """Number of episodes wanted, over all tasks."""
        return len(self._tasks) * self._episodes

    @property
    def have(self) -> int:
        """Number of these that are finished."""
        return sum(outcome.solved for task in self._tasks for outcome in self.attempts(task))

    def take(self, at_hand: int | None) -> Attempt | None:
        """The next attempt, from now on counted as running; None if nothing is left. It is of the task
        `at_hand`, whose simulator the worker has open, if possible, else of the task with fewest running
        attempts."""
        at_work = {task: sum(a.task == task for a in self._running) for task in self._tasks}
        for task in sorted(self._tasks, key=lambda task: (task != at_hand, at_work[task], task)):
            attempt = self._next(task)
            if attempt is not None:
                self._running.add(attempt)
                return attempt
        return None

    def note(self, outcome: AttemptOutcome) -> None:
        """Record that an attempt has ended."""
        self._running.discard(outcome.attempt)
        self._outcomes[outcome.attempt] = outcome

    def check(self) -> None:
        """Raise ToyflowError if a task has failed too often to go on."""
        most = max(FEWEST_FAILURES, FAILURES_PER_EPISODE * self._episodes)
        for task in self._tasks:
            attempts = self.attempts(task)
            failures = sum(not outcome.solved for outcome in attempts)
            if failures >= most:
                raise ToyflowError(
                    f"the expert failed in {failures} of {len(attempts)} attempts at task {task}; gave up. "
                    "Try less --noise, or other --tasks. What is finished is kept."
                )

    def attempts(self, task: int) -> list[AttemptOutcome]:
        """Outcomes of the finished attempts that count: those up to the last that is needed."""
        ended = (self._outcomes.get(attempt) for attempt in self._hopeful(task))
        return [outcome for outcome in ended if outcome is not None]

    def _next(self, task: int) -> Attempt | None:
        for attempt in self._hopeful(task):
            if attempt not in self._running and attempt not in self._outcomes:
                return attempt
        return None

    def _hopeful(self, task: int) -> Iterable[Attempt]:
        """Attempts in order until enough are solved, counting unfinished ones as solved."""
        solved = 0
        for number in count():
            attempt = Attempt(task, number)
            yield attempt
            outcome = self._outcomes.get(attempt)
            solved += outcome is None or outcome.solved
            if solved == self._episodes:
                return
