"""Differences that verdicts rest on, where the test is known, alone and together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from toyflow import stats
from toyflow.report.contrasts import ByExample, Contrast
from toyflow.report.effects import Effect, difference, each_told, together, weakest
from toyflow.report.judgement import conclude, decide, decided_together


def made(differences, within=(-1.0, 1.0)) -> Contrast:
    """A contrast of these differences by seed and example."""
    table = pd.DataFrame(differences)
    means = table.mean(axis=1)
    return Contrast(means, 0 * means, (), read=lambda: ByExample(table, within))


def seeds(*values, at=0.5) -> Contrast:
    """A contrast of these differences by seed, without outcomes."""
    found = pd.Series(values, dtype=float)
    return Contrast(at + found, 0 * found + at, ())


def t_test(values, bound, alternative="two-sided"):
    """P-value of Student's t-test."""
    return float(np.asarray(ttest_1samp(values, bound, alternative=alternative))[1])


def test_a_verdict_is_for_new_examples_too():
    """Every seed gains the same four of fifty examples: certain on this test set, not on another one."""
    four = np.zeros((12, 50))
    four[:, :4] = 1
    four[0, 4] = 1  # so that seeds have a spread
    over = made(four)
    assert over.interval().low > 0.07 and Effect("", over).verdict == "agree"
    assert Effect("", over, 0.03).verdict == "undecided"
    assert difference(over, confidence=0.90).startswith("+8.2 points [90 %: +")


def test_seeds_that_agree_on_every_example_are_judged_by_the_examples():
    """Both methods are right on all examples at all seeds: equivalent as far as the test set resolves."""
    alike, few = made(np.zeros((3, 500))), made(np.zeros((3, 50)))
    assert not alike.has_spread
    for kind in ("not worse", "equivalent"):
        assert Effect("", alike, -0.02, kind).verdict == "agree"
        undecided = Effect("", few, -0.02, kind)
        assert undecided.verdict == "undecided" and undecided.needed().startswith("more test examples")


@pytest.mark.parametrize(
    ("values", "kind", "verdict"),
    [
        ((0.10, 0.11, 0.12), "difference", "agree"),
        ((-0.10, -0.11, -0.12), "difference", "disagree"),
        ((-0.01, 0.00, 0.01), "difference", "undecided"),
        ((-0.01, -0.012, -0.008), "not worse", "agree"),
        ((0.30, 0.31, 0.32), "not worse", "agree"),
        ((-0.05, -0.06, -0.055), "not worse", "disagree"),
        ((-0.03, -0.02, -0.01), "not worse", "undecided"),
        ((0.001, 0.002, -0.001), "equivalent", "agree"),
        ((0.30, 0.31, 0.32), "equivalent", "disagree"),
        ((-0.30, -0.31, -0.32), "equivalent", "disagree"),
        ((0.019, 0.018, 0.021), "equivalent", "undecided"),
    ],
)
def test_kinds_of_tests(values, kind, verdict):
    floor = 0.0 if kind == "difference" else -0.02
    effect = Effect("a minus b", seeds(*values), floor, kind)
    assert effect.verdict == verdict == decide([effect])


def test_p_is_that_of_students_t_tests():
    values = (0.01, 0.004, 0.012, 0.02)
    over = seeds(*values)
    assert Effect("", over).p == pytest.approx(t_test(values, 0.0), abs=1e-6)
    above = t_test(values, -0.02, alternative="greater")
    below = t_test(values, 0.02, alternative="less")
    assert Effect("", over, -0.02, "not worse").p == pytest.approx(above, abs=1e-6)
    assert Effect("", over, -0.02, "equivalent").p == pytest.approx(max(above, below), abs=1e-6)
    contrary = Effect("", seeds(*(-value for value in values)), 0.002, "not worse")
    other_side = t_test([-value for value in values], 0.002, alternative="less")
    assert contrary.p == pytest.approx(other_side, abs=1e-6) and contrary.verdict == "disagree"


