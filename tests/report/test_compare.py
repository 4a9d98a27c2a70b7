"""Selections of results compared, in results folders made by hand."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from junk import parsed, texts
from rich.console import Console
from scipy import stats as scipy_stats

from toyflow.atomic import DamagedError
from toyflow.errors import UsageError
from toyflow.report.compare import Comparison, compare
from toyflow.report.paired_tables import paired, paired_by_setting
from toyflow.report.results import load_results
from toyflow.report.selection import Selector
from toyflow.report.verdicts import comparison_table, verdicts
from toyflow.stats import RESOLUTION, crossed, holm, paired_proportions, unpaired_difference
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

N = 1000


def add(
    out: Path,
    label: str,
    rights: Sequence[float],
    first_seed: int = 0,
    steps: int = 1,
    n: int = N,
    distance: float | None = 4.0,
    sampler: str = "euler",
    noise_seed: int = 0,
    from_end: bool = False,
    draws: int = 1,
    **record: Any,
) -> None:
    """A model per seed that is right on the first, or last, so many of `n` examples."""
    store = Store(out)
    store.prepare()
    for seed, right in enumerate(rights, first_seed):
        flow = label not in ("regression", "pure-noise")
        training = TrainingRecord(
            **{
                "task": "points", "model": {"encoder": "base"}, "objective": "flow" if flow else label,
                "schedule": label if flow else None, "time_sampling": "stratified" if flow else None,
                "seed": seed, "recipe": {"batch_size": 8.0}, **record,
            }
        )  # fmt: skip
        details = {"parameters": 1, "seconds": 1.0, "final_loss": 0.1}
        if not store.has_training(training):
            trained = Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [1.0]}), details)
            store.write_training(training, trained, {})
        hits = (np.arange(n) < right).astype(float)
        outcomes = pd.DataFrame({"exact_match": hits[::-1] if from_end else hits, "digit_accuracy": 0.5})
        metrics = {"exact_match": float(hits.mean(dtype=np.float32)), "digit_accuracy": right / n / 2}
        if distance is not None:
            metrics["distance"] = distance - right / n
        details = {
            "metrics": metrics, "examples": n, "model_calls": steps,
            "encode_seconds": 0.1, "decode_seconds": 0.1,
        }  # fmt: skip
        evaluation = EvaluationRecord(sampler, steps, noise_seed, draws=draws)
        store.write_evaluation(training, evaluation, Evaluated(outcomes, details), {})


UNIFORM, SHIFT, BETA, EDM = [850, 862, 855], [880, 889, 886], [852, 863, 858], [845, 880, 861]


@pytest.fixture(scope="module")
def four_laws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("four_laws")
    for label, rights in (("uniform", UNIFORM), ("shift:4", SHIFT), ("beta", BETA), ("edm", EDM)):
        add(folder, label, rights)
    return folder


@pytest.fixture
def out(four_laws: Path, tmp_path: Path) -> Path:
    return shutil.copytree(four_laws, tmp_path / "out")


def said(comparison: Comparison) -> str:
    return "\n".join(verdicts(comparison))


def printed(comparison: Comparison) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(comparison_table(comparison))
    return " ".join(re.sub("[│┃┏┓└┘━─┳┴┡┩╇┼├┤]", " ", console.export_text()).split())


def refused(out: Path, *selectors: str, **options: Any) -> str:
    with pytest.raises(UsageError) as error:
        compare(out, list(selectors), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_better_schedule(out):
    comparison = compare(out, ["shift:4", "uniform"])
    [pair] = comparison.pairs
    reference = scipy_stats.ttest_rel(SHIFT, UNIFORM)
    assert pair.p_value == pytest.approx(reference.pvalue, rel=1e-3)
    assert said(comparison) == (
        "shift:4 is better than uniform at K = 1: +2.9 points [+2.4, +3.5] over 3 seeds "
        f"(paired t-test, p = {reference.pvalue:.3f})."
    )
    assert "uniform is worse than shift:4 at K = 1: -2.9 points [-3.5, -2.4]" in said(
        compare(out, ["uniform", "shift:4"])
    )


def test_results_of_the_validation_split_are_told_from_older_ones_and_never_paired_with_them(tmp_path):
    for data in ({"tiles": "4"}, {"tiles": "4", "split": "validation"}):
        add(tmp_path, "uniform", UNIFORM, task="dial", data=data)
    chosen = ["uniform,split=test", "uniform,split=validation"]
    assert refused(tmp_path, *chosen).endswith("cannot be paired: split test and validation.")
    assert "matches several variants; add split=test or validation" in refused(tmp_path, "uniform", chosen[1])


@pytest.mark.parametrize("name", ["learning-rate", "learning_rate", "learning rate"])
def test_a_number_of_the_recipe_is_chosen_by_the_name_of_its_flag_too(tmp_path, name):
    for rate, rights in ((0.001, UNIFORM), (0.004, SHIFT)):
        add(tmp_path, "uniform", rights, recipe={"learning_rate": rate})
    [pair] = compare(tmp_path, [f"uniform,{name}={rate}" for rate in ("4e-3", "0.001")]).pairs
    assert pair.first == "uniform (learning rate=0.004)" and pair.second == "uniform (learning rate=0.001)"


def test_the_table_has_the_numbers(out):
    text = printed(compare(out, ["shift:4", "uniform"]))
    for shown in (
        "88.5",
        "85.6",
        "+2.9",
        "[+2.4, +3.5]",
        "[+2.6, +3.3]",
        "[95 %]",
        "0.002",
        "within 2 points",
    ):
        assert shown in text
    assert "Holm" not in text


def test_equivalent_schedules(out):
    assert said(compare(out, ["beta", "uniform"])).startswith(
        "beta and uniform are equivalent within 2 points at K = 1: +0.2 points [+0.0, +0.4], 90 %, over "
        "3 seeds (two one-sided t-tests, p < 0.001)."
    )
    assert "Too few" in said(compare(out, ["beta", "uniform"], margin=0.1))


def test_equivalent_and_yet_not_equal(out):
    add(out, "beta:2:1", [856, 867, 861])
    assert said(compare(out, ["beta:2:1", "beta"])) == (
        "beta:2:1 and beta are equivalent within 2 points at K = 1, though the difference of +0.4 points "
        "[+0.2, +0.5] over 3 seeds is not zero (paired t-test, p = 0.008). That is of this test set; for new "
        "seeds and new examples the interval is [-0.0, +0.7], which includes zero."
    )


def test_what_seeds_show_on_one_test_set_need_not_hold_on_another(tmp_path):
    """Every seed gains the same 4 of 100 examples, and one a fifth."""
    add(tmp_path, "uniform", [50, 50, 50, 50], n=100)
    add(tmp_path, "beta", [54, 54, 55, 54], n=100)
    comparison = compare(tmp_path, ["beta", "uniform"])
    [pair], sentence = comparison.pairs, said(comparison)
    gains = np.zeros((4, 100))
    gains[:, 50:54], gains[2, 54] = 1, 1
    assert pair.crossed == (crossed(gains, 0.95, (-1, 1)), crossed(gains, 0.90, (-1, 1)))
    assert "beta is better than uniform at K = 1: +4.3 points [+3.5, +5.0]" in sentence
    assert pair.crossed is not None
    bounds = comparison.measure.bounds(pair.crossed[0])
    assert pair.crossed[0].low > 0 and "That is of this test set" not in sentence
    assert f"new examples: {bounds}" in printed(comparison)


def test_there_is_no_interval_for_new_examples_without_outcomes_or_common_seeds(out):
    assert compare(out, ["beta", "uniform"], metric="distance").pairs[0].crossed is None
    add(out, "beta:2:1", [880, 889], first_seed=3)
    assert compare(out, ["beta:2:1", "uniform"]).pairs[0].crossed is None


def test_equivalence_is_adjusted_too(out):
    """Each pair alone is equivalent; after Holm's method, the one with the largest p is as it was."""
    alone = [compare(out, ["beta", other], margin=3.0).pairs[0] for other in ("uniform", "edm")]
    raw = [pair.equivalence_p or 0 for pair in alone]
    together = compare(out, ["beta", "uniform", "edm"], margin=3.0)
    assert [pair.equivalence_p for pair in together.pairs] == pytest.approx(holm(raw))
    assert max(raw) < 0.05 and raw[0] < raw[1]
    assert "(two one-sided t-tests, Holm-adjusted p " in said(together)


