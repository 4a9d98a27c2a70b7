"""What a policy is evaluated on: tasks of a suite, official initial states, and when it looks again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import SuiteTask, check_suite, find_tasks, load_environment
from toyflow.sweep.options import listed_ranges, parse_numbers


@dataclass(frozen=True)
class Trials:
    """Episodes of one suite: every task of `tasks` from every state of `states`.

    `str` gives the name under which results are kept, `parse` takes it back.
    """

    environment: str
    suite: str
    tasks: tuple[int, ...]
    states: tuple[int, ...]
    """Indices of official initial states."""
    replan: int
    """Actions of a chunk that are carried out before the policy looks again."""
    rendering: str
    assets: str
    """`own`, or `stand-in` where scores are not the suite's."""

    def __str__(self) -> str:
        tasks, states = (listed_ranges(sorted(numbers), "+") for numbers in (self.tasks, self.states))
        values = {**vars(self), "tasks": tasks, "states": states}
        return " ".join(f"{name}={value}" for name, value in values.items())

    @classmethod
    def parse(cls, name: str) -> Trials:
        """The trials of this name."""
        values = dict(part.split("=", 1) for part in name.split(" "))
        return cls(
            environment=values["environment"],
            suite=values["suite"],
            tasks=_numbers(values["tasks"], "tasks"),
            states=_numbers(values["states"], "states"),
            replan=int(values["replan"]),
            rendering=values["rendering"],
            assets=values["assets"],
        )

    @classmethod
    def checked(cls, options: Mapping[str, str], horizon: int) -> Trials:
        """The trials that `options` ask for: environment, suite, tasks (`all`), states (a count or a range),
        replan (`horizon`) and rendering.

        Raises:
            UsageError: something that does not exist, or is not installed.
        """
        environment = load_environment(options["environment"])
        check_suite(environment, options["suite"])
        asked = None if options["tasks"] == "all" else _numbers(options["tasks"], "tasks")
        tasks = find_tasks(environment, options["suite"], asked)
        states = _states(options["states"], tasks)
        replan = horizon if options["replan"] == "horizon" else _whole(options["replan"], "replan")
        if not 1 <= replan <= horizon:
            raise UsageError(f"replan must be 1 to the horizon, {horizon}, not {replan}.")
        return cls(
            options["environment"],
            options["suite"],
            tuple(sorted(task.index for task in tasks)),
            states,
            replan,
            options["rendering"],
            environment.assets(),
        )


def _states(text: str, tasks: list[SuiteTask]) -> tuple[int, ...]:
    fewest = min(task.init_states for task in tasks)
    states = tuple(range(int(text))) if re.fullmatch("[0-9]{1,6}", text) else _numbers(text, "states")
    if not states or max(states) >= fewest:
        raise UsageError(f"states: {text} of them are asked for, and a task has {fewest}, 0 to {fewest - 1}.")
    return states


def _numbers(text: str, where: str) -> tuple[int, ...]:
    """`0-4`, `0+5`, `0+2-3`."""
    return tuple(sorted(parse_numbers(text.replace("+", ","), where)))


def _whole(text: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"{where} must be a whole number, not {text!r}.")
    return int(text)