def test_effects_together_are_adjusted_and_may_be_undecided():
    clear, marginal = seeds(0.10, 0.11, 0.12), seeds(0.11, 0.20, 0.19)
    effects = [Effect("clear", clear), Effect("marginal", marginal), Effect("one seed", seeds(0.1))]
    assert [each.verdict for each in effects] == ["agree", "agree", "undecided (one seed)"]
    tested = together(effects)
    assert [each.adjusted for each in tested] == stats.holm([each.p for each in effects])
    assert [each.verdict for each in tested] == ["agree", "undecided", "undecided (one seed)"]
    assert tested[1].adjusted == pytest.approx(2 * (effects[1].p or 0)), (
        "a test that could not be made counts"
    )
    assert tested[1].level == 0.025, "as two are open"
    assert "by Holm's method" in tested[0].told and "Holm" not in effects[0].told
    assert each_told(effects).endswith(
        "one seed +10.0 points, p n/a (p adjusted by Holm's method over 3 tests)"
    )


def test_one_of_several_schedules_that_shows_the_contrary_refutes_their_mean():
    parts = {"uniform": seeds(0.5, 0.51, 0.52), "shift:4": seeds(-0.10, -0.11, -0.12)}
    effect = Effect("gain", seeds(0.20, 0.20, 0.21), parts=parts)
    assert effect.verdict == "disagree"
    assert effect.title == "gain, mean over uniform and shift:4"
    assert effect.part("uniform").verdict == "agree" and effect.part("uniform").title == "gain, under uniform"


def test_a_claim_is_decided_by_what_was_tested_with_other_claims():
    alone = Effect("a minus b", seeds(0.11, 0.20, 0.19))
    judgement = conclude("Something", alone)
    assert judgement.verdict == "agree"
    others = [Effect(f"open {n}", seeds(0.1, -0.1, 0.01 * n)) for n in range(3)]
    named, *_ = together([alone, *others])
    together_undecided = decided_together(judgement, [named], [0])
    assert together_undecided.verdict == "undecided" and "over the 4 tests" in together_undecided.evidence
    assert "seeds" in together_undecided.needed and together_undecided.effects == (named,)
    [named] = together([alone])
    assert decided_together(judgement, [named], [0]).verdict == "agree"


def test_more_seeds_are_needed_than_there_are():
    """Three seeds had a fair chance, and showed nothing: more are needed all the same."""
    effect = Effect("", seeds(0.05, 0.10, 0.14), 0.0)
    assert effect.verdict == "undecided"
    words = effect.needed().split()
    assert words[0] == "about" and int(words[1]) > 3


def test_equivalence_near_its_bound_takes_more_seeds_than_in_the_middle():
    def count(*values):
        return int(Effect("", seeds(*values), -0.02, "equivalent").needed().split()[1])

    assert count(-0.02, 0.001, 0.02) < count(-0.01, 0.011, 0.03)


def test_the_weakest_is_what_refutes_then_what_is_open_then_what_is_least_sure():
    clear, sure = Effect("clear", seeds(0.10, 0.11, 0.12)), Effect("sure", seeds(0.10, 0.12, 0.15))
    undecided = Effect("undecided", seeds(-0.01, 0.0, 0.02))
    against = Effect("against", seeds(-0.10, -0.11, -0.12))
    of_one_seed = Effect("one seed", seeds(0.3))
    for effects in ((clear, sure, undecided, against), (clear, sure, undecided), (clear, sure)):
        assert weakest(effects) is weakest(effects[::-1]) is effects[-1]
    assert weakest([clear, of_one_seed]) is of_one_seed


def test_the_weakest_of_a_mean_over_schedules_is_the_schedule_that_refutes_it():
    parts = {"uniform": seeds(0.30, 0.31, 0.32), "shift:4": seeds(-0.10, -0.11, -0.12)}
    mean = Effect("gain", seeds(0.10, 0.10, 0.11), parts=parts)
    assert mean.holds and mean.verdict == "disagree"
    found = weakest([mean])
    assert found.name == "gain, under shift:4" and not found.holds


def test_what_is_to_be_said_beside_the_scores_stands_beside_their_difference():
    over = replace(seeds(0.10, 0.11, 0.12), remarks=("2 errors left out",))
    assert Effect("", over).told.endswith("+13.5] (2 errors left out)")
    for made_of in (over.reversed(), over.minus(seeds(0.0, 0.1, 0.2))):
        assert made_of is not None and made_of.remarks == over.remarks
