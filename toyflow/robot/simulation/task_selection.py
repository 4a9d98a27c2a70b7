"""Which tasks of a suite: by number, perturbation and level, and an even sample of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import zip_longest

from toyflow.errors import UsageError, unknown
from toyflow.parsing import parse_numbers
from toyflow.robot.simulation.environment import Environment, SuiteTask, find_tasks
from toyflow.robot.simulation.trial_options import ALL

NO_LEVEL = "has no level"
"""Why a task is missing where levels are asked for and it is not graded."""


def select_tasks(
    environment: type[Environment],
    suite: str,
    tasks: Sequence[int] | None = None,
    perturb: str = ALL,
    levels: str = ALL,
    sample: int = 0,
    sample_seed: int = 0,
) -> tuple[list[SuiteTask], list[SuiteTask]]:
    """The tasks of `suite` that are asked for and can run here, and those that cannot. Where levels are asked
    for, tasks that are not graded count among the latter, with `NO_LEVEL` as the reason.

    Args:
        tasks: indices; None is all.
        perturb: `all`, or perturbations joined by + or commas.
        levels: `all`, or levels of difficulty such as 1-3+5.
        sample: how many of those that can run, see `sample_tasks`; 0 is all.
        sample_seed: seed of the sample.

    Raises:
        UsageError: no such task, perturbation or level; fewer tasks than `sample`; or none can run here.
    """
    asked = find_tasks(environment, suite, tasks)
    asked = _of_perturbations(asked, perturb, suite)
    asked = _of_levels(asked, levels, suite)
    able = [task for task in asked if not task.missing]
    if not able:
        reasons = "; ".join(dict.fromkeys(task.missing for task in asked))
        raise UsageError(f"none of the {len(asked)} tasks asked for of {suite} can run here: {reasons}")
    if sample:
        able = sample_tasks(able, sample, sample_seed)
    return able, [task for task in asked if task.missing]


def sample_tasks(tasks: Sequence[SuiteTask], count: int, seed: int) -> list[SuiteTask]:
    """`count` of the tasks, drawn at random but evenly: from each perturbation as many as from the others,
    as far as there are, and within one from each suite that is varied. With one seed a larger sample holds
    the smaller ones, and tasks come in the same order wherever the sample is drawn, whatever else can run
    there and whether levels are known.

    Raises:
        UsageError: there are fewer.

    >>> swap = [SuiteTask(i, f"s{i}", "", 1, 9, "swap") for i in range(20)]
    >>> light = [SuiteTask(i, f"l{i}", "", 1, 9, "light") for i in range(20, 23)]
    >>> [task.perturbation for task in sample_tasks(swap + light, 4, seed=0)]
    ['swap', 'swap', 'light', 'light']
    """
    if count > len(tasks):
        raise UsageError(f"sample: {count} tasks are asked for, and there are {len(tasks)}.")
    shuffled = sorted(tasks, key=lambda task: _place(seed, task.perturbation, task.name))
    in_turn = _in_turn(
        _in_turn(_groups(alike, _base_suite, seed))
        for alike in _groups(shuffled, lambda task: task.perturbation, seed)
    )
    return sorted(in_turn[:count], key=lambda task: task.index)


def _of_perturbations(tasks: list[SuiteTask], given: str, suite: str) -> list[SuiteTask]:
    if given == ALL:
        return tasks
    known = sorted({task.perturbation for task in tasks} - {""})
    if not known:
        raise UsageError(f"perturb: {suite} has no perturbations; take a suite that has: all is the default.")
    chosen = [name.strip() for name in given.replace("+", ",").split(",")]
    for name in chosen:
        if name not in known:
            raise unknown(f"perturbation of {suite}", name, known)
    return [task for task in tasks if task.perturbation in chosen]


def _of_levels(tasks: list[SuiteTask], given: str, suite: str) -> list[SuiteTask]:
    if given == ALL:
        return tasks
    known = {task.level for task in tasks} - {None}
    if not known:
        raise UsageError(
            f"levels: the tasks of {suite} are not graded here; leave it at {ALL}, or get a benchmark's list "
            "of levels by its `toyflow robot-setup`."
        )
    chosen = parse_numbers(given.replace("+", ","), "levels")
    if beyond := sorted(set(chosen) - known):
        there = ", ".join(map(str, sorted(level for level in known if level is not None)))
        raise UsageError(f"levels: {suite} has no level {beyond[0]}; it has {there}.")
    graded = [task if task.level is not None else replace(task, missing=NO_LEVEL) for task in tasks]
    return [task for task in graded if task.level is None or task.level in chosen]


def _place(seed: int, *words: str) -> bytes:
    """Where something of this name comes in a random order, the same on every machine."""
    return sha256("\n".join((str(seed), *words)).encode()).digest()


def _base_suite(task: SuiteTask) -> str:
    return task.base[0] if task.base else ""


def _groups(tasks: Iterable[SuiteTask], key: Callable[[SuiteTask], str], seed: int) -> list[list[SuiteTask]]:
    """The tasks by `key`, groups in random order and members in the order given."""
    found: dict[str, list[SuiteTask]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return [found[name] for name in sorted(found, key=lambda name: _place(seed, name))]


def _in_turn(groups: Iterable[Sequence[SuiteTask]]) -> list[SuiteTask]:
    """The first of each group, then the second of each, and so on."""
    return [task for row in zip_longest(*groups) for task in row if task is not None]
