import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from robot.runtime.robots.fakes import FakeRobot

from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.safety import Gate, SafetyStop

RATE = 10.0
LOWER, UPPER, STEP = np.array([-1.0, -2]), np.array([1.0, 2]), np.array([0.5, np.inf])
LIMITS = Limits(
    lower=LOWER, upper=UPPER, step=STEP,
    velocity=np.array([10.0, np.inf]), jerk=np.array([2000.0, np.inf]),
)  # fmt: skip


def gate(robot=None, limits=LIMITS, told=None, **options) -> Gate:
    told = [] if told is None else told
    made = Gate(
        robot or FakeRobot(), limits.completed(RATE), Patience(), RATE,
        on_intervention=lambda kind, detail: told.append((kind, detail)), **options,
    )  # fmt: skip
    made.begin(np.zeros(2), 0.0)
    return made


def act(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def test_a_stop_blames_a_refused_chunk_only_while_it_is_what_is_missing():
    hasty = np.array([[0, 0], [9, 0], [0, 0]], np.float32)
    for chunks, blamed in (
        ([hasty], "refused: velocity of elbow 90, limit 10; --limits"),
        ([hasty, hasty * 0], ""),
    ):
        made = gate(names=("elbow", "wrist"))
        assert [made.check_chunk(chunk) for chunk in chunks] == [False, True][: len(chunks)]
        with pytest.raises(SafetyStop) as stopped:
            made.no_action(3.0)
        assert ("The last chunk" in str(stopped.value)) == bool(blamed) and blamed in str(stopped.value)
    made = gate()
    assert not made.check_chunk(hasty * np.nan)
    with pytest.raises(SafetyStop, match=r"refused: it has shape \(3, 2\), and 6 numbers that are not"):
        made.no_action(3.0)


def test_an_action_within_all_limits_is_sent_as_it_is():
    robot = FakeRobot()
    sent = gate(robot).send(act(0.3, 1.5), 0.0)
    assert sent.changes == () and sent.action is not None
    np.testing.assert_array_equal(robot.sent, [act(0.3, 1.5)])


@pytest.mark.parametrize(
    ("asked", "sent", "changes"),
    [
        ((0.2, 3.0), (0.2, 2.0), ("bounds",)),
        ((0.9, 0.0), (0.5, 0.0), ("change",)),
        ((-7.0, -7.0), (-0.5, -2.0), ("bounds", "change")),
    ],
)
def test_an_action_is_brought_within_bounds_and_then_near_the_last(asked, sent, changes):
    robot = FakeRobot()
    found = gate(robot).send(act(*asked), 0.0)
    assert found.changes == changes
    np.testing.assert_allclose(robot.sent, [sent], rtol=1e-6)


def test_change_is_measured_from_what_was_sent_not_from_what_was_asked():
    robot, made = FakeRobot(), None
    made = gate(robot)
    for now in range(3):
        made.send(act(1.0, 0.0), now / RATE)
    np.testing.assert_allclose([action[0] for action in robot.sent], [0.5, 1.0, 1.0])
    assert made.counts == {"change": 1} and made.checked == 3


def test_where_it_is_unknown_the_first_action_is_bounded_only():
    made = gate()
    made.begin(np.array([np.nan, 0.0]), 0.0)
    assert made.send(act(0.9, 0.0), 0.0).changes == ()
    made.begin(None, 0.0)
    assert made.send(act(-0.9, 0.0), 0.0).changes == ()


@given(arrays(np.float32, (6, 2), elements=st.floats(width=32)))
def test_whatever_is_asked_what_is_sent_is_finite_within_bounds_and_near_the_last(asked):
    robot = FakeRobot()
    made = gate(robot)
    for now, action in enumerate(asked):
        made.send(action, now / RATE)
    sent = np.array([np.zeros(2), *robot.sent])
    assert np.isfinite(sent).all()
    assert (sent >= LOWER).all() and (sent <= UPPER).all()
    assert (np.abs(np.diff(sent, axis=0)) <= STEP + 1e-9).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_finite_is_not_sent(number):
    robot = FakeRobot()
    made = gate(robot)
    assert made.send(act(0.1, number), 0.0) == (None, ("not-finite",))
    assert made.send(act(0.1), 0.0) == (None, ("shape",))
    assert robot.sent == [] and made.counts["not-finite"] == 1


def chunk(*first: float) -> np.ndarray:
    return np.stack([np.array(first), np.zeros(len(first))], 1).astype(np.float32)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (chunk(0, 0.4, 0.8, 1.0, 1.0), None),
        (chunk(0, 0.1, np.nan, 0.3), "not-finite"),
        (chunk(0, 0.1, np.inf, 0.3), "not-finite"),
        (np.zeros((4, 3), np.float32), "shape"),
        (np.zeros((0, 2), np.float32), "shape"),
        (chunk(0, 0, 1.1, 1.1, 1.1), "velocity"),
        (chunk(0, 0.6, 0, 0.6, 0), "jerk"),
        (chunk(0.5), None),
    ],
)
def test_a_chunk_is_admitted_or_refused_whole(asked, kind):
    told: list[tuple[str, str]] = []
    assert gate(told=told).check_chunk(asked) == (kind is None)
    assert [what for what, _ in told] == ([] if kind is None else [kind])


