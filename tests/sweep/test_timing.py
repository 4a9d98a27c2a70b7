"""Trials end when their time is over, whatever happens in them."""

import itertools
import signal

import pytest
from runners import TrialRunner

from toyflow.errors import ToyflowError
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.runner import Estimate, Seconds
from toyflow.sweep.timing import estimates, iteration_seconds

CELL = Cell(TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {}), (), "beta")
FIRST, SECOND = (Estimate(Seconds(low, 9), Seconds(0, 1)) for low in (1, 2))


def test_the_last_estimate_counts():
    assert estimates([CELL, CELL], TrialRunner(FIRST, SECOND), total=1000, each=1000) == [SECOND, SECOND]


@pytest.mark.parametrize(("given", "known"), [((FIRST,), FIRST), ((), None)])
def test_a_trial_that_hangs_deaf_to_signals_is_ended(given, known):
    assert estimates([CELL], TrialRunner(*given, then="hang"), each=2.0, total=1000) == [known]


def test_a_signal_ends_a_trial_that_hangs():
    class Interrupted(Exception):
        pass

    def stop(number, frame):
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Interrupted):
            estimates([CELL], TrialRunner(then="interrupt"), each=1000, total=1000)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_without_time_nothing_is_tried():
    assert estimates([CELL] * 50, TrialRunner(FIRST, then="hang"), total=0.0) == [None] * 50


@pytest.mark.parametrize(
    ("then", "words"),
    [("refuse", "^name the demonstrations$"), ("raise", r"a trial of beta seed 0 failed: ValueError: of an")],
)
def test_what_fails_in_a_trial_is_said(then, words):
    with pytest.raises(ToyflowError, match=words):
        estimates([CELL], TrialRunner(then=then), total=1000)


def test_iterations_are_timed_from_small_batches_to_whole_ones():
    sizes: list[int] = []

    def run(size):
        sizes.append(size)
        return range(3) if size == 5000 else itertools.count()

    times = list(iteration_seconds(run, 5000))
    assert sizes == [78, 312, 1250, 5000]
    assert len(times) == 3 * 2 + 3
    assert times[1].high == pytest.approx(times[1].low * 5000 / 78)
    sizes.clear()
    assert all(
        seconds.low <= seconds.high for seconds in iteration_seconds(lambda size: run(size) and [0], 1)
    )
    assert sizes == [1]
