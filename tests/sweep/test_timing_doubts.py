"""Times of the form that results of aloha and LIBERO hold."""

import doctest
from pathlib import Path

import pytest

from toyflow.sweep import timing_doubts as module
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation, StoredTraining
from toyflow.sweep.timing_doubts import doubts_in_words, timing_doubts

IDLE = {"others": 0.1, "threads": 1, "processors": 2}
BUSY = {"others": 1.9, "threads": 1, "processors": 2}


def stored(steps: int, seed: int = 0, draws: int = 1, environment=None, **details) -> StoredEvaluation:
    training = StoredTraining(
        Path(), TrainingRecord("robot", {}, "flow", "beta", None, seed, {}), {}, {"seconds": 1}
    )
    details = {"model_calls": steps, "decode_seconds": float(steps), **details}
    return StoredEvaluation(
        Path(), training, EvaluationRecord("euler", steps, draws=draws), details, environment or {}
    )


def times(plan: float, condition: float = 2.0, step: float = 3.0, spread: float = 1.2) -> dict:
    condition_, step_, plan_ = ({"p50": p50, "p95": spread * p50} for p50 in (condition, step, plan))
    return {"condition": condition_, "step": step_, "plan": {"of any name": plan_}}


def test_the_example_of_the_docstring_is_true():
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def test_times_that_fit_are_not_doubted():
    every = [stored(1, latency_ms=times(5)), stored(10, latency_ms=times(32), load=IDLE)]
    assert timing_doubts(every) == ["", ""]
    assert timing_doubts([stored(1), stored(10)]) == ["", ""] and doubts_in_words(["", ""]) == ""


@pytest.mark.parametrize(
    ("every", "words"),
    [
        ([stored(1, load=BUSY)], "timed on a busy machine: other processes kept 1.9 of 2 processors busy"),
        ([stored(1, latency_ms=times(5, spread=2.1))], "repeats of the same call differ widely"),
        ([stored(1, latency_ms=times(18.6))], "plans do not take the time of their parts"),
        ([stored(10, latency_ms=times(20))], "plans do not take the time of their parts"),
        (
            [stored(1, latency_ms=times(1246, 600, 650)), stored(10, latency_ms=times(265, 310, 1))],
            "K=10 takes less time than K=1",
        ),
        (
            [stored(1, latency_ms=times(8.7, 5.5, 3)), stored(10, latency_ms=times(222, 32.7, 19))],
            "the same call takes other times for other K",
        ),
        ([stored(10, decode_seconds=2.0), stored(1, decode_seconds=3.0)], "K=10 takes less time than K=1"),
    ],
)
def test_busy_and_contradictory_times_are_doubted_at_all_that_contradict(every, words):
    doubts = timing_doubts(every)
    assert all(words in doubt for doubt in doubts)
    assert words in doubts_in_words(doubts) and doubts_in_words(doubts).startswith("* ")


def test_only_decodings_of_one_model_on_one_machine_are_held_against_each_other():
    one = stored(1, decode_seconds=3.0)
    for other in (
        stored(10, seed=1, decode_seconds=2.0),
        stored(10, draws=2, decode_seconds=2.0),
        stored(10, environment={"threads": 8}, decode_seconds=2.0),
    ):
        assert timing_doubts([one, other]) == ["", ""]


def test_a_footnote_names_each_kind_once():
    doubts = [f"machine not known to be idle: reason {n}" for n in range(5)]
    assert doubts_in_words(["timed on a busy machine: x", *doubts, doubts[0]]) == (
        "* timed on a busy machine: x; machine not known to be idle: reason 0, reason 1, reason 2, 2 more."
    )
