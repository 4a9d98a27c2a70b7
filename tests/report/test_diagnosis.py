"""The rule that says what one step loses, and what to do about it."""

import math

import pytest

from toyflow.report.diagnosis import LEFT, MINOR, NEGLIGIBLE, Diagnosis, diagnose
from toyflow.stats import Interval


def found(
    *, steps: int | None = 10, variance: float = 1.0, data: bool = True, even: float = 0.4, **sizes: float
) -> Diagnosis:
    """Of parts of these sizes, each with an interval of +-5 %; `even` is the even share of the leak."""
    leak = sizes["leak"]
    for draws in (2, 4, 8, 16):
        sizes[f"removed_by_{draws}"] = 1 - 2 * even / draws if leak > 0 else math.nan
    if "bias" in sizes:
        sizes["bias_and_spread"] = sizes["bias"] + sizes["spread"]
    if "bias_and_spread" in sizes:
        sizes["error"] = leak + sizes["bias_and_spread"]
    parts = {name: Interval(size, 0.95 * size, 1.05 * size) for name, size in sizes.items()}
    return diagnose(parts, variance, steps, may_predict_data=data)


def test_leak_dominates():
    told = found(leak=0.12, bias_and_spread=0.03, model_spread=0.02, sample_error=0.04)
    assert told.sentence("uniform") == (
        "uniform: one step loses 0.12 (of 0.15) to leaked noise: average 8 draws or train with --predict "
        "data; 0.02 to the model's own spread (its leak in several steps included): keep 10 steps if "
        "these are different right answers, else one: compare their scores."
    )
    assert (told.draws, told.steps) == (8, 10)
    already = found(leak=0.12, bias_and_spread=0.001, model_spread=0.001, data=False)
    assert already.sentence("data(uniform)").endswith("to leaked noise: average 8 draws.")
    assert (already.draws, already.steps) == (8, 1)


@pytest.mark.parametrize(
    ("even", "draws"), [(0, 2), (0.1, 2), (0.2, 4), (0.25, 4), (0.4, 8), (0.6, 16), (1, 16)]
)
def test_as_many_draws_as_the_even_part_of_the_leak_asks_for(even, draws):
    assert found(leak=1.0, bias_and_spread=0.0, model_spread=0.0, even=even).draws == draws
    assert 2 * even / draws <= LEFT


def test_a_leak_that_no_pairs_told_has_no_number_of_draws():
    sizes = {"leak": 0.12, "bias_and_spread": 0.01, "error": 0.13}
    parts = {name: Interval(size, 0.95 * size, 1.05 * size) for name, size in sizes.items()}
    told = diagnose(parts, 1.0, None, may_predict_data=False)
    assert (told.draws, told.steps) == (1, 1)
    assert told.sentence("served").endswith(
        "to leaked noise: average draws (what they remove was not measured)."
    )


def test_known_spread_dominates():
    told = found(leak=0.01, bias=0.02, spread=0.5, model_spread=0.45, sample_error=1.0)
    assert [loss.part for loss in told.losses] == ["spread"] and (told.draws, told.steps) == (1, 10)
    assert told.sentence("beta") == (
        "beta: one step loses 0.5 (of 0.53) to the task's own spread: keep 10 steps."
    )
    one_step_only = found(leak=0.0, bias=0.02, spread=0.5, steps=None)
    assert one_step_only.steps == 1
    assert one_step_only.sentence("regression").endswith("own spread: train flow and take several steps.")


def test_spread_by_the_models_own_samples():
    told = found(leak=0.0, bias_and_spread=0.5, model_spread=0.48, sample_error=1.0)
    assert [loss.part for loss in told.losses] == ["sampled spread"] and told.steps == 10


def test_leak_in_several_steps_is_no_spread():
    """Of a deterministic task: what the samples vary by is all of their error."""
    told = found(leak=0.019, bias_and_spread=0.0213, model_spread=0.012, sample_error=0.012)
    assert [loss.part for loss in told.losses] == ["bias", "leak"]
    assert told.losses[0].size == pytest.approx(0.0213) and "spread" not in told.sentence("uniform")
    small = found(leak=0.019, bias_and_spread=0.0133, model_spread=0.012, sample_error=0.012)
    assert (small.draws, small.steps) == (8, 1)


def test_a_coin_keeps_ten_steps_without_known_moments():
    told = found(leak=0.095, bias_and_spread=0.56, model_spread=0.466, sample_error=1.0)
    assert told.losses[0].part == "sampled spread" and told.losses[0].size == pytest.approx(0.466)
    assert told.losses[0].remedy.startswith("keep 10 steps if") and told.steps == 10


