"""What a policy is evaluated on: tasks of a suite, official initial states, and how often it plans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from toyflow.errors import UsageError
from toyflow.parsing import listed_ranges, parse_numbers
from toyflow.robot.handover import check_overlap, parse_handover, usual_replan
from toyflow.robot.simulation.environment import SuiteTask, load_environment
from toyflow.robot.simulation.task_selection import NO_LEVEL, select_tasks
from toyflow.robot.simulation.trial_options import (
    ALL,
    AT_MOST,
    AUTO,
    ENVIRONMENT,
    NO_TRIALS,
    WHOLE_HORIZON,
    TrialOptions,
)

_ADDED = {
    "latency_steps": TrialOptions.latency_steps,
    "handover": TrialOptions.handover,
    "prompts": TrialOptions.prompts,
    "missing": "",
}
"""Defaults of the fields that the trials of earlier results do not have."""
_NO_LEVEL = "/no-level"
LEFT_OUT = {name: str(value) or "none" for name, value in _ADDED.items()}
"""The same as text, for tables: what a name of trials means where it leaves a field out."""


@dataclass(frozen=True)
class DemoSource:
    """Simulator, suite and tasks of demonstrations; a policy trained on them is evaluated there by default.

    Attributes:
        tasks: numbers joined by +, as in `TrialOptions`.
    """

    environment: str
    suite: str
    tasks: str

    def as_dict(self) -> dict[str, str]:
        """JSON values."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> DemoSource | None:
        """The source that `as_dict` gave; None of an empty dictionary, which records of other data have."""
        return cls(**values) if values else None


@dataclass(frozen=True)
class Trials:
    """Episodes of one suite: every task of `tasks` from every state of `states`.

    `str` gives the name under which results are kept, `parse` takes it back.

    Attributes:
        states: indices of official initial states.
        replan: actions of a chunk that are executed before the next plan.
        assets: what the scenes are made of, as `Environment.assets_of` gives it.
        latency_steps, handover, prompts: see `TrialOptions`; names leave them out at their defaults.
        missing: how many tasks that were asked for cannot run here, by perturbation: `light:283+table:4`;
            `light/no-level:121` are those that have no level, where levels were asked for.

    >>> trials = Trials("libero", "libero_goal", (0, 1, 2), (0, 1), 10, "fast", "own")
    >>> str(trials)
    'environment=libero suite=libero_goal tasks=0-2 states=0-1 replan=10 rendering=fast assets=own'
    >>> Trials.parse(str(trials)) == trials
    True
    """

    environment: str
    suite: str
    tasks: tuple[int, ...]
    states: tuple[int, ...]
    replan: int
    rendering: str
    assets: str
    latency_steps: int = TrialOptions.latency_steps
    handover: str = TrialOptions.handover
    prompts: str = TrialOptions.prompts
    missing: str = ""

    def __str__(self) -> str:
        tasks, states = (listed_ranges(sorted(numbers), "+") for numbers in (self.tasks, self.states))
        values = {**vars(self), "tasks": tasks, "states": states}
        return " ".join(f"{name}={value}" for name, value in values.items() if _ADDED.get(name) != value)

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
            latency_steps=int(values.get("latency_steps", TrialOptions.latency_steps)),
            handover=values.get("handover", TrialOptions.handover),
            prompts=values.get("prompts", TrialOptions.prompts),
            missing=values.get("missing", ""),
        )

    @property
    def missing_counts(self) -> dict[str, int]:
        """`missing` by perturbation, with those that have no level."""
        total: Counter[str] = Counter()
        for name, count in self._missing:
            total[name.removesuffix(_NO_LEVEL)] += count
        return dict(total)

    @property
    def no_level_counts(self) -> dict[str, int]:
        """Those of `missing_counts` that have no level."""
        return {
            name.removesuffix(_NO_LEVEL): count for name, count in self._missing if name.endswith(_NO_LEVEL)
        }

    @property
    def _missing(self) -> list[tuple[str, int]]:
        pairs = (part.rpartition(":") for part in self.missing.split("+") if part)
        return [(name, int(count)) for name, _, count in pairs]


