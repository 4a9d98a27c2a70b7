import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from toyflow.stats import (
    CROSSED,
    CROSSED_RESOLUTION,
    NEWCOMBE,
    POOLED_NEWCOMBE,
    RESOLUTION,
    WILSON,
    T,
    crossed,
    difference_over_seeds,
    equivalence_p,
    equivalence_power,
    has_spread,
    holm,
    mean_over_conditions,
    mean_zero_p,
    over_seeds,
    paired_proportions,
    pooled_difference,
    proportion_over_seeds,
    ratio_over_conditions,
    seed_test,
    seeds_needed,
    t_test_power,
    unpaired_difference,
    upper_deviation,
    variances_of_mean,
    wilson,
)


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
    assert mean_zero_p([0.0, 0.0, 0.0]) is None
    assert mean_zero_p([0.032, 0.032]) is None, "seeds without spread give no test"
    t = 0.2 / (0.1 / math.sqrt(3))
    assert mean_zero_p([0.1, 0.2, 0.3]) == pytest.approx(2 * scipy_stats.t.sf(t, 2))


@pytest.mark.parametrize("hits", [[5, 5, 5], [0, 0, 0]])
def test_seeds_that_agree_have_the_interval_of_all_their_examples(hits):
    interval, expected = proportion_over_seeds(hits, [5, 5, 5]), wilson(sum(hits), 15)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    # Wilson 1927 by hand: z^2 / (n + z^2) is how far the interval of 0 or n successes reaches
    width = 1.959964**2 / (15 + 1.959964**2)
    assert interval.high - interval.low == pytest.approx(width, abs=1e-6)
    assert interval.estimate == hits[0] / 5 and interval.method == RESOLUTION


def test_seeds_that_differ_have_the_t_interval():
    interval, student = proportion_over_seeds([80, 85, 90], [100] * 3), over_seeds([0.80, 0.85, 0.90])
    assert interval == student and interval.method == T


def test_the_bounds_of_a_proportion_stay_inside():
    interval = proportion_over_seeds([100, 98, 100], [100] * 3)
    assert over_seeds([1.0, 0.98, 1.0]).high > 1 == interval.high and interval.method == T
    assert proportion_over_seeds([0, 2, 0], [100] * 3).low == 0 > over_seeds([0.0, 0.02, 0.0]).low


def test_seeds_that_agree_have_the_resolution_of_the_test_set():
    alike = proportion_over_seeds([545] * 3, [625] * 3)
    half = 1.959964**2 / (1875 + 1.959964**2)  # 0.2 %: Wilson's upper bound of 0 of 1875
    assert (alike.low, alike.high) == pytest.approx((0.872 - half, 0.872 + half))
    assert alike.method == RESOLUTION
    four = proportion_over_seeds([545, 545, 545, 546], [625] * 4)  # t alone: 0.13 %, the resolution 0.15 %
    assert four.method == RESOLUTION and four.estimate == pytest.approx(2181 / 2500)
    assert four.high - four.estimate == pytest.approx(1.959964**2 / (2500 + 1.959964**2))


@pytest.mark.parametrize("hits, n", [([545, 545, 546], 625), ([5, 5, 4], 5), ([545, 546, 547], 625)])
def test_three_seeds_that_differ_by_an_example_have_the_t_interval(hits, n):
    interval, student = proportion_over_seeds(hits, [n] * 3), over_seeds([hit / n for hit in hits])
    assert interval.method == T and (interval.low, interval.high) == (student.low, min(1.0, student.high))


@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=6), st.integers(1, 20), st.integers(1, 20),
    st.integers(500, 5000), st.sampled_from([0.90, 0.95]),
)  # fmt: skip
def test_more_spread_never_narrows_an_interval(offsets, small, more, n, confidence):
    """Every seed's distance from the same mean is stretched by the same factor."""
    seeds = len(offsets)
    distances = np.array(offsets) * seeds - sum(offsets)  # their sum is 0

    def hits(factor: int) -> list[int]:
        return (n // 2 + factor * distances).tolist()

    assume(max(hits(small + more)) <= n and min(hits(small + more)) >= 0)
    none, narrow, wide = (
        proportion_over_seeds(hits(factor), [n] * seeds, confidence) for factor in (0, small, small + more)
    )
    assert 0 < none.high - none.low <= narrow.high - narrow.low <= wide.high - wide.low


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(0, 5))
def test_intervals_of_seeds_have_no_jump(hits, seed):
    """One example more at one seed moves the bounds by a few examples at most: by 1 / k, and t times the
    largest change of the standard error."""
    n, k = 1000, len(hits)
    near = [*hits]
    near[seed % k] += 1
    one, two = (proportion_over_seeds([300 + hit for hit in each], [n] * k) for each in (hits, near))
    step = (1 + scipy_stats.t.ppf(0.975, k - 1)) / k / n * (1 + 1e-9)
    assert abs(two.low - one.low) <= step and abs(two.high - one.high) <= step