def test_too_few_to_tell_and_how_many_would_do(out):
    assert said(compare(out, ["edm", "uniform"])) == (
        "Too few seeds to tell: edm and uniform differ by +0.6 points [-2.2, +3.5] at K = 1 over 3 seeds. If "
        "a difference of this size is real, about 28 seeds would show it, or 118 if the spread between seeds "
        "is at its upper bound; if there is none, about 5 seeds would show that they are equal within 2 "
        "points, or 15 at that bound (80 % power; the bound is one-sided at 80 %)."
    )
    assert "more than 1000 seeds would show that they are equal within 0.02 points" in said(
        compare(out, ["edm", "uniform"], margin=0.02)
    )


def test_where_there_are_seeds_enough_for_equivalence_that_is_said(tmp_path):
    add(tmp_path, "uniform", [850, 850, 850])
    add(tmp_path, "beta", [863, 873, 883])
    sentence = said(compare(tmp_path, ["beta", "uniform"], margin=3.9))
    assert "Too few" in sentence and "about 3 seeds should already show that they are equal" in sentence


def test_many_comparisons_are_adjusted(out):
    comparison = compare(out, ["shift:4", "uniform", "beta", "edm"])
    raw = [scipy_stats.ttest_rel(SHIFT, other).pvalue for other in (UNIFORM, BETA, EDM)]
    smallest, middle, largest = np.argsort(raw)
    adjusted = [pair.p_value for pair in comparison.pairs]
    assert adjusted[smallest] == pytest.approx(3 * raw[smallest], rel=1e-3)
    assert adjusted[middle] == pytest.approx(max(3 * raw[smallest], 2 * raw[middle]), rel=1e-3)
    assert adjusted[largest] == pytest.approx(max(adjusted[middle] or 0, raw[largest]), rel=1e-3)
    assert "Holm-adjusted p = " in said(comparison) and "each adjusted by Holm" in printed(comparison)


