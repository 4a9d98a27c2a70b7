import pytest

from toyflow.errors import UsageError
from toyflow.robot.trials import Trials

OPTIONS = {
    "environment": "points", "suite": "points", "tasks": "all", "states": "3", "replan": "horizon",
    "rendering": "fast",
}  # fmt: skip


def checked(horizon: int = 10, **changes: str) -> Trials:
    return Trials.checked({**OPTIONS, **changes}, horizon)


def test_a_name_and_back():
    trials = checked(tasks="0+2", states="0-1+4", replan="5")
    assert str(trials) == (
        "environment=points suite=points tasks=0+2 states=0-1+4 replan=5 rendering=fast assets=own"
    )
    assert Trials.parse(str(trials)) == trials


def test_what_is_left_open():
    trials = checked()
    assert (trials.tasks, trials.states, trials.replan) == ((0, 1, 2), (0, 1, 2), 10)
    assert str(checked(tasks="2+0+1", states="0-2")) == str(trials), "one name for one thing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment": "point"}, "unknown environment 'point'. Did you mean 'points'"),
        ({"suite": "libero"}, "unknown suite 'libero'"),
        ({"tasks": "3"}, "has no task 3; it has 0 to 2"),
        ({"tasks": "x"}, "tasks must be whole numbers"),
        ({"states": "9"}, "a task has 5, 0 to 4"),
        ({"states": "4-5"}, "a task has 5, 0 to 4"),
        ({"states": "0"}, "a task has 5, 0 to 4"),
        ({"replan": "0"}, "replan must be 1 to the horizon, 10"),
        ({"replan": "11"}, "replan must be 1 to the horizon, 10"),
        ({"replan": "often"}, "replan must be a whole number"),
    ],
)
def test_what_does_not_exist_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        checked(**change)
