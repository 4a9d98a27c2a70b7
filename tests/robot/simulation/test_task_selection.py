from collections import Counter
from dataclasses import replace

import pytest
from robot.points import Points

from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.task_selection import sample_tasks, select_tasks


def selected(**choice):
    able, missing = select_tasks(Points, "varied", **choice)
    return [task.index for task in able], [task.index for task in missing]


def test_what_cannot_run_is_told_apart():
    assert selected() == ([0, 1, 2, 4, 5, 6, 8, 9, 10], [3, 7, 11])
    assert selected(tasks=[3, 4]) == ([4], [3])


def test_perturbations_and_levels_choose_together():
    assert selected(perturb="moved+dark") == ([0, 1, 4, 5, 8, 9], [3, 7, 11])
    assert selected(perturb="moved, renamed", levels="1") == ([0, 2, 4, 6, 8, 10], [])
    assert selected(levels="1-2", sample=9) == ([0, 1, 2, 4, 5, 6, 8, 9, 10], [3, 7, 11])


def test_what_has_no_level_is_counted_where_levels_are_asked_for():
    able, missing = select_tasks(Points, "varied", levels="2")
    assert [task.index for task in able] == [1, 5, 9]
    assert [(task.index, task.missing) for task in missing] == [(n, "has no level") for n in (3, 7, 11)]
    assert selected(perturb="moved", levels="2") == ([1, 5, 9], [])


def test_a_sample_does_not_hide_what_is_missing():
    able, missing = selected(sample=2)
    assert len(able) == 2 and missing == [3, 7, 11]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"perturb": "move"}, "unknown perturbation of varied 'move'. Did you mean 'moved'"),
        ({"levels": "3"}, "varied has no level 3; it has 1, 2"),
        ({"levels": "hard"}, "levels must be whole numbers"),
        (
            {"perturb": "dark"},
            "none of the 3 tasks asked for of varied can run here: a lamp is missing; buy one",
        ),
        ({"sample": 10}, "10 tasks are asked for, and there are 9"),
        ({"tasks": [12]}, "varied has no task 12"),
    ],
)
def test_what_does_not_exist_is_one_line(choice, words):
    with pytest.raises(UsageError, match=words) as caught:
        selected(**choice)
    assert "\n" not in str(caught.value)


def test_a_suite_without_perturbations_says_so():
    with pytest.raises(UsageError, match="points has no perturbations"):
        select_tasks(Points, "points", perturb="moved")
    with pytest.raises(UsageError, match="points are not graded"):
        select_tasks(Points, "points", levels="1")


def many() -> list[SuiteTask]:
    """600 tasks: of one perturbation 20 times as many as of another, unevenly over levels and suites."""
    tasks = []
    for kind, count in (("many", 400), ("some", 180), ("few", 20)):
        for number in range(count):
            level, base = 1 + (number % 7 > 4), ("a" if number % 3 else "b", f"t{number}")
            tasks.append(SuiteTask(len(tasks), f"{kind}-{number}", "", 1, 9, kind, level, base))
    return tasks


def test_a_sample_is_even_over_perturbations_and_suites():
    sample = sample_tasks(many(), 90, seed=3)
    kinds = Counter(task.perturbation for task in sample)
    assert kinds == {"many": 35, "some": 35, "few": 20}
    strata = Counter(task.base and task.base[0] for task in sample if task.perturbation == "many")
    assert len(strata) == 2 and max(strata.values()) - min(strata.values()) <= 1
    assert [task.index for task in sample] == sorted({task.index for task in sample})


def test_a_sample_depends_on_its_seed_alone_and_grows():
    small, large = (sample_tasks(many(), count, seed=1) for count in (50, 200))
    assert set(small) < set(large)
    assert small == sample_tasks(many(), 50, seed=1) != sample_tasks(many(), 50, seed=2)


def names(tasks: list[SuiteTask], count: int, seed: int = 0, kind: str = "") -> set[str]:
    drawn = sample_tasks(tasks, count, seed)
    return {task.name for task in drawn if kind in ("", task.perturbation)}


def test_a_sample_is_the_same_whether_levels_are_known_or_not_and_in_any_order():
    ungraded = [replace(task, level=None) for task in many()]
    renumbered = [replace(task, index=600 - task.index) for task in reversed(many())]
    assert names(many(), 60) == names(ungraded, 60) == names(renumbered, 60)
    known = {"few-2", "few-3", "many-1", "many-342", "some-104", "some-45"}
    assert names(many(), 6, seed=1) == known, "of this seed, on every machine"


def test_what_cannot_run_does_not_change_what_is_drawn_of_the_others():
    whole, without = many(), [task for task in many() if task.perturbation != "few"]
    for kind in ("many", "some"):
        assert names(whole, 30, kind=kind) == names(without, 20, kind=kind)
    half = [task for task in whole if task.perturbation != "many" or task.index % 2]
    drawn = names(whole, 90, kind="many")
    assert drawn & {task.name for task in half} <= names(half, 90, kind="many")


def test_perturbations_of_one_name_are_drawn_apart():
    """LIBERO-Pro calls a task as the one that it varies, in every perturbation."""
    tasks = [SuiteTask(n, f"t{n % 50}", "", 1, 9, ("swap", "lan")[n // 50]) for n in range(100)]
    assert names(tasks, 20, kind="swap") != names(tasks, 20, kind="lan")