def test_the_verdict_goes_by_the_adjusted_p(out):
    add(out, "beta:2:1", [869, 894, 882])
    assert "is better than edm" in said(compare(out, ["beta:2:1", "edm"]))
    several = ["beta:2:1", "edm", "uniform", "beta", "shift:4"]
    comparison = compare(out, several, margin=0.1)
    assert (comparison.pairs[0].p_value or 0) > 0.05
    assert verdicts(comparison)[0].startswith("Too few seeds to tell: beta:2:1 and edm")


def test_only_common_seeds_are_paired(out):
    add(out, "beta:2:1", [*SHIFT[1:], 10, 20], first_seed=1)
    [pair] = compare(out, ["beta:2:1", "uniform"]).pairs
    assert pair.seeds == ([1, 2], [1, 2])
    assert pair.p_value == pytest.approx(scipy_stats.ttest_rel(SHIFT[1:], UNIFORM[1:]).pvalue, rel=1e-3)


def test_without_common_seeds_it_is_said_to_be_unpaired(out):
    add(out, "beta:2:1", [880, 889], first_seed=3)
    comparison = compare(out, ["beta:2:1", "uniform"])
    [pair] = comparison.pairs
    expected = np.asarray(scipy_stats.ttest_ind([880, 889], UNIFORM, equal_var=False))[1]
    assert pair.p_value == pytest.approx(expected, rel=1e-3)
    assert "over 2 and 3 seeds, none in common (unpaired, Welch t-test, p = 0.0" in said(comparison)
    assert "n/a" in printed(comparison)


def test_one_seed_says_nothing_about_schedules(tmp_path):
    add(tmp_path, "uniform", [850])
    add(tmp_path, "beta", [870])
    comparison = compare(tmp_path, ["beta", "uniform"])
    assert said(comparison) == (
        "One seed: nothing can be said about the schedules; on this pair of models, beta and uniform differ "
        "by +2.0 points [+1.3, +2.8] (Newcombe, 90 %; McNemar p < 0.001) at K = 1."
    )
    assert comparison.pairs[0].models[0].first_only == 20 and comparison.pairs[0].test is None
    assert "n/a" in printed(comparison)
    by_accuracy = said(compare(tmp_path, ["beta", "uniform"], metric="digit_accuracy"))
    assert by_accuracy.endswith("beta and uniform differ by +0.01 in digit accuracy at K = 1.")


