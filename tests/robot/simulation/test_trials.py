from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import parsed, texts
from robot.points import Points, varied_tasks

from toyflow.errors import UsageError
from toyflow.robot.simulation.evaluation import missing_tasks
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.robot.simulation.trials import DemoSource, Trials, trials_of

OPTIONS = {
    "environment": "points", "suite": "points", "tasks": "all", "states": "3", "replan": "horizon",
    "rendering": "fast",
}  # fmt: skip


def checked(horizon: int = 10, **changes: str) -> Trials:
    trials = trials_of(TrialOptions.parse({**OPTIONS, **changes}), None, horizon)
    assert trials is not None
    return trials


def test_a_name_and_back():
    trials = checked(tasks="0+2", states="0-1+4", replan="5")
    assert str(trials) == (
        "environment=points suite=points tasks=0+2 states=0-1+4 replan=5 rendering=fast assets=own"
    )
    assert Trials.parse(str(trials)) == trials


def test_the_data_say_where_their_policy_is_tried():
    made = DemoSource("points", "points", "1")
    assert str(trials_of(TrialOptions(states="5"), made, 10)).startswith(
        "environment=points suite=points tasks=1 "
    )
    assert trials_of(TrialOptions(suite="none"), made, 10) is None
    with pytest.raises(UsageError, match="unknown suite"):
        trials_of(TrialOptions(suite="libero_goal"), made, 10)


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
        ({"states": "9"}, "9 are asked for, and a task of points has 5, 0 to 4"),
        ({"states": "4-5"}, "4-5 is asked for, and a task of points has 5, 0 to 4"),
        ({"states": "0"}, "0 is none; a task of points has 5"),
        ({"replan": "0"}, "replan must be 1 to the horizon, 10"),
        ({"replan": "11"}, "replan must be 1 to the horizon, 10"),
        ({"replan": "often"}, "replan must be a whole number"),
    ],
)
def test_what_does_not_exist_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        checked(**change)


NUMBERS = st.lists(st.integers(0, 300), min_size=1, max_size=30, unique=True).map(lambda n: tuple(sorted(n)))


@given(NUMBERS, NUMBERS, st.integers(1, 100))
def test_any_tasks_and_states_survive_the_name(tasks, states, replan):
    trials = Trials("points", "points", tasks, states, replan, "fast", "own")
    assert Trials.parse(str(trials)) == trials


@given(texts("0123456789-+, all"), texts("0123456789-+, "), texts("0123456789horizon"))
def test_whatever_is_asked_it_is_trials_or_refused(tasks, states, replan):
    trials = parsed(lambda: checked(tasks=tasks, states=states, replan=replan))
    if trials is not None:
        assert set(trials.tasks) <= {0, 1, 2} and set(trials.states) <= set(range(5)) and trials.states
        assert 1 <= trials.replan <= 10


@pytest.mark.parametrize("text", ["²", "9" * 5000, "0-" + "9" * 5000, "9999999999"])
def test_odd_numbers_are_refused(text):
    for name in ("states", "tasks", "replan"):
        with pytest.raises(UsageError):
            checked(**{name: text})


def test_latency_and_handover_are_left_out_of_the_name_at_their_defaults():
    """So that the names of earlier results stay."""
    plain, late = checked(), checked(10, **{"latency-steps": "4", "handover": "rtc"})
    assert "latency" not in str(plain) and "handover" not in str(plain)
    assert str(late) == f"{str(plain).replace('replan=10', 'replan=5')} latency_steps=4 handover=rtc"
    assert Trials.parse(str(late)) == late
    assert checked(handover="ensemble").replan == 1
    ways = ("switch", "blend", "rtc")
    assert [checked(handover=way).replan for way in ways] == [10, 10, 5]
    assert [checked(10, handover=way, **{"latency-steps": "4"}).replan for way in ways] == [6, 6, 5]
    assert checked(handover="rtc", replan="9").replan == 9
    assert TrialOptions().record() == {**OPTIONS, **{n: TrialOptions().record()[n] for n in OPTIONS}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latency-steps": "10"}, "latency-steps must be below the horizon, 10, not 10"),
        ({"handover": "blnd"}, "unknown hand-over 'blnd'. Did you mean 'blend'"),
        ({"handover": "blend:0"}, "--handover takes switch, blend:STEPS"),
        (
            {"handover": "rtc", "replan": "10"},
            "a chunk of 10 actions, and a plan every 10 steps leaves none",
        ),
        (
            {"handover": "rtc", "latency-steps": "9"},
            "a plan every 10 steps leaves none: take --replan 5 or so",
        ),
    ],
)
def test_a_latency_or_handover_that_cannot_be_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        checked(**change)


