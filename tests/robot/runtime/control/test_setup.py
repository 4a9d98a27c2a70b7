"""What is chosen before a robot moves."""

from dataclasses import replace
from pathlib import Path

import pytest
from robot.points import StraightPlanner
from robot.runtime.robots.fakes import FakeRobot

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.control.planning import SteppedPlanning, ThreadedPlanning
from toyflow.robot.runtime.control.setup import (
    check_latency,
    check_same_action,
    check_start,
    choose_rate,
    choose_replan,
    final_limits,
    policy_limits,
    policy_warnings,
    recorded_robot,
    replay_limits,
    replay_settings,
    replay_warnings,
    start_planning,
)

POLICY = Interface(("front",), state_dim=4, action_dim=2, fps=100)
SPREAD = {"normalisation": {"action": {"centre": [0.0, 0.0], "scale": [0.1, 0.1]}}}


def real() -> FakeRobot:
    return FakeRobot(stepped=False)


def recording(**header) -> Recording:
    """Of a dry run of the fake robot at 50 Hz."""
    settings = {"options": {"trace": "did"}, "cameras": {}, "states": [0, 1], "prompt": "go"}
    whole = {
        "kind": "run", "robot": "fake", "rate": 50.0, "dry_run": True, "interface": POLICY.as_dict(),
        "action_names": ["shoulder", "elbow"], "settings": settings,
        "limits": {"lower": [-0.5, None], "upper": [0.5, None], "step": [0.1, 0.1], "velocity": None},
    }  # fmt: skip
    return Recording(Path("a.jsonl"), [{**whole, **header}], None)


def test_the_rate_is_as_asked_or_the_robots_or_the_policys():
    robot = FakeRobot()
    assert choose_rate(robot, POLICY, None) == 100 and choose_rate(robot, POLICY, 7.0) == 7
    robot.interface = replace(robot.interface, fps=0)
    assert choose_rate(robot, replace(POLICY, fps=30), None) == 30
    with pytest.raises(UsageError, match="neither fake nor the policy says how many steps per second"):
        choose_rate(robot, replace(POLICY, fps=0), None)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(POLICY, fps=30), "runs at 100 steps per second, the policy was made for 30"),
        (replace(POLICY, action_dim=7), "has actions of 2 numbers, the policy was made for 7"),
        (replace(POLICY, cameras=("wrist",)), "has no camera wrist"),
    ],
)
def test_a_robot_that_does_not_fit_is_refused(policy, said):
    with pytest.raises(UsageError, match=said):
        choose_rate(FakeRobot(), policy, None)


def test_it_plans_as_often_as_the_policy_says():
    planner = StraightPlanner()
    planner.replan = 2
    assert [choose_replan(FakeRobot(), planner, None, "blend", latency) for latency in (0, 4)] == [2, 1]
    assert choose_replan(real(), planner, None, "ensemble:0.1", 0) == 1
    planner.replan = planner.horizon = 10
    assert [choose_replan(robot, planner, None, "blend", 0) for robot in (FakeRobot(), real())] == [10, 5]
    assert choose_replan(real(), planner, 9, "ensemble", 0) == 9
    with pytest.raises(UsageError, match="--replan must be 1 to the horizon, 10, not 11"):
        choose_replan(real(), planner, 11, "blend", 0)


def test_real_time_chunking_plans_while_something_is_left_of_a_chunk():
    planner = StraightPlanner()
    planner.replan = planner.horizon = 10
    assert [choose_replan(FakeRobot(), planner, None, "rtc", latency) for latency in (0, 2, 7)] == [5, 5, 3]
    assert choose_replan(FakeRobot(), planner, 9, "rtc", 2) == 9
    for robot in (FakeRobot(), real()):
        assert choose_replan(robot, planner, 10, "switch", 0) == 10
        with pytest.raises(
            UsageError, match="--handover rtc continues what is left of a chunk of 10 actions"
        ):
            choose_replan(robot, planner, 10, "rtc", 0)
    planner.replan = 2
    assert choose_replan(FakeRobot(), planner, None, "rtc", 0) == 2


def test_latency_in_steps_is_for_simulators():
    check_latency(FakeRobot(), 2)
    check_latency(real(), 0)
    with pytest.raises(UsageError, match="--latency-steps is for simulators; fake has a clock of its own"):
        check_latency(real(), 2)


def test_a_real_robot_is_planned_for_in_a_thread_by_a_policy_that_is_warm():
    planner = StraightPlanner()
    assert isinstance(start_planning(FakeRobot(), planner, 1), SteppedPlanning) and not planner.batches
    planning = start_planning(real(), planner, 0)
    planning.close()
    assert isinstance(planning, ThreadedPlanning) and planner.batches == [1, 1, 1]