def test_one_seed_each_and_none_in_common(tmp_path):
    add(tmp_path, "uniform", [850])
    add(tmp_path, "beta", [870], first_seed=1)
    comparison = compare(tmp_path, ["beta", "uniform"])
    assert comparison.pairs[0].p_value is None
    assert "each needs two or more, or one in common" in said(comparison)
    assert "n/a" in printed(comparison)


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            20,
            "Too few seeds to tell: beta and uniform differ by +2.0 points at K = 1 over 3 seeds, and these "
            "seeds show no spread to judge that by; more are needed. By the examples of all seeds: "
            "[+1.6, +2.4], 90 %.",
        ),
        (
            0,
            "beta and uniform are equal at K = 1 over 3 seeds, without a difference at any seed to judge "
            "others by. By the examples of all seeds: [-0.1, +0.1], 90 %.",
        ),
    ],
)
def test_seeds_without_spread_are_no_evidence_of_others(tmp_path, difference, sentence):
    add(tmp_path, "uniform", [850, 867, 851])
    add(tmp_path, "beta", [850 + difference, 867 + difference, 851 + difference])
    comparison = compare(tmp_path, ["beta", "uniform"], margin=10.0)
    assert said(comparison) == sentence
    assert comparison.pairs[0].p_value == 1
    assert "n/a" in printed(comparison)


def test_seeds_without_spread_have_no_p_value_in_any_report(tmp_path):
    """compare says what all examples say; the tables of `plot` what these seeds say on this test set."""
    add(tmp_path, "beta", [850, 867, 851])
    add(tmp_path, "beta", [840, 857, 841], steps=10)
    [pair] = compare(tmp_path, ["beta,K=1", "beta,K=10"]).pairs
    [row] = paired_by_setting(paired(load_results(tmp_path))).to_dict("records")
    expected = paired_proportions(np.arange(3000) < 2568, np.arange(3000) < 2538).difference
    assert pair.pooled is not None
    assert (pair.pooled.low, pair.pooled.high) == pytest.approx((expected.low, expected.high))
    half = 1.644854**2 / (3000 + 1.644854**2)
    assert (row["low_90"], row["high_90"]) == pytest.approx((0.01 - half, 0.01 + half))
    assert pair.test is None and np.isnan(row["p"])
    assert (row["interval"], row["verdict"]) == (RESOLUTION, "undecided")


def test_seeds_without_spread_that_are_not_common_are_two_samples(tmp_path):
    add(tmp_path, "uniform", [850, 850])
    add(tmp_path, "beta", [870, 870], first_seed=2)
    [pair] = compare(tmp_path, ["beta", "uniform"]).pairs
    assert pair.pooled == unpaired_difference((1740, 2000), (1700, 2000))
    assert compare(tmp_path, ["beta", "uniform"], metric="digit_accuracy").pairs[0].pooled is None


def test_what_else_differs_is_said(out, tmp_path):
    """A schedule at 30 iterations against another at 60: either may be the cause."""
    other = tmp_path / "other"
    add(other, "uniform", [910, 921, 913], recipe={"iterations": 60.0})
    add(tmp_path / "here", "shift:4", SHIFT, recipe={"iterations": 30.0})
    verdict, note = verdicts(compare(tmp_path / "here", ["shift:4", f"{other}::uniform"]))
    assert "shift:4 (iterations=30" in verdict and "uniform (iterations=60" in verdict
    assert "differ in schedule (shift:4 and uniform) and iterations (30 and 60), so" in note
    assert note.endswith("this comparison cannot tell which of these is the cause.")


def test_another_prediction_is_a_second_cause(out):
    add(out, "data(shift:4)", SHIFT, schedule="shift:4", prediction="data")
    [pair] = compare(out, ["data(shift:4)", "uniform"]).pairs
    assert pair.confounded["prediction"] == ("data", "velocity")
    assert not compare(out, ["data(shift:4)", "shift:4"]).pairs[0].confounded


def test_what_comes_with_an_objective_is_not_told_as_a_second_cause(out):
    add(out, "regression", [800, 801, 799], sampler="none")
    add(out, "shift:4", SHIFT, steps=10)
    assert not compare(out, ["shift:4", "uniform"]).pairs[0].confounded
    assert "sampler" in compare(out, ["shift:4", "regression"]).pairs[0].confounded, "both have one"
    assert "differ in schedule (shift:4 and uniform) and K (10 and 1)" in said(
        compare(out, ["shift:4,K=10", "uniform,K=1"])
    )


def test_the_same_models_in_one_step_and_in_ten(out):
    add(out, "uniform", [840, 850, 849], steps=10, from_end=True)
    comparison = compare(out, ["uniform", "uniform,K=10"])
    [pair] = comparison.pairs
    assert pair.same_models and sorted(pair.models) == [0, 1, 2] and len(pair.seeds[0]) == 3
    first, second = verdicts(comparison)
    assert first.startswith("uniform at K = 1 and uniform at K = 10 are equivalent within 2 points")
    assert second == (
        "Examples that only uniform at K = 1 and only uniform at K = 10 got right, model by model (McNemar's "
        "exact test, not adjusted): seed 0: 160 and 150 (p = 0.609); seed 1: 150 and 138 (p = 0.517); "
        "seed 2: 151 and 145 (p = 0.771)."
    )
    assert "McNemar" not in said(compare(out, ["uniform", "beta"]))
    assert len(verdicts(compare(out, ["uniform", "uniform,K=10"], metric="distance"))) == 1