VARIED = {"suite": "varied", "states": TrialOptions.states}


def test_a_choice_of_perturbations_is_a_choice_of_tasks():
    trials = checked(10, **VARIED, perturb="renamed")
    assert (trials.tasks, trials.missing) == ((2, 6, 10), "")
    assert str(trials) == str(checked(10, **VARIED, tasks="2+6+10")), "one name for one thing"
    assert trials.states == (0,), "the default where each task has one start"


def test_what_is_asked_for_is_never_fewer_without_a_word():
    """Only the default adapts to what a task has; 10 that were asked for were one without a word."""
    assert checked(states="at-most-3").states == (0, 1, 2)
    assert checked(states="at-most-10").states == (0, 1, 2, 3, 4)
    for asked, said in (
        ("10", "10 are asked for, and a task of varied has 1, number 0"),
        ("20", "20 are asked for"),
        ("1-2", "1-2 is asked for"),
        ("at-most-0", "at-most-0 is none; a task of varied has 1"),
    ):
        with pytest.raises(UsageError, match=said):
            checked(10, suite="varied", states=asked)


def test_what_a_scene_needs_beyond_the_simulators_files_is_in_the_name(monkeypatch):
    """So that results from a user's archive are not taken for others."""
    tasks = [replace(task, extra_assets="archive") if task.perturbation == "renamed" else task
             for task in varied_tasks()]  # fmt: skip
    monkeypatch.setattr(Points, "tasks", classmethod(lambda cls, suite: tasks))
    names = {kind: str(checked(10, **VARIED, perturb=kind)) for kind in ("moved", "renamed", "all")}
    assert "assets=own missing" not in names["moved"] and names["moved"].endswith(" assets=own")
    assert names["renamed"].endswith(" assets=own+archive")
    assert " assets=own+archive missing=" in names["all"]
    assert Trials.parse(names["all"]).assets == "own+archive"


def test_what_cannot_run_and_the_wording_are_in_the_name():
    trials = checked(10, **VARIED, prompts="official")
    assert str(trials).endswith(" assets=own prompts=official missing=dark:3")
    assert Trials.parse(str(trials)) == trials and trials.missing_counts == {"dark": 3}
    assert not checked().missing_counts


def test_what_has_no_level_is_in_the_name_apart_from_what_cannot_run():
    trials = checked(10, **VARIED, levels="1")
    assert (trials.tasks, trials.missing) == ((0, 2, 4, 6, 8, 10), "dark/no-level:3")
    assert Trials.parse(str(trials)) == trials and trials.missing_counts == {"dark": 3}
    assert missing_tasks(trials) == [{"perturbation": "dark", "tasks": 3, "why": "has no level"}]
    both = replace(trials, missing="dark:4+dark/no-level:3")
    why = "a lamp is missing; buy one; 3 of them: has no level"
    assert missing_tasks(both) == [{"perturbation": "dark", "tasks": 7, "why": why}]


@pytest.mark.parametrize(
    ("trained", "tasks"),
    [("0-2", (0, 1, 2, 4, 5, 6, 8, 9, 10)), ("1", (4, 5, 6)), ("0+2", (0, 1, 2, 8, 9, 10))],
)
def test_a_policy_is_tried_on_what_varies_its_own_tasks(trained, tasks):
    trials = trials_of(TrialOptions(suite="varied"), DemoSource("points", "points", trained), 10)
    assert trials is not None and trials.tasks == tasks
    elsewhere = trials_of(TrialOptions(suite="varied"), DemoSource("points", "slow", trained), 10)
    assert elsewhere is not None and len(elsewhere.tasks) == 9
