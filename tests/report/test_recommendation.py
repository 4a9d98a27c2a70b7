"""The rule on evidence made by hand, and what is said of its choices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from toyflow.report.recommendation import (
    Recommendation,
    Stage,
    Yardstick,
    name_of,
    recommendation_sentences,
    regret_sentence,
)
from toyflow.report.recommendation import regret as regret_of
from toyflow.report.recommendation_rule import Choice, Evidence, apply_rule
from toyflow.report.results import Results, load_results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

HEADLINE = Yardstick("exact_match", headline=True, share=True, lower_is_better=False)
DISTANCE = Yardstick("distance", headline=False, share=False, lower_is_better=True)
DETERMINED = Evidence(1.0, 0.05, {1: 0.0004, 2: 0.0001, 8: 0.0}, spread=0.001, joint=0.9, iterations=150)
"""Of a target that the condition determines, and no leak worth naming."""
COIN = Evidence(1.0, 0.55, {1: 0.009, 2: 0.0005, 8: 0.0001}, spread=0.55, joint=0.95, iterations=150)
"""Of one coin that moves all tokens."""


def chosen(evidence: Evidence, last: bool = False) -> tuple[tuple[int, int] | None, str]:
    choice, reason = apply_rule(evidence, last)
    return choice and (choice.steps, choice.draws), reason


def test_one_step_is_enough_where_samples_do_not_vary():
    assert chosen(DETERMINED) == ((1, 1), "one step")
    assert chosen(replace(DETERMINED, joint=None)) == ((1, 1), "one step")


@pytest.mark.parametrize(
    ("leak", "draws"),
    [({1: 0.001, 2: 0.0, 8: 0.0}, 1), ({1: 0.02, 2: 0.001, 8: 0.0}, 2), ({1: 0.2, 2: 0.1, 8: 0.02}, 8)],
)
def test_the_fewest_draws_that_leave_little_leak_beside_the_rest(leak, draws):
    assert chosen(replace(DETERMINED, leak=leak)) == ((1, draws), "one step")


def test_a_joint_spread_keeps_ten_steps_whether_or_not_more_training_follows():
    assert chosen(COIN) == chosen(COIN, last=True) == ((10, 1), "joint spread")


def test_a_spread_of_plain_numbers_counts_as_joint():
    numbers = replace(COIN, joint=None)
    assert chosen(numbers) == ((10, 1), "joint spread")
    assert "the mean of numbers, which one step returns" in recommendation_sentences(recommended(numbers))[1]


def test_a_spread_that_is_not_joint_is_unclear_until_the_training_is_full():
    apart = replace(COIN, joint=0.05)
    assert chosen(apart) == (None, "unclear")
    assert chosen(apart, last=True) == ((1, 1), "one step")


def test_a_model_that_misses_much_and_does_not_vary_is_unclear_too():
    early = replace(COIN, spread=0.001)
    assert chosen(early) == (None, "unclear")
    assert chosen(early, last=True) == ((1, 1), "one step")


def test_a_model_that_has_learned_nothing_gives_no_advice():
    nothing = replace(DETERMINED, rest=0.97)
    assert chosen(nothing) == (None, "unclear")
    assert chosen(nothing, last=True) == ((10, 1), "nothing learned")


def test_the_rule_does_not_depend_on_the_unit_of_the_targets():
    for evidence in (DETERMINED, COIN, replace(COIN, joint=0.0)):
        scaled = replace(
            evidence,
            variance=9 * evidence.variance,
            rest=9 * evidence.rest,
            leak={m: 9 * leak for m, leak in evidence.leak.items()},
            spread=9 * evidence.spread,
        )
        assert chosen(scaled) == chosen(evidence)


def recommended(evidence: Evidence, *before: Evidence) -> Recommendation:
    choice, reason = apply_rule(evidence, last=bool(before))
    assert choice is not None
    scores = {(1, 1): 0.8, (10, 1): 0.9}
    stages = [Stage(each, scores) for each in (*before, evidence)]
    setting = {
        "split": "validation",
        "seeds": [100],
        "iterations": 300,
        "seconds": 3.2,
        "threads": 2,
        "device": "cpu",
    }
    return Recommendation(HEADLINE, choice, reason, stages, setting)


def test_the_advice_is_said_with_its_reasons_what_it_was_found_on_and_its_cost():
    leaky = replace(DETERMINED, leak={1: 0.02, 2: 0.0008, 8: 0.0001})
    advice, steps, draws, by_scores, always, found_on, cost = recommendation_sentences(recommended(leaky))
    assert (
        advice == "Train with --schedules shift:4 --predict data and decode in 1 step, the mean of 2 draws."
    )
    assert steps.startswith("One step: samples in 10 steps vary by 0% of the targets' variance")
    assert draws.startswith("2 draws: noise leaks 0.02 into an answer, beside 0.05 that no average removes;")
    assert draws.endswith("their mean keeps 0.0008.")
    assert by_scores == (
        "By exact match, which the rule does not read, it would be K=10: 90.0 %, where the best has 90.0 %."
    )
    assert always.startswith(
        "Schedule and prediction are always shift:4 and data. In 18 settings whose full sweeps are known"
    )
    assert found_on == "Found on the validation split; seeds 100."
    assert cost.startswith("Cost: a training of 150 iterations (of 300) for each seed, 3 s of work")
    assert cost.endswith("(2 threads on cpu).")


def test_two_trainings_are_said_and_a_spread_is_explained():
    early = replace(COIN, joint=0.1)
    found = recommended(replace(COIN, iterations=300), early)
    sentences = recommendation_sentences(found)
    assert sentences[0].endswith("and decode in 10 steps.")
    assert sentences[1] == "150 iterations were unclear, so the model was trained for all 300."
    assert "(joint share 0.95), so that the mean, which one step returns, is none of them." in sentences[2]
    assert not any("noise leaks" in sentence for sentence in sentences)
    apart = recommendation_sentences(recommended(replace(early, iterations=300), early))
    assert "every token on its own (joint share 0.10, below 0.25)" in apart[2]
    assert apart[2].endswith("the advice stands if --iterations 600 leaves the joint share below 0.25.")


def test_that_a_spread_may_not_be_learned_yet_is_said():
    early = replace(COIN, spread=0.001)
    sentences = recommendation_sentences(recommended(early, early))
    assert "too little to lose. But one step misses 55%, so a spread may not be learned yet." in sentences[2]
    assert sentences[2].endswith("The advice stands if --iterations 300 leaves the spread below 25%.")
    assert "But" not in recommendation_sentences(recommended(DETERMINED))[1]
    assert "Cost: a training of 150 and one of 150 iterations" in sentences[-1]


def test_what_a_short_training_says_of_a_joint_spread_is_not_the_last_word():
    """Of the dial with a fair coin, as was measured after 300 and after 600 iterations: the first advises one
    step, as of tokens that vary alone, and names the length that tells."""
    leak = {1: 0.009, 2: 0.005, 8: 0.002}
    short = Evidence(1.0, 0.560, leak, spread=0.564, joint=0.090, iterations=300)
    full = Evidence(1.0, 0.557, leak, spread=0.534, joint=0.958, iterations=600)
    assert chosen(short, last=True) == ((1, 1), "one step") and chosen(full) == ((10, 1), "joint spread")
    [said] = [each for each in recommendation_sentences(recommended(short, short)) if "One step:" in each]
    assert f"--iterations {full.iterations} leaves the joint share below" in said


def test_scores_choose_the_cheapest_within_two_points_or_a_tenth_of_a_distance():
    found = recommended(DETERMINED)
    stage = replace(found.stages[0], scores={(1, 1): 0.87, (1, 2): 0.89, (10, 1): 0.91})
    said = recommendation_sentences(replace(found, stages=[stage]))
    assert any("it would be K=1 M=2: 89.0 %, where the best has 91.0 %." in sentence for sentence in said)
    far = replace(stage, scores={(1, 1): 45.0, (10, 1): 40.0})
    said = recommendation_sentences(replace(found, stages=[far], yardstick=DISTANCE))
    assert any("By distance, which the rule does not read, it would be K=10: 40," in each for each in said)
    near = replace(stage, scores={(1, 1): 43.0, (10, 1): 40.0})
    said = recommendation_sentences(replace(found, stages=[near], yardstick=DISTANCE))
    assert any("it would be the same: 43, where the best has 40." in sentence for sentence in said)


def test_that_nothing_was_learned_is_said():
    nothing = replace(DETERMINED, rest=0.97)
    sentences = recommendation_sentences(recommended(nothing, nothing))
    assert "This is no advice but the default: the model explains 3% of the targets' variance" in sentences[2]


# Regret.


def stored(out, scores: dict[tuple[str, int, int], list[float]]) -> Results:
    """Results on a disk by (schedule of data prediction, steps, draws): 100 examples, of which a model is
    right on the first `score`."""
    store = Store(out)
    store.prepare()
    details = {"parameters": 1, "seconds": 1.0, "final_loss": 0.1}
    for (schedule, steps, draws), values in scores.items():
        for seed, value in enumerate(values):
            recipe = {"iterations": 5.0}
            record = TrainingRecord(
                "points", {}, "flow", schedule, "stratified", seed, recipe, prediction="data"
            )
            if not store.has_training(record):
                trained = Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [1.0]}), details)
                store.write_training(record, trained, {})
            hits = (np.arange(100) < round(100 * value)).astype(float)
            found = {
                "metrics": {"exact_match": float(hits.mean()), "distance": 2 - value}, "examples": 100,
                "model_calls": steps, "encode_seconds": 0.1, "decode_seconds": 0.1,
            }  # fmt: skip
            evaluation = EvaluationRecord("euler", steps, draws=draws)
            store.write_evaluation(
                record, evaluation, Evaluated(pd.DataFrame({"exact_match": hits}), found), {}
            )
    return load_results(store)


def test_regret_is_by_seed_against_the_best_mean_of_the_full_sweep(tmp_path):
    full = stored(
        tmp_path,
        {("shift:4", 1, 1): [0.80, 0.82], ("shift:4", 1, 8): [0.85, 0.83], ("beta", 1, 1): [0.90, 0.86]},
    )
    found = regret_of(full, Choice(steps=1), HEADLINE)
    assert found is not None and found.best == "data(beta) K=1"
    assert found.by_seed == pytest.approx([0.10, 0.04]) and found.mean == pytest.approx(0.07)
    sentence = regret_sentence(found, HEADLINE)
    assert "(2 seeds)" in sentence and "7 points [95 %: -31.1, +45.1] short of that." in sentence
    averaged = regret_of(full, Choice(steps=1, draws=8), HEADLINE)
    assert averaged is not None and averaged.by_seed == pytest.approx([0.05, 0.03])
    by_distance = regret_of(full, Choice(steps=1), DISTANCE)
    assert by_distance is not None and by_distance.by_seed == pytest.approx([0.10, 0.04])


def test_regret_is_on_the_seeds_of_the_choice_and_says_what_lacks_them(tmp_path):
    full = stored(
        tmp_path, {("shift:4", 1, 1): [0.7] * 4, ("beta", 1, 1): [0.9] * 3, ("uniform", 1, 1): [0.8] * 4}
    )
    found = regret_of(full, Choice(steps=1), HEADLINE)
    assert found is not None and found.best == "data(uniform) K=1" and found.mean == pytest.approx(0.1)
    assert found.left_out == ["data(beta) K=1"]
    assert "left out: data(beta) K=1" in regret_sentence(found, HEADLINE)


def test_the_best_has_no_regret_and_an_unknown_choice_none_that_can_be_told(tmp_path):
    full = stored(tmp_path, {("shift:4", 1, 1): [0.9], ("beta", 1, 1): [0.8]})
    best = regret_of(full, Choice(steps=1), HEADLINE)
    assert best is not None and best.by_seed == [0.0]
    assert regret_sentence(best, HEADLINE) == "Held against the full sweep (1 seed): its best is this choice."
    unknown = regret_of(full, Choice(steps=10), HEADLINE)
    assert unknown is None
    assert "does not hold this choice" in regret_sentence(unknown, HEADLINE)


def test_a_choice_is_named_as_tables_name_it():
    assert name_of(Choice()) == "data(shift:4) K=10"
    assert name_of(Choice(steps=1, draws=8)) == "data(shift:4) K=1 M=8"