def test_one_model_in_one_step_and_in_ten(tmp_path):
    add(tmp_path, "beta", [850])
    add(tmp_path, "beta", [850], steps=10, from_end=True)
    assert said(compare(tmp_path, ["beta", "beta,K=10"])) == (
        "One seed: nothing can be said about the schedule; on this one model, beta at K = 1 and beta at K = "
        "10 differ by +0.0 points [-2.9, +2.9] (Newcombe, 90 %; McNemar p = 1.000)."
    )


def test_every_k_that_is_asked_for_is_compared(out):
    for label in ("uniform", "beta"):
        add(out, label, UNIFORM if label == "beta" else BETA, steps=10)
    pairs = compare(out, ["beta", "uniform"], steps=(1, 10)).pairs
    assert [pair.at for pair in pairs] == [" at K = 1", " at K = 10"]
    assert pairs[0].means[0] == pytest.approx(pairs[1].means[1])
    assert len(compare(out, ["beta,K=10", "uniform,K=10"], steps=(1, 10)).pairs) == 1, "each pair once"
    assert "beta at K = 1 and uniform at K = 10 " in said(compare(out, ["beta", "uniform,steps=10"]))


def test_metrics_other_than_the_headline_are_higher_or_lower(out):
    comparison = compare(out, ["shift:4", "uniform", "beta"], metric="distance", margin=0.02)
    assert comparison.set_metrics == ("distance",), "the other two are of each example"
    assert "shift:4 is lower than uniform in distance at K = 1: -0.0293 [-0.0345, -0.0242]" in said(
        comparison
    )
    assert "3.115" in printed(comparison) and "points" not in printed(comparison)
    assert "equivalent within 0.05 in distance" in said(
        compare(out, ["edm", "beta"], metric="distance", margin=0.05)
    )


def test_conditions_choose_among_variants(out):
    large: dict[str, Any] = {"model": {"encoder": "large"}}
    add(out, "uniform", [900, 909, 904], **large)
    add(out, "uniform", [910, 921, 913], **large, sampler="heun")
    assert refused(out, "uniform", "beta") == (
        "uniform at K = 1 matches several variants; add encoder=base or large, sampler=euler or heun."
    )
    assert "uniform,encoder=large at K = 1" in refused(out, "uniform,encoder=large", "beta")
    [pair] = compare(out, ["uniform,sampler=heun,encoder=large,batch_size=8.0", "beta"]).pairs
    assert pair.means[0] == pytest.approx(np.mean([0.910, 0.921, 0.913]))
    assert pair.first == "uniform (encoder=large, batch size=8, sampler=heun)"
    assert pair.second == "beta (encoder=base, sampler=euler)"


def test_draws_are_chosen_by_either_name_and_listed_where_none_is_chosen(out):
    for draws in (16, 2, 8):
        add(out, "uniform", [900 + draws, 901, 902], draws=draws)
    assert refused(out, "uniform", "beta").endswith("matches several variants; add draws=1, 2, 8 or 16.")
    for name in ("M", "draws"):
        [pair] = compare(out, [f"uniform,{name}=8", "uniform,M=1"]).pairs
        assert pair.first == "uniform (draws=8) at K = 1" and pair.means[0] == pytest.approx(0.9037, abs=1e-4)
        assert pair.second == "uniform (draws=1) at K = 1" and not pair.at
    assert "unknown draws of uniform, '4'" in refused(out, "uniform,M=4", "beta")
    assert "names a condition twice" in refused(out, "uniform,M=8,draws=8", "beta")


def test_a_prediction_is_named_as_tables_do(out):
    add(out, "uniform", [900, 909, 904], prediction="data")
    [pair] = compare(out, ["data(uniform)", "uniform"]).pairs
    assert pair.first == "data(uniform)"
    for name in ("predict", "prediction"):
        hint = "a selection names its prediction as tables do; write data(uniform)."
        assert refused(out, f"uniform,{name}=data", "beta") == f"{name}=data: {hint}"
    assert "; write uniform." in refused(out, "data(uniform),predict=velocity", "beta")
    assert "; none of these like beta predicts data." in refused(out, "beta,predict=data", "edm")