def test_one_seed_has_wilsons_interval():
    assert proportion_over_seeds([81], [263]) == wilson(81, 263)
    assert wilson(81, 263).method == WILSON


@pytest.mark.parametrize("p", [0.5, 0.9, 0.998])
def test_intervals_of_proportions_over_seeds_cover(p):
    hits = np.random.default_rng(0).binomial(200, p, (1000, 3)).tolist()
    intervals = [proportion_over_seeds(each, [200] * 3) for each in hits]
    assert all(i.low < i.high for i in intervals)
    assert np.mean([i.low <= p <= i.high for i in intervals]) > 0.93


def test_spread_is_more_than_rounding():
    assert not has_spread([0.5]) and not has_spread([0.5, 0.5]) and not has_spread([0.0, 0.0])
    assert has_spread([0.5, 0.501]) and not has_spread([0.5, float(np.float32(0.5) * (1 + 1e-7))])
    assert has_spread([0.0, 1e-8]) and not has_spread([0.0, 1e-8], 0.9), "of differences, the numbers' scale"


def test_differences_over_seeds_are_students_t_or_the_resolution():
    spread = [paired_proportions(*pairs(400, first, 10, 200)) for first in (20, 30, 40)]
    over = difference_over_seeds(spread)
    assert over == over_seeds([test.difference.estimate for test in spread], 0.90)
    alike = [paired_proportions(*pairs(40, 15, 5, 40))] * 3
    resolved = difference_over_seeds(alike)
    half = 1.644854**2 / (300 + 1.644854**2)
    assert (resolved.low, resolved.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert resolved.method == RESOLUTION


def test_a_difference_of_proportions_has_an_interval_within_its_bounds():
    all_of, none_of = np.ones(5, bool), np.zeros(5, bool)
    most = np.array([True, True, True, True, False])
    for right in ([all_of] * 3, [all_of, most]):
        over = difference_over_seeds([paired_proportions(each, none_of) for each in right])
        under = difference_over_seeds([paired_proportions(none_of, each) for each in right])
        assert over.low < over.estimate <= over.high == 1.0
        assert (under.low, under.high) == (-1.0, pytest.approx(-over.low))


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6), st.integers(2, 4))
def test_more_spread_never_narrows_the_interval_of_a_difference(firsts, factor):
    def width(wins: list[int]) -> float:
        interval = difference_over_seeds([paired_proportions(*pairs(300, b, 20, 280 - b)) for b in wins])
        return round(interval.high - interval.low, 12)

    assert 0 < width([firsts[0]] * len(firsts)) <= width(firsts) <= width([factor * b for b in firsts])


def test_perfect_methods_differ_by_newcombes_interval_of_all_examples():
    perfect = [paired_proportions(*pairs(5, 0, 0, 0))] * 3
    over, pooled = difference_over_seeds(perfect), pooled_difference(perfect)
    assert (over.low, over.high) == pytest.approx((pooled.low, pooled.high)) and over.low < 0 < over.high


def test_differences_of_all_examples_are_those_of_one_large_sample():
    alike = [paired_proportions(*pairs(40, 15, 5, 40))] * 3
    pooled, one_test = pooled_difference(alike), paired_proportions(*pairs(120, 45, 15, 120))
    assert (pooled.low, pooled.high) == (one_test.difference.low, one_test.difference.high)
    assert pooled.low < pooled.estimate == 0.1 < pooled.high
    assert (pooled.method, one_test.difference.method) == (POOLED_NEWCOMBE, NEWCOMBE)


def test_unpaired_differences_on_a_published_example():
    interval = unpaired_difference((56, 70), (48, 80), 0.95)  # Newcombe 1998, table II, example a, method 10
    assert interval.estimate == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


ONE, TWO = [0.886, 0.890, 0.880, 0.871], [0.860, 0.878, 0.851, 0.869]


