"""Which attempts are to be made, so that the same ones count whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from toyflow.errors import ToyflowError
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome

FAILURES_PER_EPISODE = 3
FEWEST_FAILURES = 5


class AttemptQueue:
    """Per task, the first `episodes` solved attempts in the order of their numbers, and no attempt more than
    it takes to know them: number n is made only once fewer than `episodes` before it are solved or under way.
    """

    def __init__(
        self, tasks: Sequence[int], episodes: int, outcomes: Mapping[Attempt, AttemptOutcome]
    ) -> None:
        self._tasks, self._episodes = tasks, episodes
        self._outcomes = dict(outcomes)
        self._running: set[Attempt] = set()

    @property
    def wanted(self) -> int:
        """Episodes in all."""
        return len(self._tasks) * self._episodes

    @property
    def have(self) -> int:
        """Episodes of these that are there."""
        return sum(outcome.solved for task in self._tasks for outcome in self.attempts(task))

    def take(self, at_hand: int | None) -> Attempt | None:
        """The next attempt, marked as under way: of the task `at_hand` if that has one left, else of the task
        that fewest are at work on."""
        at_work = {task: sum(a.task == task for a in self._running) for task in self._tasks}
        for task in sorted(self._tasks, key=lambda task: (task != at_hand, at_work[task], task)):
            attempt = self._next(task)
            if attempt is not None:
                self._running.add(attempt)
                return attempt
        return None

    def note(self, outcome: AttemptOutcome) -> None:
        """An attempt has ended."""
        self._running.discard(outcome.attempt)
        self._outcomes[outcome.attempt] = outcome

    def check(self) -> None:
        """Raise ToyflowError if a task has failed so often that it is no use to go on."""
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
        """The attempts that count, as far as they have ended: all up to the last that is needed."""
        ended = (self._outcomes.get(attempt) for attempt in self._hopeful(task))
        return [outcome for outcome in ended if outcome is not None]

    def _next(self, task: int) -> Attempt | None:
        for attempt in self._hopeful(task):
            if attempt not in self._running and attempt not in self._outcomes:
                return attempt
        return None

    def _hopeful(self, task: int) -> Iterable[Attempt]:
        """Attempts in order, until enough are solved, where those that have not ended count as solved."""
        solved = 0
        for number in count():
            attempt = Attempt(task, number)
            yield attempt
            outcome = self._outcomes.get(attempt)
            solved += outcome is None or outcome.solved
            if solved == self._episodes:
                return
