"""The rule on scores made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from toyflow.errors import ToyflowError
from toyflow.report.recommendation import (
    ChosenPair,
    Yardstick,
    choose,
    recommend_from,
    recommendation_sentences,
    regret_sentence,
)
from toyflow.report.recommendation import regret as regret_of
from toyflow.report.results import Results, load_results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

HEADLINE = Yardstick("exact_match", headline=True, share=True, lower_is_better=False)
DISTANCE = Yardstick("distance", headline=False, share=False, lower_is_better=True)


def results(scores: dict[tuple[str, int], list[float]], metric: str = "score") -> Results:
    rows = [
        {"label": schedule, "variant": "", "steps": steps, "seed": seed, metric: value}
        for (schedule, steps), values in scores.items()
        for seed, value in enumerate(values)
    ]
    return Results(pd.DataFrame(rows), [], "exact_match")


def chosen(scores: dict[tuple[str, int], list[float]], yardstick: Yardstick = HEADLINE) -> tuple[str, int]:
    metric = "score" if yardstick.headline else yardstick.metric
    choice = choose(yardstick.scores(results(scores, metric)), yardstick)
    return choice.schedule, choice.steps


def test_one_step_is_taken_where_it_costs_no_more_than_the_margin():
    scores = {
        ("uniform", 1): [0.80],
        ("uniform", 10): [0.895],
        ("shift:4", 1): [0.88],
        ("shift:4", 10): [0.7],
    }
    assert chosen(scores) == ("shift:4", 1)
    strict = replace(HEADLINE, margin=0.01)
    assert chosen(scores, strict) == ("uniform", 10)


def test_the_schedule_is_the_one_that_suits_the_chosen_steps():
    scores = {
        ("uniform", 1): [0.1], ("uniform", 2): [0.5], ("uniform", 10): [0.9],
        ("shift:8", 1): [0.6], ("shift:8", 2): [0.89], ("shift:8", 10): [0.4],
    }  # fmt: skip
    assert chosen(scores) == ("shift:8", 2)


def test_the_mean_over_seeds_decides_not_the_best_seed():
    assert chosen({("uniform", 1): [0.5, 0.5], ("beta", 1): [0.9, 0.0]}) == ("uniform", 1)


def test_a_schedule_without_some_steps_competes_in_its_own():
    assert chosen({("uniform", 1): [0.8], ("uniform", 10): [0.8], ("regression", 1): [0.85]}) == (
        "regression",
        1,
    )


def test_distances_are_better_when_small_and_their_margin_is_relative():
    scores = {("uniform", 1): [120.0], ("uniform", 10): [40.0], ("beta", 4): [43.9], ("beta", 2): [44.5]}
    choice = choose(DISTANCE.scores(results(scores, "distance")), DISTANCE)
    assert (choice.schedule, choice.steps, choice.mean) == ("beta", 4, 43.9)
    assert (choice.best_schedule, choice.best_steps, choice.best_mean) == ("uniform", 10, 40.0)


def test_regret_is_by_seed_against_the_best_mean_of_the_full_sweep():
    full = results({("uniform", 1): [0.80, 0.82], ("beta", 1): [0.90, 0.86], ("beta", 10): [0.7, 0.99]})
    found = regret_of(full, choice("uniform", 1), HEADLINE)
    assert found is not None
    assert (found.best_schedule, found.best_steps) == ("beta", 1)
    assert found.by_seed == pytest.approx([0.10, 0.04])
    assert found.mean == pytest.approx(0.07)
    sentence = regret_sentence(found, HEADLINE)
    assert "(2 seeds)" in sentence and "7 points [-31.1, +45.1] short of that." in sentence


def test_regret_is_on_the_seeds_of_the_choice_and_says_what_lacks_them():
    full = results(
        {("uniform", 1): [0.7, 0.7, 0.7, 0.7], ("shift:8", 1): [0.9, 0.9, 0.9], ("beta", 1): [0.8] * 4}
    )
    of_short = regret_of(full, choice("shift:8", 1), HEADLINE)
    assert of_short is not None and (of_short.best_schedule, of_short.by_seed) == ("shift:8", [0.0, 0.0, 0.0])
    of_long = regret_of(full, choice("uniform", 1), HEADLINE)
    assert of_long is not None and of_long.best_schedule == "beta" and of_long.mean == pytest.approx(0.1)
    assert of_long.left_out == [("shift:8", 1)]
    assert "left out: shift:8 at K = 1" in regret_sentence(of_long, HEADLINE)


def test_a_score_that_is_exactly_the_margin_below_is_within_it():
    assert chosen({("uniform", 1): [0.88], ("uniform", 10): [0.90]}) == ("uniform", 1)


def test_a_pair_without_a_number_on_some_seed_is_out():
    nan = float("nan")
    assert chosen({("uniform", 1): [0.1, 0.12], ("beta", 1): [nan, 0.9]}) == ("uniform", 1)
    with pytest.raises(ToyflowError, match="no schedule has a distance that is a number on every seed"):
        chosen({("uniform", 1): [nan]}, DISTANCE)


def test_a_best_distance_of_zero_leaves_a_margin_to_compare_by():
    assert chosen({("uniform", 1): [1.0], ("uniform", 10): [0.0]}, DISTANCE) == ("uniform", 10)
    assert DISTANCE.allowed(0.0) > 0


def test_the_best_has_no_regret_and_an_unknown_choice_none_that_can_be_told():
    full = results({("uniform", 1): [0.80], ("beta", 1): [0.90]})
    best = regret_of(full, choice("beta", 1), HEADLINE)
    assert best is not None and best.by_seed == [0.0]
    assert regret_sentence(best, HEADLINE) == "Held against the full sweep (1 seed): its best is this choice."
    nothing = regret_of(full, choice("beta", 7), HEADLINE)
    assert nothing is None
    assert "does not hold this choice" in regret_sentence(nothing, HEADLINE)


def test_regret_of_a_distance_is_positive():
    full = results({("uniform", 1): [50.0, 52.0], ("beta", 1): [40.0, 42.0]}, "distance")
    found = regret_of(full, choice("uniform", 1), DISTANCE)
    assert found is not None and found.by_seed == [10.0, 10.0]


def choice(schedule: str, steps: int) -> ChosenPair:
    return ChosenPair(schedule, steps, 0.0, schedule, steps, 0.0, 1)


def stored(out, scores: dict[tuple[str, int], list[float]]) -> Results:
    """Results on a disk: 100 examples, of which a model is right on the first `score`."""
    store = Store(out)
    store.prepare()
    for (schedule, steps), values in scores.items():
        for seed, value in enumerate(values, 100):
            record = TrainingRecord("points", {}, "flow", schedule, "stratified", seed, {"iterations": 5.0})
            if not store.has_training(record):
                trained = Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [1.0]}), DETAILS)
                store.write_training(record, trained, {})
            hits = (np.arange(100) < round(100 * value)).astype(float)
            details = {
                "metrics": {"exact_match": float(hits.mean()), "distance": 2 - value}, "examples": 100,
                "model_calls": steps, "encode_seconds": 0.1, "decode_seconds": 0.1,
            }  # fmt: skip
            outcomes = pd.DataFrame({"exact_match": hits})
            store.write_evaluation(record, EvaluationRecord("euler", steps), Evaluated(outcomes, details), {})
    return load_results(store)


def test_the_advice_says_what_the_seeds_can_tell(tmp_path):
    clear = {("uniform", 1): [0.5, 0.51], ("beta", 1): [0.9, 0.92], ("shift:4", 1): [0.6, 0.61]}
    found = recommend_from(stored(tmp_path / "clear", clear), None, HEADLINE, [], SETTING)
    assert any(
        "these seeds tell beta from every other candidate; it was chosen on the same" in s
        for s in found.sentences
    )
    assert any("beta is better than uniform" in s for s in found.sentences)
    noisy = {("uniform", 1): [0.5, 0.9], ("beta", 1): [0.9, 0.55]}
    found = recommend_from(stored(tmp_path / "noisy", noisy), None, HEADLINE, [], SETTING)
    assert any("do not tell it from the others, so it is a guess." in s for s in found.sentences)
    assert list(found.candidates.loc["beta"]) == [pytest.approx(0.725)]
    assert found.probe_steps is None
    alone = recommend_from(stored(tmp_path / "one", {("beta", 4): [0.5, 0.6]}), None, HEADLINE, [], SETTING)
    assert any("no other candidate" in s for s in alone.sentences)
    assert not any("in fewer steps" in s for s in alone.sentences)  # none was tried


def test_the_advice_by_a_distance_is_told_in_its_unit(tmp_path):
    scores = {("uniform", 1): [0.2, 0.25], ("uniform", 10): [0.9, 0.95], ("beta", 10): [0.7, 0.74]}
    found = recommend_from(stored(tmp_path, scores), None, DISTANCE, [HEADLINE], SETTING)
    assert (found.choice.schedule, found.choice.steps) == ("uniform", 10)
    assert any("no schedule comes within 0.108 of it in fewer steps" in s for s in found.sentences)
    assert any("uniform is lower than beta in distance" in s for s in found.sentences)
    assert "By exact match, too: uniform at K = 10 (92.5 %)." in found.sentences
    [advice, *_, cost] = recommendation_sentences(found)
    assert advice == "Train with uniform and decode in 10 steps."
    assert cost.startswith("Cost: 4 trainings of 5 iterations (of 20), 3 s of work with")
    assert cost.endswith("(2 threads on cpu).")


DETAILS = {"parameters": 1, "seconds": 1.0, "final_loss": 0.1}
SETTING = {
    "trainings": 4, "short_iterations": 5, "iterations": 20, "seconds": 3.0, "threads": 2, "device": "cpu",
}  # fmt: skip
