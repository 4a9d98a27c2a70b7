import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import parsed, texts

from toyflow.errors import UsageError
from toyflow.robot.handover import (
    DELAYS,
    Blend,
    Ensemble,
    Handover,
    RealTimeChunking,
    blend,
    parse_handover,
)


def ramp(start: float, length: int = 5) -> np.ndarray:
    return (start + np.arange(length, dtype=np.float32))[:, None]


def said(handover: Handover, step: int) -> np.ndarray:
    action = handover.action(step)
    assert action is not None
    return action


def test_switching_takes_the_newest_chunk_and_drops_what_has_passed():
    switch = Blend(0)
    assert switch.action(0) is None
    assert switch.add(ramp(0), 0, 0) == 0
    assert [switch.action(step) for step in (0, 1)] == [[0], [1]]
    assert switch.add(ramp(100), 2, 4) == 2
    assert [switch.action(step) for step in (4, 6)] == [[102], [104]]
    assert switch.action(7) is None


def test_a_chunk_whose_steps_have_all_passed_changes_nothing():
    for handover in (Blend(0), Blend(2), Ensemble()):
        handover.add(ramp(0, 9), 0, 0)
        assert handover.add(ramp(100), 0, 7) == 5
        assert handover.action(7) == [7]


def test_blending_by_the_formula():
    old, new = ramp(0), ramp(10)
    np.testing.assert_allclose(blend(old, new, 3)[:, 0], [2.5, 6, 9.5, 13, 14])
    np.testing.assert_array_equal(blend(old, new, 0), new)
    np.testing.assert_array_equal(blend(old[:0], new, 3), new)
    np.testing.assert_allclose(blend(old[:1], new, 1)[:, 0], [5, 11, 12, 13, 14])  # old stays at its end


@given(st.integers(1, 4), st.integers(0, 4), st.floats(-1, 1))
def test_a_blend_never_jumps_by_more_than_its_share(over, late, far):
    handover = Blend(over)
    handover.add(np.zeros((10, 1)), 0, 0)
    handover.add(np.full((10, 1), far), 2, 2 + late)
    actions = np.concatenate([[0.0], *(said(handover, step) for step in range(2 + late, 10))])
    assert np.abs(np.diff(actions)).max() <= abs(far) / (over + 1) + 1e-9


def test_a_plan_that_is_over_is_not_blended_with():
    for now in (5, 8):
        handover = Blend(3)
        handover.add(ramp(0), 0, 0)
        handover.add(ramp(100), now, now)
        assert [float(said(handover, now + step)[0]) for step in range(5)] == [100, 101, 102, 103, 104]


def test_a_blend_during_a_blend_goes_on_from_what_was_being_done():
    handover = Blend(1)
    for start, value in ((0, 0.0), (2, 8.0), (3, 8.0)):
        handover.add(np.full((6, 1), value), start, start)
    assert [float(said(handover, step)[0]) for step in (3, 4)] == [8, 8]


def test_the_ensemble_is_the_weighted_mean_of_all_that_cover_a_step():
    ensemble = Ensemble(decay=0.5)
    for start in (0, 1, 2):
        ensemble.add(np.full((3, 1), float(start)), start, start)
    weight = np.exp([0, -0.5, -1])
    np.testing.assert_allclose(said(ensemble, 2), [weight @ [0, 1, 2] / weight.sum()])
    np.testing.assert_allclose(said(ensemble, 4), [2])
    assert ensemble.action(5) is None


def test_clearing_forgets():
    for handover in (Blend(3), Ensemble()):
        handover.add(ramp(50), 0, 0)
        handover.clear()
        assert handover.action(0) is None
        handover.add(ramp(0), 0, 0)
        assert handover.action(0) == [0]


def test_names():
    for text, kind in (
        ("switch", Blend),
        ("blend", Blend),
        ("blend:5", Blend),
        ("ensemble:0.1", Ensemble),
        ("rtc", RealTimeChunking),
    ):
        assert isinstance(parse_handover(text), kind)
    five = parse_handover("blend:5")
    assert isinstance(five, Blend) and five.over == 5
    for text in ("blend:0", "blend:1.5", "switch:1", "rtc:1", "ensemble:-1", "ensemble:x"):
        with pytest.raises(UsageError, match="--handover takes switch, blend:STEPS"):
            parse_handover(text)
    with pytest.raises(UsageError, match="Did you mean 'blend'"):
        parse_handover("blnd")


@given(st.sampled_from(["switch", "blend", "ensemble", "rtc"]), texts("0123456789.-+einf"))
def test_whatever_a_handover_is_called_it_works_or_is_refused(name, argument):
    handover = parsed(lambda: parse_handover(f"{name}:{argument}"))
    if handover is not None:
        for start in (0, 3):
            handover.add(ramp(start), start, start)
        assert np.isfinite(said(handover, 4)).all()


def test_real_time_chunking_says_what_is_left_and_how_much_will_be_sent_before_the_next_plan():
    chunking = RealTimeChunking()
    assert chunking.committed(0) is None and chunking.continues and not Blend(3).continues
    assert chunking.add(ramp(0, 8), 0, 2) == 2  # the first plan took 2 steps
    told = chunking.committed(3)
    assert told is not None and told.actions.dtype == np.float32
    assert (told.actions[:, 0].tolist(), told.frozen) == ([3, 4, 5, 6, 7], 2)
    chunking.add(ramp(100, 8), 3, 7)
    told = chunking.committed(8)
    assert told is not None and (told.actions[:, 0].tolist(), told.frozen) == ([105, 106, 107], 3)
    assert chunking.committed(11) is None  # nothing is left
    assert [float(said(chunking, step)[0]) for step in (7, 10)] == [104, 107]


def test_a_slow_plan_is_forgotten_after_a_while():
    chunking = RealTimeChunking()
    start = 0
    for plan in range(DELAYS + 2):
        start = 20 * plan
        chunking.add(ramp(0, 20), start, start + (9 if plan == 0 else 1))
    told = chunking.committed(start + 2)
    assert told is not None and told.frozen == 1


def test_other_handovers_leave_plans_free():
    for handover in (Blend(0), Blend(2), Ensemble()):
        handover.add(ramp(0), 0, 0)
        assert handover.committed(1) is None