def test_samples_that_vary_by_more_than_the_task_can_tell_no_spread():
    """As those of the wave under shift:8, whose ten steps are worse than one."""
    told = found(leak=0.018, bias_and_spread=0.0054, model_spread=0.062, sample_error=0.07)
    assert [loss.part for loss in told.losses] == ["leak", "bias or spread"] and told.steps == 1
    assert "10 steps add more noise of their own (0.062), so keep one" in told.sentence("shift:8")


def test_bias_dominates():
    told = found(leak=0.01, bias=0.4, spread=0.0, model_spread=0.02, sample_error=0.42)
    assert told.sentence("uniform") == (
        "uniform: one step loses 0.4 (of 0.41) to bias: draws do not help, nor do 10 steps, which err by "
        "0.42: train longer or a larger model, or with --predict data."
    )
    assert (told.draws, told.steps) == (1, 1)
    known = found(leak=0.0, bias=0.4, spread=0.0, steps=None, data=False)
    assert [loss.part for loss in known.losses] == ["bias"]
    assert known.sentence("regression").endswith(
        "to bias: draws do not help: train longer or a larger model."
    )


def test_bias_beside_a_known_spread_says_nothing_against_steps():
    """Samples of joint modes err by twice the spread, and may all be right."""
    told = found(leak=0.0, bias=0.1, spread=0.3, model_spread=0.25, sample_error=0.65)
    assert [loss.part for loss in told.losses] == ["spread", "bias"] and told.steps == 10
    assert "nor do" not in told.sentence("uniform")


def test_a_spread_that_is_not_learned_yet_is_not_called_bias():
    """As of two joint angles of which a hidden coin picks one pair: its spread is 0.35, and a model that was
    trained briefly makes a third of it."""
    told = found(leak=0.0, bias_and_spread=0.35, model_spread=0.12, sample_error=0.5, data=False)
    assert told.sentence("data(shift:4)") == (
        "data(shift:4): one step loses 0.23 (of 0.35) to bias or a spread that the model has not learned: "
        "draws do not help; train longer, and probe again; 0.12 to the model's own spread (its leak in "
        "several steps included): keep 10 steps if these are different right answers, else one: compare "
        "their scores."
    )
    assert told.steps == 10


def test_steps_that_do_help_against_bias_are_kept():
    told = found(leak=0.01, bias_and_spread=0.4, model_spread=0.02, sample_error=0.1)
    assert (
        told.steps == 10
        and "to bias: 10 steps err by 0.1, so keep them, or train longer" in told.sentence("")
    )


def test_one_target_and_one_step_do_not_tell_bias_from_spread():
    told = found(leak=0.0, bias_and_spread=0.4, steps=None)
    assert [loss.part for loss in told.losses] == ["bias or spread"]
    assert "0.4 (of 0.4) to bias or the task's own spread: this objective has one step" in told.sentence("x")


def test_nothing_to_lose():
    told = found(leak=0.001, bias_and_spread=0.003, model_spread=0.002, sample_error=0.005)
    assert told.losses == () and (told.draws, told.steps) == (1, 1)
    assert told.sentence("data(uniform)") == (
        "data(uniform): one step loses nothing to speak of (0.004 of the targets' variance 1, 6.3 % of their "
        "standard deviation): keep one step and one draw, if that is precise enough."
    )


def test_thresholds_follow_the_targets_and_the_error():
    assert found(leak=0.9 * NEGLIGIBLE, bias_and_spread=0.0, model_spread=0.0).losses == ()
    assert found(leak=0.9 * NEGLIGIBLE, bias_and_spread=0.0, model_spread=0.0, variance=0.5).draws == 8
    assert found(leak=0.9 * MINOR, bias=0.0, spread=1.0, model_spread=1.0).draws == 1
    assert found(leak=1.3 * MINOR, bias=0.0, spread=1.0, model_spread=1.0).draws == 8


def test_a_part_that_may_be_nothing_is_not_named():
    sizes = {
        "leak": 0.0,
        "bias_and_spread": 0.3,
        "bias": 0.1,
        "spread": 0.2,
        "model_spread": 0.2,
        "error": 0.3,
    }
    parts = {name: Interval(size, 0.9 * size, 1.1 * size) for name, size in sizes.items()}
    parts["bias"] = Interval(0.1, -0.1, 0.3)
    told = diagnose(parts, 1.0, 10, may_predict_data=True)
    assert [loss.part for loss in told.losses] == ["spread"]


def test_without_targets_there_is_leak_and_the_models_spread():
    told = found(leak=0.3, model_spread=0.2)
    assert [loss.part for loss in told.losses] == ["leak", "sampled spread"] and told.error == 0.5