def test_velocity_and_jerk_are_per_second():
    """A ramp of v dt per step has velocity v and no jerk; a t^3 / 6 has jerk a."""
    t = np.arange(8) / RATE
    ramp, cubic = np.stack([10.0 * t, 0 * t], 1), np.stack([2000.0 * t**3 / 6, 0 * t], 1)
    fast = Limits(LIMITS.lower, LIMITS.upper, velocity=np.array([1e9, 1e9]), jerk=np.array([2000.0, np.inf]))
    assert gate().check_chunk(ramp) and not gate().check_chunk(1.01 * ramp)
    assert gate(limits=fast).check_chunk(cubic) and not gate(limits=fast).check_chunk(1.01 * cubic)


def test_without_a_fresh_action_it_holds_and_then_stops():
    robot, told = FakeRobot(), []
    made = gate(robot, told=told)
    made.send(act(0, 0), 1.0)
    made.no_action(1.05)
    assert robot.did == ["send"]
    made.no_action(1.11)
    made.no_action(1.20)
    assert robot.did == ["send", "hold", "hold"] and [kind for kind, _ in told] == ["hold"]
    made.send(act(0, 0), 1.3)  # fresh again
    made.no_action(3.2)
    with pytest.raises(SafetyStop, match="no fresh action for 2100 ms"):
        made.no_action(3.4)
    assert [kind for kind, _ in told] == ["hold", "hold", "stop"]


def test_actions_that_cannot_be_sent_are_not_fresh():
    made = gate()
    made.send(act(0, 0), 0.0)
    with pytest.raises(SafetyStop):
        for step in range(100):
            made.send(act(np.nan, 0), step / RATE)


def test_an_observation_that_freezes_is_not_believed():
    told: list[tuple[str, str]] = []
    made = gate(told=told)
    assert all(made.is_fresh({"front": "same", "wrist": str(t)}, t) for t in (0.0, 0.3, 0.5))
    assert not made.is_fresh({"front": "same", "wrist": "new"}, 0.6)
    assert made.is_fresh({"front": "other", "wrist": "new"}, 0.7)
    assert told == [("stale", "front has not changed for 600 ms")]


@pytest.mark.parametrize(
    ("moves", "asked", "fresh"),
    [(True, 0.3, False), (True, 0.0, True), (False, 0.3, True)],
    ids=["told to move", "told to rest", "a dry run"],
)
def test_a_state_that_stays_the_same_is_stale_only_where_the_robot_was_told_to_move(moves, asked, fresh):
    told: list[tuple[str, str]] = []
    made = gate(told=told, moves=moves)
    assert made.is_fresh({"state": "same"}, 0.0)
    made.send(act(0, 0), 0.1)
    assert made.is_fresh({"state": "same"}, 0.9)  # it rests, as it should
    made.send(act(asked, 0), 1.0)
    assert made.is_fresh({"state": "same"}, 1.4)
    made.send(act(asked, 0), 1.5)
    assert made.is_fresh({"state": "same"}, 2.0) == fresh
    assert told == ([] if fresh else [("stale", "state has not changed for 1100 ms")])
    assert made.is_fresh({"state": "other"}, 2.1) and made.is_fresh({"state": "other"}, 2.9)


def test_after_a_hold_a_change_is_measured_from_what_holding_sent(monkeypatch):
    robot = FakeRobot()
    made = gate(robot)
    made.send(act(0.5, 1.0), 0.0)
    monkeypatch.setattr(robot, "hold", lambda: np.array([-0.4, np.nan]))
    made.no_action(1.0)
    assert made.send(act(0.5, 1.0), 1.1).changes == ("change",)
    np.testing.assert_allclose(robot.sent[-1], [0.1, 1.0])


def test_a_velocity_holds_for_what_is_sent():
    robot, slow = FakeRobot(), Limits(LOWER, UPPER, velocity=np.array([0.5, 0.5]))
    made = gate(robot, slow)
    for now, asked in enumerate((0.9, 0.9, -0.9)):  # as across a hand-over, or in a replay
        made.send(act(asked, asked), now / RATE)
    np.testing.assert_allclose([action[0] for action in robot.sent], [0.05, 0.1, 0.05])


def test_a_dry_run_checks_and_moves_nothing():
    robot = FakeRobot()
    made = gate(robot, moves=False)
    assert made.send(act(5, 0), 0.0).changes == ("bounds", "change")
    made.no_action(1.0)
    made.stop()
    assert robot.did == []


def test_stop_holds_first_and_stops_though_holding_fails(monkeypatch):
    robot = FakeRobot()
    made = gate(robot)
    made.stop()
    assert robot.did == ["hold", "stop"]
    monkeypatch.setattr(robot, "hold", lambda: 1 / 0)
    made.stop()
    assert robot.did == ["hold", "stop", "stop"]