def test_variants_are_refused_even_where_no_seed_is_there_twice(out):
    add(out, "uniform", [900], first_seed=3, recipe={"batch_size": 16.0})
    assert "add batch size=8 or 16" in refused(out, "uniform", "beta")


def test_another_folder(out, tmp_path):
    other = tmp_path / "other"
    add(other, "uniform", [880, 889, 886], recipe={"batch_size": 16.0})
    sentence = said(compare(out, [f"{other}::uniform", "uniform"]))
    assert (
        f"uniform (batch size=16, in {other}) is better than uniform (batch size=8, in {out}) at" in sentence
    )


@pytest.mark.parametrize(
    "selectors, message",
    [
        (
            ["unifrom", "beta"],
            r"unknown schedule in .*out, 'unifrom'. Did you mean 'uniform'\? Available: beta, edm",
        ),
        (["beta,encodr=base", "edm"], "unknown condition on beta, 'encodr'. Did you mean 'encoder'"),
        (["beta,encoder=bas", "edm"], "unknown encoder of beta, 'bas'. Did you mean 'base'"),
        (["beta,K=4", "edm"], "beta was not decoded at K = 4; there is K = 1."),
        (["beta,K=x", "edm"], "K='x' in 'beta,K=x' is not a number of steps"),
        (["beta,K=1,steps=2", "edm"], "'beta,K=1,steps=2' names a condition twice"),
        (["beta,base", "edm"], "'beta,base' is not of the form"),
        (["beta,", "edm"], "'beta,' is not of the form"),
        (["", "edm"], "'' is not of the form"),
        (["beta", "beta,K=1"], "beta at K = 1 would be compared with itself"),
        (["beta"], "two selections or more, got 1"),
        (["nowhere::beta", "edm"], "nowhere holds no results"),
    ],
)
def test_bad_selectors(out, selectors, message):
    assert re.search(message, refused(out, *selectors))


def test_bad_options(out):
    assert "Did you mean 'distance'" in refused(out, "beta", "edm", metric="distanse")
    for margin in (0.0, -1.0, float("nan"), float("inf")):
        assert f"--margin must be a number above 0, got {margin:g}." in refused(
            out, "beta", "edm", margin=margin
        )
    assert "a number of steps K, got none" in refused(out, "beta", "edm", steps=())


@pytest.mark.parametrize(
    "settings, what",
    [
        ({"task": "waves"}, "task points and waves"),
        ({"task": "points-v2"}, "task points and points-v2"),
        ({"data": {"side": "4"}}, "side 4 and none"),
        ({"noise_seed": 1}, "noise seed 0 and 1"),
        ({"n": 2000}, "number of examples 1000 and 2000"),
    ],
)
def test_results_that_share_no_examples_are_not_compared(out, tmp_path, settings, what):
    other = tmp_path / "other"
    add(other, "uniform", UNIFORM, **settings)
    assert refused(out, "beta", f"{other}::uniform") == (
        f"beta and uniform share no examples, so cannot be paired: {what}."
    )


def test_a_metric_that_only_one_of_them_has(out, tmp_path):
    for folder, distance in (("without", None), ("broken", float("nan"))):
        add(tmp_path / folder, "edm", EDM, distance=distance)
        message = refused(out, "beta", f"{tmp_path / folder}::edm", metric="distance")
        assert message == "edm, seed 0, has no number for distance."


def test_altered_outcomes_are_refused(tmp_path):
    add(tmp_path, "uniform", [850])
    add(tmp_path, "beta", [870])
    [file, _] = sorted(tmp_path.rglob("outcomes.csv"))
    file.write_text(file.read_text().replace("0.0,", "1.0,", 1))
    with pytest.raises(DamagedError, match="checksum"):
        compare(tmp_path, ["beta", "uniform"])


def test_nothing_is_written(out):
    def contents() -> dict[Path, float]:
        return {path: path.stat().st_mtime for path in out.rglob("*")}

    before = contents()
    printed(compare(out, ["beta", "uniform"]))
    assert contents() == before


@given(texts("beta:shift4@,=K=1 encoder::/"))
def test_whatever_is_selected_it_is_a_selector_or_refused(text):
    selector = parsed(lambda: Selector.parse(text, Path("out")))
    assert selector is None or selector.label


def test_a_number_of_steps_without_end_is_refused():
    with pytest.raises(UsageError, match="is not a number of steps"):
        Selector.parse("beta,K=" + "9" * 5000, Path("out"))
