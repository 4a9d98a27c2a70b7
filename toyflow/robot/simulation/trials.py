"""What a policy is evaluated on: tasks of a suite, official initial states, and when it looks again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from toyflow.errors import UsageError
from toyflow.parsing import listed_ranges, parse_numbers
from toyflow.robot.simulation.environment import SuiteTask, check_suite, find_tasks, load_environment
from toyflow.robot.simulation.trial_options import (
    AUTO,
    ENVIRONMENT,
    NO_TRIALS,
    WHOLE_HORIZON,
    TrialOptions,
)


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


def trials_of(options: TrialOptions, made_of: Mapping[str, str], horizon: int) -> Trials | None:
    """The trials that `options` ask for; None where they ask for none.

    Args:
        made_of: environment, suite and tasks of the demonstrations, where they are known; `auto` means these.
        horizon: actions of the policy's chunk.

    Raises:
        UsageError: something that does not exist, or is not installed.
    """
    theirs = made_of.get("environment", options.environment)
    if options.environment not in (AUTO, theirs) and options.suite == AUTO:
        suites = ", ".join(load_environment(options.environment).suites())
        raise UsageError(
            f"the demonstrations are of {theirs}: name a suite of {options.environment}, which has {suites}."
        )
    if options.environment == AUTO:
        options = replace(options, environment=made_of.get("environment", ENVIRONMENT))
    if options.suite == AUTO:
        options = replace(options, suite=made_of.get("suite", NO_TRIALS))
    if options.tasks == AUTO:
        same = options.suite == made_of.get("suite")
        options = replace(options, tasks=made_of.get("tasks", "all") if same else "all")
    return None if options.suite == NO_TRIALS else _checked(options, horizon)


def _checked(options: TrialOptions, horizon: int) -> Trials:
    """The trials of `options` without `auto`."""
    environment = load_environment(options.environment)
    check_suite(environment, options.suite)
    asked = None if options.tasks == "all" else _numbers(options.tasks, "tasks")
    tasks = find_tasks(environment, options.suite, asked)
    states = _states(options.states, tasks)
    replan = horizon if options.replan == WHOLE_HORIZON else _whole(options.replan, "replan")
    if not 1 <= replan <= horizon:
        raise UsageError(f"replan must be 1 to the horizon, {horizon}, not {replan}.")
    return Trials(
        options.environment,
        options.suite,
        tuple(sorted(task.index for task in tasks)),
        states,
        replan,
        options.rendering,
        environment.assets(),
    )


def _states(given: str, tasks: list[SuiteTask]) -> tuple[int, ...]:
    fewest = min(task.init_states for task in tasks)
    states = tuple(range(int(given))) if re.fullmatch("[0-9]{1,6}", given) else _numbers(given, "states")
    if not states or max(states) >= fewest:
        raise UsageError(
            f"states: {given} of them are asked for, and a task has {fewest}, 0 to {fewest - 1}."
        )
    return states


def _numbers(given: str, where: str) -> tuple[int, ...]:
    """`0-4`, `0+5`, `0+2-3`."""
    return tuple(sorted(parse_numbers(given.replace("+", ","), where)))


def _whole(given: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", given):
        raise UsageError(f"{where} must be a whole number, not {given!r}.")
    return int(given)