def test_a_real_robot_has_the_narrower_limits_and_a_simulator_its_own():
    limits = [policy_limits(robot, SPREAD, 0, 100).as_dict() for robot in (real(), FakeRobot())]
    assert [each["upper"] for each in limits] == [pytest.approx([0.5, 0.5]), [1, 1]]
    assert limits[0]["step"] == pytest.approx([0.4, 0.4])
    slower = policy_limits(real(), SPREAD, trained_at=50, rate=100)
    assert slower.as_dict()["step"] == pytest.approx([0.2, 0.2])


def test_a_replay_keeps_to_the_logs_limits_too():
    limits = replay_limits(real(), recording(), 100.0).as_dict()
    assert limits["lower"] == [-0.5, -1] and limits["upper"] == [0.5, 1]
    assert limits["step"] == [0.05, 0.05] and limits["velocity"] is None


def test_a_file_comes_first_and_what_is_missing_is_derived(tmp_path):
    file = tmp_path / "limits.toml"
    file.write_text("upper = {elbow = 0.2, default = 0.9}\nstop_after = 900\n")
    limits, patience = final_limits(real(), real().limits, file, 100.0)
    assert limits.as_dict()["upper"] == [0.9, 0.2] and limits.as_dict()["velocity"] == [100, 100]
    assert patience == Patience(stop_after=900)
    with pytest.raises(UsageError, match="--limits FILE"):
        final_limits(real(), Limits(), None, 100.0)


def test_a_simulator_is_never_stale():
    assert final_limits(FakeRobot(), FakeRobot().limits, None, 100.0)[1] == Patience(
        hold_after=0, stale_after=float("inf")
    )


def test_what_a_user_should_know_of_a_policy(tmp_path):
    details = {**SPREAD, "policy": {"language": True}, "prompts": ["a", "b", "c", "d"]}
    prompt, guess = policy_warnings(real(), details, "", None)
    assert prompt == "The policy reads a prompt; name one with --prompt, such as 'a', 'b', 'c'."
    assert "a guess from the actions' mean and standard deviation" in guess
    assert policy_warnings(real(), details, "go", tmp_path) == []
    assert policy_warnings(real(), {**details, "motion": {}}, "go", None) == []
    assert policy_warnings(FakeRobot(), details, "", None) == []


def test_what_a_user_should_know_of_a_log():
    assert replay_warnings(recording(dry_run=False)) == []
    dry, damaged = recording(), recording(dry_run=False)._replace(damage="line 3 is cut short")
    assert "of a dry run" in replay_warnings(dry)[0]
    assert replay_warnings(damaged) == ["The log is damaged: line 3 is cut short."]


def test_a_replay_inherits_the_recorded_settings_and_only_the_same_robot_its_options():
    same = replay_settings(recording(), "fake", {"options": {}, "prompt": "stop"})
    assert same == {"options": {"trace": "did"}, "cameras": {}, "states": (0, 1), "prompt": "stop"}
    other = replay_settings(recording(), "idle", {"states": (3,)})
    assert other == {"states": (3,), "prompt": "go"}
    settings = recorded_robot(recording(), other)
    assert settings.policy == POLICY and settings.action_names == ("shoulder", "elbow")


def test_a_replay_needs_the_same_joints():
    check_same_action(FakeRobot(), recording())
    with pytest.raises(
        UsageError,
        match=r"fake takes actions of 2 dimensions \(shoulder, elbow\); .* on fake with 3 \(0, 1, 2\)\.",
    ):
        check_same_action(FakeRobot(), recording(action_names=["0", "1", "2"]))


def test_dimensions_without_names_have_their_indices():
    robot = FakeRobot()
    robot.action_names = ()
    assert robot.dimensions == ("0", "1")


def test_a_policy_that_cannot_go_on_from_what_is_committed_is_refused_before_anything_moves():
    with pytest.raises(UsageError, match="--handover rtc is for toyflow policies with objective flow"):
        start_planning(FakeRobot(), StraightPlanner(), 1, continues=True)


def test_a_policy_for_rtc_is_warmed_by_plans_of_that_kind(monkeypatch):
    planner, told = StraightPlanner(), []
    monkeypatch.setattr(planner, "check_continues", lambda: None)
    monkeypatch.setattr(planner, "continue_plan", lambda seen, seeds, committed: told.append(committed[0]))
    start_planning(real(), planner, 0, continues=True).close()
    assert [(each.actions.shape, each.frozen) for each in told] == [((2, 2), 1)] * 3


def test_a_start_outside_of_the_user_s_own_limits_is_refused(tmp_path):
    file = tmp_path / "narrow.toml"
    file.write_text("lower = -0.1\nupper = 0.1\n")
    robot = real()
    limits, _ = final_limits(robot, robot.limits, file, 10)
    check_start(robot, (0.1, -0.1), limits)
    check_start(robot, None, limits)
    check_start(robot, (9.0, 9.0), Limits())
    name = robot.dimensions[1]
    with pytest.raises(UsageError, match=f"^--start-at: {name} goes from -0.1 to 0.1 on fake, not to 0.5"):
        check_start(robot, (0.0, 0.5), limits)