def test_the_test_over_seeds_is_the_paired_t_test():
    test, reference = seed_test(ONE, TWO, 0.02), scipy_stats.ttest_rel(ONE, TWO)
    assert test is not None and test.paired
    assert test.p_value == pytest.approx(reference.pvalue)
    for interval, confidence in ((test.difference, 0.95), (test.within, 0.90)):
        expected = reference.confidence_interval(confidence)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    differences = np.subtract(ONE, TWO)
    assert test.difference.estimate == pytest.approx(differences.mean())
    assert test.deviation == pytest.approx(differences.std(ddof=1))


def test_pairing_removes_what_seeds_share():
    one, two = [0.05, 0.15, 0.25, 0.35, 0.45], [0.01, 0.1, 0.2, 0.3, 0.39]
    paired, apart = seed_test(one, two, 0.02), seed_test(one, two, 0.02, paired=False)
    assert paired is not None and apart is not None
    assert paired.p_value < 0.001 < 0.5 < apart.p_value


def test_without_common_seeds_it_is_welch():
    test = seed_test(ONE, TWO[:3], 0.02, paired=False)
    assert test is not None and not test.paired and test.effect is None
    variances = np.var(ONE, ddof=1) / 4, np.var(TWO[:3], ddof=1) / 3
    error = math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 3 + variances[1] ** 2 / 2)
    mean = np.mean(ONE) - np.mean(TWO[:3])
    assert test.p_value == pytest.approx(2 * scipy_stats.t.sf(mean / error, freedom))
    assert test.within.high == pytest.approx(mean + error * scipy_stats.t.ppf(0.95, freedom))


@pytest.mark.parametrize("paired", [True, False])
def test_equivalence_is_the_90_percent_interval_within_the_margin(paired):
    test = seed_test(ONE, TWO, 0.02, paired)
    assert test is not None
    furthest = max(abs(test.within.low), abs(test.within.high))
    for margin, equivalent in ((furthest * 0.999, False), (furthest * 1.001, True)):
        again = seed_test(ONE, TWO, margin, paired)
        assert again is not None and (again.equivalence_p < 0.05) is equivalent


def test_exchanging_the_methods_mirrors_the_test():
    there, back = seed_test(ONE, TWO, 0.02), seed_test(TWO, ONE, 0.02)
    assert there is not None and back is not None and there.effect is not None and back.effect is not None
    assert (there.p_value, there.equivalence_p) == pytest.approx((back.p_value, back.equivalence_p))
    assert (there.effect.low, there.effect.high) == pytest.approx(
        (-back.effect.high, -back.effect.low), rel=1e-4
    )


def test_the_effect_size_puts_the_observed_t_at_either_tail():
    spread = np.arange(-4.0, 5.0) / np.std(np.arange(-4.0, 5.0), ddof=1)
    test = seed_test((spread + 2 / 3).tolist(), [0.0] * 9, 0.02)  # t = 2
    assert test is not None and test.effect is not None
    assert test.effect.estimate == pytest.approx(2 / 3)
    assert scipy_stats.nct.sf(2, 8, 3 * test.effect.low) == pytest.approx(0.025, abs=1e-5)
    assert scipy_stats.nct.cdf(2, 8, 3 * test.effect.high) == pytest.approx(0.025, abs=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_effect_sizes_have_no_seam_where_they_are_huge(sign):
    def effect(t: float) -> tuple[float, float]:
        test = seed_test([sign * (t - 1), sign * t, sign * (t + 1)], [0.0, 0.0, 0.0], 0.02)
        assert test is not None and test.effect is not None
        return test.effect.low / t, test.effect.high / t

    below, above, far = effect(570), effect(585), effect(5e5)  # t = d_z times the root of 3
    assert above == pytest.approx(below, rel=2e-3) and far == pytest.approx(above, rel=2e-3)
    assert below[0] < below[1] and above[0] < above[1]


def test_intervals_of_differences_and_effects_cover():
    rng = np.random.default_rng(0)
    tests = [seed_test(rng.normal(0.8, 1, 5).tolist(), [0.0] * 5, 1.0) for _ in range(300)]
    intervals = [(t.difference, t.effect) for t in tests if t is not None and t.effect is not None]
    for kind in zip(*intervals, strict=True):
        assert np.mean([i.low <= 0.8 <= i.high for i in kind]) == pytest.approx(0.95, abs=0.03)


def test_seeds_without_spread_give_no_test():
    rounded = np.array([0.8672, 0.8704, 0.8512], np.float32)  # as metrics are stored
    assert seed_test(rounded.tolist(), (rounded - np.float32(0.0032)).tolist(), 0.02) is None
    assert seed_test([0.5, 0.5], [0.4, 0.4], 0.02, paired=False) is None
    assert seed_test([0.0, 0.0], [0.0, 0.0], 0.02) is None
    assert seed_test([0.5, 0.5], [0.4, 0.41], 0.02, paired=False) is None
    assert seed_test([0.5, 0.5], [0.4, 0.41], 0.02) is not None
    with pytest.raises(ValueError, match="two seeds"):
        seed_test([0.5], [0.4], 0.02)


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04; never falling: 0.06 last
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_holm_counts_a_test_that_could_not_be_made():
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]
    assert holm([None]) == [None] and np.isnan(holm([float("nan"), 0.5])[0])