def trials_of(options: TrialOptions, source: DemoSource | None, horizon: int) -> Trials | None:
    """The trials that `options` ask for; None where they ask for none.

    Args:
        source: where the demonstrations were made, if that is known; `auto` means there.
        horizon: actions of the policy's chunk.

    Raises:
        UsageError: something that does not exist, or is not installed.
    """
    if source and options.environment not in (AUTO, source.environment) and options.suite == AUTO:
        suites = ", ".join(load_environment(options.environment).suites())
        raise UsageError(
            f"the demonstrations are of {source.environment}: name a suite of {options.environment}, which "
            f"has {suites}."
        )
    if options.environment == AUTO:
        options = replace(options, environment=source.environment if source else ENVIRONMENT)
    if options.suite == AUTO:
        options = replace(options, suite=source.suite if source else NO_TRIALS)
    if options.suite == NO_TRIALS:
        return None
    if options.tasks == AUTO:
        options = replace(options, tasks=_of_the_data(options, source) if source else ALL)
    return _checked(options, horizon)


def _of_the_data(options: TrialOptions, source: DemoSource) -> str:
    """The tasks of the suite that demonstrations were made of, or that vary one of those; all where no task
    is."""
    environment = load_environment(options.environment)
    if options.suite == source.suite:
        return source.tasks
    varied = [task for task in environment.tasks(options.suite) if task.base and task.base[0] == source.suite]
    if not varied:
        return ALL
    shown = {environment.tasks(source.suite)[index].name for index in _numbers(source.tasks, "tasks")}
    same = [task.index for task in varied if task.base and task.base[1] in shown]
    return listed_ranges(sorted(same), "+") or ALL


def _checked(options: TrialOptions, horizon: int) -> Trials:
    """The trials of `options` without `auto`."""
    environment = load_environment(options.environment)
    asked = None if options.tasks == ALL else _numbers(options.tasks, "tasks")
    tasks, missing = select_tasks(
        environment,
        options.suite,
        asked,
        options.perturb,
        options.levels,
        options.sample,
        options.sample_seed,
    )
    states = _states(options.states, tasks, options.suite)
    latency = options.latency_steps
    if latency >= horizon:
        raise UsageError(f"latency-steps must be below the horizon, {horizon}, not {latency}.")
    parse_handover(options.handover)
    replan = (
        usual_replan(horizon, options.handover, horizon - latency, horizon)
        if options.replan == WHOLE_HORIZON
        else _whole(options.replan, "replan")
    )
    if not 1 <= replan <= horizon:
        raise UsageError(f"replan must be 1 to the horizon, {horizon}, not {replan}.")
    check_overlap(options.handover, replan, horizon, latency)
    return Trials(
        options.environment,
        options.suite,
        tuple(sorted(task.index for task in tasks)),
        states,
        replan,
        options.rendering,
        environment.assets_of(tasks),
        latency,
        options.handover,
        options.prompts,
        "+".join(f"{name}:{count}" for name, count in _by_perturbation(missing).items()),
    )


def _by_perturbation(tasks: list[SuiteTask]) -> dict[str, int]:
    """How many there are of each, in alphabetical order; those without a level apart."""
    names = (f"{t.perturbation or 'none'}{_NO_LEVEL if t.missing == NO_LEVEL else ''}" for t in tasks)
    return dict(sorted(Counter(names).items()))


def _states(given: str, tasks: list[SuiteTask], suite: str) -> tuple[int, ...]:
    fewest = min(task.init_states for task in tasks)
    counted = re.fullmatch(f"({AT_MOST})?([0-9]{{1,6}})", given)
    if not counted:
        states = _numbers(given, "states")
    elif counted[1]:
        states = tuple(range(min(int(counted[2]), fewest)))
    else:
        states = tuple(range(int(counted[2])))
    if not states:
        raise UsageError(f"states: {given} is none; a task of {suite} has {fewest}.")
    if max(states) >= fewest:
        raise UsageError(
            f"states: {given} {'are' if counted else 'is'} asked for, and a task of {suite} has {fewest}"
            f"{', number 0' if fewest == 1 else f', 0 to {fewest - 1}'}."
        )
    return states


def _numbers(given: str, where: str) -> tuple[int, ...]:
    """`0-4`, `0+5`, `0+2-3`."""
    return tuple(sorted(parse_numbers(given.replace("+", ","), where)))


def _whole(given: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", given):
        raise UsageError(f"{where} must be a whole number, not {given!r}.")
    return int(given)
