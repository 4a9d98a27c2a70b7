import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from toyflow.stats import mean_zero_p, over_seeds, paired_proportions, wilson


def pairs(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    cells = (
        [(True, True)] * both
        + [(True, False)] * first
        + [(False, True)] * second
        + [(False, False)] * neither
    )
    one, two = np.array(cells).T
    return one, two


def test_wilson_on_a_published_example():
    interval = wilson(81, 263)  # Newcombe 1998, table I
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_wilson_stays_inside_at_the_ends():
    assert wilson(0, 20).low == 0 and wilson(0, 20).high == pytest.approx(0.1611, abs=1e-4)
    assert wilson(20, 20).high == 1


def test_wilson_covers():
    rng = np.random.default_rng(0)
    hits = [wilson(int(k), 625) for k in rng.binomial(625, 0.87, 2000)]
    assert np.mean([i.low <= 0.87 <= i.high for i in hits]) == pytest.approx(0.95, abs=0.015)


def test_without_correlation_the_paired_interval_is_square_and_add():
    difference = paired_proportions(*pairs(both=40, first=40, second=10, neither=10)).difference
    one, two = wilson(80, 100, 0.90), wilson(50, 100, 0.90)
    assert difference.estimate == pytest.approx(0.3)
    assert difference.low == pytest.approx(0.3 - math.hypot(0.8 - one.low, two.high - 0.5))
    assert difference.high == pytest.approx(0.3 + math.hypot(one.high - 0.8, 0.5 - two.low))


def test_correlated_pairs_give_a_narrower_interval():
    loose, tight = (paired_proportions(*pairs(*p)).difference for p in [(40, 40, 10, 10), (50, 30, 0, 20)])
    assert tight.estimate == pytest.approx(loose.estimate)
    assert tight.high - tight.low < 0.85 * (loose.high - loose.low)


def test_the_paired_interval_covers():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(600):
        common = rng.random(625) < 0.84
        one, two = common | (rng.random(625) < 0.2), common | (rng.random(625) < 0.1)
        interval = paired_proportions(one, two).difference
        covered.append(interval.low <= 0.16 * (0.2 - 0.1) <= interval.high)
    assert np.mean(covered) == pytest.approx(0.90, abs=0.04)


def test_mcnemar_is_the_sign_test_on_the_discordant():
    test = paired_proportions(*pairs(500, 15, 5, 105))
    assert (test.first_only, test.second_only) == (15, 5)
    assert test.p_value == pytest.approx(scipy_stats.binomtest(15, 20).pvalue)
    assert test.difference.estimate == pytest.approx(10 / 625)


def test_equal_outcomes_differ_by_nothing():
    test = paired_proportions(*pairs(500, 0, 0, 125))
    assert test.p_value == 1 and test.difference.estimate == 0
    assert -0.01 < test.difference.low <= 0 <= test.difference.high < 0.01


def test_swapping_the_methods_mirrors_the_interval():
    one, two = pairs(400, 30, 10, 185)
    there, back = paired_proportions(one, two).difference, paired_proportions(two, one).difference
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="same, non-zero number"):
        paired_proportions(np.array([], dtype=bool), np.array([], dtype=bool))


def test_intervals_over_seeds():
    interval = over_seeds([0.80, 0.85, 0.90])
    low, high = scipy_stats.t.interval(0.95, 2, loc=0.85, scale=scipy_stats.sem([0.80, 0.85, 0.90]))
    assert (interval.low, interval.high) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="two seeds"):
        over_seeds([0.8])


def test_the_t_test_of_no_difference():
    assert mean_zero_p([0.0, 0.0, 0.0]) == 1
    assert mean_zero_p([0.032, 0.032]) == 1, "seeds without spread tell nothing"
    t = 0.2 / (0.1 / math.sqrt(3))
    assert mean_zero_p([0.1, 0.2, 0.3]) == pytest.approx(2 * scipy_stats.t.sf(t, 2))