def test_the_variances_of_a_mean_are_those_of_its_parts():
    """Seeds alone, examples alone, and neither."""
    by_seed, by_example = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0, 1.0, 5.0, 6.0]])
    parts = variances_of_mean(by_seed + by_example)
    assert parts.seeds == (pytest.approx(1 / 3), 2) and parts.cells == (pytest.approx(0), 6)
    assert parts.examples == (pytest.approx(np.var([0, 1, 5, 6], ddof=1) / 4), 3)
    rest = np.random.default_rng(0).normal(size=(200, 300))
    noise = variances_of_mean(rest)
    assert [part.value for part in noise] == pytest.approx([1 / 60_000] * 3, rel=0.3)


def test_holm_keeps_false_alarms_in_the_family_rare():
    rng = np.random.default_rng(0)
    assert np.mean([min(holm(rng.random(6).tolist())) < 0.05 for _ in range(2000)]) == pytest.approx(
        0.05, abs=0.015
    )


@pytest.mark.parametrize("effect, seeds", [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_for_a_difference_as_g_power_has_them(effect, seeds):
    assert seeds_needed(-effect, 1.0, 1.0).to_differ == seeds


def test_a_stricter_level_takes_more_seeds():
    usual, strict = seeds_needed(0.5, 1.0, 1.0), seeds_needed(0.5, 1.0, 1.0, 0.01)
    assert (strict.to_differ or 0) > 34
    assert (strict.to_be_equivalent or 0) > (usual.to_be_equivalent or 1000)


@pytest.mark.parametrize("freedom", [1, 2, 11])
def test_the_upper_bound_of_a_spread_is_above_it_four_times_in_five(freedom):
    drawn_spreads = np.random.default_rng(0).normal(size=(4000, freedom + 1)).std(1, ddof=1)
    bounds = np.array([upper_deviation(float(each), freedom) for each in drawn_spreads])
    assert np.mean(bounds > 1) == pytest.approx(0.8, abs=0.02)


def test_without_common_seeds_the_spread_has_welchs_degrees_of_freedom():
    test, paired = seed_test(ONE, TWO[:3], 0.02, paired=False), seed_test(ONE, TWO, 0.02)
    assert test is not None and paired is not None and paired.freedom == 3
    one, two = np.var(ONE, ddof=1), np.var(TWO[:3], ddof=1)
    assert test.freedom == pytest.approx((one + two) ** 2 / (one**2 / 3 + two**2 / 2))


def test_equivalence_by_intervals_is_that_of_the_two_one_sided_tests():
    test = seed_test(ONE, TWO, 0.04)
    differences = np.subtract(ONE, TWO).tolist()
    assert test is not None
    p = equivalence_p(lambda confidence: over_seeds(differences, confidence), 0.04)
    assert p == pytest.approx(test.equivalence_p, rel=1e-4)
    assert equivalence_p(lambda confidence: over_seeds(differences, confidence), 0.01) == 1
    pair = [paired_proportions(*pairs(500, 8, 5, 112))]
    p = equivalence_p(lambda confidence: pooled_difference(pair, confidence), 0.02)
    found = pooled_difference(pair, 1 - 2 * p)
    assert max(-found.low, found.high) == pytest.approx(0.02, rel=1e-6)


def drawn(true: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0).normal(true, 1, (20000, n))
    return draws.mean(1), draws.std(1, ddof=1) / math.sqrt(n)


@pytest.mark.parametrize("n, effect", [(3, 2.0), (8, 1.0), (34, 0.5)])
def test_power_as_simulated(n, effect):
    mean, error = drawn(effect, n)
    simulated = np.mean(mean / error > scipy_stats.t.ppf(0.975, n - 1))
    assert t_test_power(effect, n) == pytest.approx(simulated, abs=0.01)


@pytest.mark.parametrize("n, margin", [(3, 2.0), (3, 0.5), (8, 1.2), (36, 0.5)])
def test_equivalence_power_as_simulated(n, margin):
    mean, error = drawn(0, n)
    simulated = np.mean(np.abs(mean) + error * scipy_stats.t.ppf(0.95, n - 1) < margin)
    assert equivalence_power(margin, n) == pytest.approx(simulated, abs=0.01)


def test_the_number_of_seeds_is_the_least_that_does():
    needed = seeds_needed(0.9, 1.0, 0.7)
    assert needed.to_differ is not None and needed.to_be_equivalent is not None
    assert t_test_power(0.9, needed.to_differ) >= 0.8 > t_test_power(0.9, needed.to_differ - 1)
    least = needed.to_be_equivalent
    assert equivalence_power(0.7, least) >= 0.8 > equivalence_power(0.7, least - 1)


def test_more_seeds_than_anyone_trains_are_not_counted():
    assert seeds_needed(0.0, 1.0, 0.01) == seeds_needed(0.01, 1.0, 0.01)
    assert seeds_needed(0.0, 1.0, 0.01).to_differ is None
    assert seeds_needed(1e4, 1.0, 1e4).to_differ == seeds_needed(1e4, 1.0, 1e4).to_be_equivalent == 2


def test_a_mean_over_conditions_is_students():
    values = np.random.default_rng(0).normal(size=40)
    found, expected = mean_over_conditions(values), over_seeds(values.tolist())
    assert (found.low, found.estimate, found.high) == pytest.approx(
        (expected.low, expected.estimate, expected.high)
    )
    alike = mean_over_conditions(np.full(5, 2.0))
    assert (alike.low, alike.high) == (2, 2)


def test_conditions_that_come_in_groups_count_as_one_each():
    """Groups of equal values are as many values, however often each is repeated."""
    values = np.random.default_rng(0).normal(size=12)
    alone = mean_over_conditions(values)
    grouped = mean_over_conditions(np.repeat(values, 7), np.repeat(np.arange(12) * 3 + 5, 7))
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize("group", [1, 5])
def test_intervals_over_conditions_cover_means_and_ratios_of_skewed_values(group):
    """Exponential values that share half of their variance within a group; the ratio of two means."""
    draw, covered, times = np.random.default_rng(1), np.zeros(2), 2000
    groups = np.repeat(np.arange(100), group)
    for _ in range(times):
        shared = draw.exponential(size=100)[groups]
        whole = shared + draw.exponential(size=100 * group)
        part = whole * draw.uniform(size=100 * group)  # half of it, in the mean
        mean, ratio = mean_over_conditions(whole, groups), ratio_over_conditions(part, whole, groups)
        covered += [mean.low < 2 < mean.high, ratio.low < 0.5 < ratio.high]
    assert covered / times == pytest.approx([0.945, 0.945], abs=0.02)


def test_what_has_no_interval_over_conditions():
    assert math.isnan(ratio_over_conditions(np.zeros(3), np.zeros(3)).estimate)
    with pytest.raises(ValueError, match="two conditions"):
        mean_over_conditions(np.ones(4), np.zeros(4, int))


def table(seeds: int, examples: int, spread: tuple[float, ...], draw: np.random.Generator) -> np.ndarray:
    """A value per seed and example around 0: standard deviations of seeds, of examples and of the rest."""
    parts = draw.normal(size=(seeds, 1)), draw.normal(size=examples), draw.normal(size=(seeds, examples))
    return spread[0] * parts[0] + spread[1] * parts[1] + spread[2] * parts[2]


def bounds(interval) -> tuple[float, float, float]:
    return interval.low, interval.estimate, interval.high


def test_where_seeds_do_not_vary_the_crossed_interval_is_over_conditions():
    values = np.random.default_rng(0).normal(size=50)
    found = crossed(np.tile(values, (4, 1)), 0.90)
    assert bounds(found) == pytest.approx(bounds(mean_over_conditions(values, confidence=0.90)))
    assert found.method == CROSSED


def test_where_examples_do_not_vary_the_crossed_interval_is_over_seeds():
    values = np.random.default_rng(0).normal(size=5)
    found = crossed(np.tile(values[:, None], (1, 40)), 0.90)
    assert bounds(found) == pytest.approx(bounds(over_seeds(values.tolist(), 0.90)))


def test_the_crossed_variance_is_that_of_the_mean_squares_by_hand():
    # row means 2 4 7, column means 3 6 4, squares of the rest sum to 2; all four times, so 12 seeds
    found = crossed(np.tile([[1.0, 3, 2], [2, 6, 4], [6, 9, 6]], (4, 1)))
    seeds, examples, rest = 3 * 4 * 38 / 3 / 11, 12 * 14 / 3 / 2, 4 * 2 / 22
    freedom = (seeds + examples - rest) ** 2 / (seeds**2 / 11 + examples**2 / 2 + rest**2 / 22)
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt((seeds + examples - rest) / 36)
    over_examples = mean_over_conditions(np.array([3.0, 6, 4]))
    assert half < over_examples.high - over_examples.estimate, "which is the floor"
    assert bounds(found) == pytest.approx(bounds(over_examples))
    wide = crossed(np.tile([[1.0, 3, 2], [2, 6, 4], [6, 9, 6]], (4, 5)))  # and 15 examples
    seeds, examples, rest = 5 * seeds, 5 * 12 * 14 / 3 / 14, 5 * 4 * 2 / (11 * 14)
    freedom = (seeds + examples - rest) ** 2 / (seeds**2 / 11 + examples**2 / 14 + rest**2 / (11 * 14))
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt((seeds + examples - rest) / 180)
    assert wide.high - wide.estimate == pytest.approx(half)


@given(st.integers(2, 6), st.integers(2, 30), st.integers(0, 1000), st.sampled_from([0.90, 0.95]))
def test_what_speaks_of_seeds_and_examples_is_never_narrower_than_what_speaks_of_one(seeds, n, seed, level):
    draw = np.random.default_rng(seed)
    values = table(seeds, n, tuple(draw.uniform(size=3)), draw)
    half = crossed(values, level).high - values.mean()
    for alone in (
        over_seeds(values.mean(1).tolist(), level),
        mean_over_conditions(values.mean(0), None, level),
    ):
        assert half >= (alone.high - alone.estimate) * (1 - 1e-9)
    mirrored = crossed(-values, level)
    assert bounds(crossed(values, level)) == pytest.approx([-each for each in reversed(bounds(mirrored))])


@pytest.mark.parametrize("seeds", [2, 3, 12])
@pytest.mark.parametrize("examples", [100, 625])
def test_crossed_intervals_cover_new_seeds_and_new_examples(seeds, examples):
    """Seeds and examples share the variance of the mean; intervals over one of them alone do not cover it."""
    draw, covered, times = np.random.default_rng(seeds), np.zeros(3), 2000
    spread = math.sqrt(seeds / examples), 1.0, 0.7
    for _ in range(times):
        values = table(seeds, examples, spread, draw)
        both = crossed(values)
        alone = over_seeds(values.mean(1).tolist()), mean_over_conditions(values.mean(0))
        covered += [each.low < 0 < each.high for each in (both, *alone)]
    both, by_seeds, by_examples = covered / times
    assert 0.935 < both < 0.985 and by_examples < 0.88 and by_seeds < both


@pytest.mark.parametrize("threshold", [0.0, 1.2, 2.0])
def test_crossed_intervals_of_outcomes_cover(threshold):
    """An example is right where its value exceeds a threshold, which is higher for the second method."""
    draw, covered = np.random.default_rng(0), []
    thresholds = np.array([threshold, threshold + 0.1])
    one, two = scipy_stats.norm.sf(thresholds / math.hypot(0.05, 0.8, 0.6))
    for _ in range(500):
        shared = table(3, 200, (0.0, 0.8, 0.0), draw)
        first, second = (shared + table(3, 200, (0.05, 0.0, 0.6), draw) > each for each in thresholds)
        score = crossed(first.astype(float), within=(0, 1))
        difference = crossed(first.astype(float) - second, within=(-1, 1))
        assert 0 <= score.low < score.high <= 1
        covered.append((score.low <= one <= score.high, difference.low <= one - two <= difference.high))
    assert (np.mean(covered, axis=0) > 0.93).all()


def test_outcomes_that_all_agree_have_the_resolution_of_the_examples():
    right = crossed(np.ones((3, 100)), within=(0, 1))
    assert bounds(right) == pytest.approx(bounds(wilson(100, 100))) and right.method == CROSSED_RESOLUTION
    alike = crossed(np.zeros((3, 100)), 0.90, within=(-1, 1))
    half = 1.644854**2 / (100 + 1.644854**2)
    assert bounds(alike) == pytest.approx((-half, 0, half))


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)])
def test_one_seed_or_one_example_says_nothing_of_others(shape):
    with pytest.raises(ValueError, match="two or more of each"):
        crossed(np.zeros(shape))
