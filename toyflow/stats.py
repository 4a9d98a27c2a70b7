"""Intervals and tests. Proportions come as counts; differences are in the unit of the proportion.

Where seeds show no spread, Student's t has nothing to work with: its interval has no width and its p-value is
0 or undefined. Then there is no test over seeds, and intervals are as wide as the test set's resolution (see
`proportion_over_seeds`, `difference_over_seeds`). Everything that reports uses these two and `has_spread`.

Over 300 lines, so that every interval and test of a report is found in one place.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, overload

import numpy as np
import scipy  # whose parts load when they are first used
from jaxtyping import Bool, Float, Int

POWER = 0.8
"""The chance with which `seeds_needed` wants a true difference, or its absence, to be shown."""

MOST_SEEDS = 1000
"""Most seeds that `seeds_needed` tries."""

ROUNDING = 1e-6
"""Relative difference below which values are equal: metrics are means in float32."""

T = "new seeds on this test set: t"
RESOLUTION = "new seeds on this test set: its resolution"
OVER_CONDITIONS = "new conditions for this model: t"
WILSON = "new examples for this model: Wilson"
NEWCOMBE = "new examples for this model: Newcombe"
POOLED_NEWCOMBE = "new examples for these models: Newcombe"
CROSSED = "new seeds and new examples: t"
CROSSED_RESOLUTION = "new seeds and new examples: the test set's resolution"
"""What `Interval.method` can be: what the interval speaks of, and how it was found. For the resolutions see
`proportion_over_seeds` and `crossed`."""


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval."""

    estimate: float
    low: float
    high: float
    method: str = ""
    """Name of the method in tables."""


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same examples: McNemar's p-value, and the 90 % interval of first - second. That
    interval within +-margin is two one-sided tests at 5 %: equivalence. Not significant is not the same."""

    both: int
    """Examples that both got right; then those that only one did."""
    first_only: int
    second_only: int
    examples: int
    difference: Interval
    p_value: float


@dataclass(frozen=True)
class SeedTest:
    """Mean of first - second over training seeds."""

    paired: bool
    """Student's t-test on the differences of equal seeds; else Welch's on seeds that none shares."""
    difference: Interval
    """The mean difference with its 95 % interval."""
    within: Interval
    """The same at 90 %: inside +-margin is two one-sided tests at 5 %."""
    p_value: float
    equivalence_p: float
    """The larger p of the two one-sided tests (Schuirmann 1987)."""
    deviation: float
    """Standard deviation of a seed's difference."""
    freedom: float
    """Degrees of freedom of `deviation`."""
    effect: Interval | None
    """d_z = mean / deviation with its interval at 95 %; None where unpaired."""


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds would be enough; None for more than `MOST_SEEDS`."""

    to_differ: int | None
    to_be_equivalent: int | None


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    rate = successes / trials  # against which a test has nothing to search for, as its p-value is 1
    interval = scipy.stats.binomtest(successes, trials, rate).proportion_ci(confidence, method="wilson")
    return Interval(rate, float(interval.low), float(interval.high), WILSON)


def has_spread(values: Sequence[float], scale: float | None = None) -> bool:
    """Whether one value per seed differs between seeds by more than rounding leaves.

    Args:
        values: one per seed. A single one has no spread.
        scale: the largest of the numbers that the values were computed from, if these are differences.
    """
    scale = float(np.max(np.abs(values))) if scale is None else scale
    return bool(np.ptp(values) > ROUNDING * scale)


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of one value per seed with Student's t-interval over the seeds; needs two or more.

    It speaks of seeds on this test set. It has no width where seeds show no spread (`has_spread`), and for
    proportions its bounds may leave [0, 1]: for these use `proportion_over_seeds`.
    """
    if len(values) < 2:
        raise ValueError("an interval over seeds needs two seeds or more")
    mean, error = float(np.mean(values)), float(scipy.stats.sem(values))
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half, T)


def mean_over_conditions(
    values: Float[np.ndarray, "n"], groups: Int[np.ndarray, "n"] | None = None, confidence: float = 0.95
) -> Interval:
    """Mean of one value per condition with Student's t-interval over the conditions; needs two or more.

    It speaks of one trained model on new conditions. t and not the bootstrap: the mean of hundreds of values
    is near normal, and t gives the same bounds at every call.

    Args:
        values: one per condition.
        groups: the number of each condition's group, such as its episode; conditions of a group are not
            independent, so that the interval is over groups (the cluster-robust one). None: each is its own.

    Example:
        >>> import numpy as np
        >>> from toyflow import stats
        >>> found = stats.mean_over_conditions(np.array([1.0, 2.0, 3.0]))
        >>> f"{found.estimate:g} [{found.low:.2f}, {found.high:.2f}]"
        '2 [-0.48, 4.48]'
    """
    return ratio_over_conditions(values, np.ones_like(values), groups, confidence)


def ratio_over_conditions(
    values: Float[np.ndarray, "n"],
    of: Float[np.ndarray, "n"],
    groups: Int[np.ndarray, "n"] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """sum(values) / sum(of), such as the share of a mean, with an interval over conditions by the delta
    method: Student's t on the residuals values - ratio * of. All NaN where sum(of) is not above 0.

    Args:
        values: one per condition.
        of: one per condition, what `values` are a part of.
        groups: as for `mean_over_conditions`.
    """
    numbers = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    if count < 2:
        raise ValueError("an interval over conditions needs two conditions, or groups of them, or more")
    if not of.sum() > 0:
        return Interval(math.nan, math.nan, math.nan, OVER_CONDITIONS)
    ratio = float(values.sum() / of.sum())
    residuals = np.bincount(numbers, values - ratio * of)
    error = math.sqrt(count / (count - 1) * float(np.square(residuals).sum())) / float(of.sum())
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Interval(ratio, ratio - half, ratio + half, OVER_CONDITIONS)


def rms_over_conditions(
    squares: Float[np.ndarray, "n"],
    less: Float[np.ndarray, "n"] | None = None,
    groups: Int[np.ndarray, "n"] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """A root mean square sqrt(mean(squares)), or the difference sqrt(mean(squares)) - sqrt(mean(less)) of two
    on the same conditions, with an interval over conditions by the delta method.

    Args:
        squares: squared errors, one per condition.
        less: those of another method; the same conditions in the same order.
        groups: as for `mean_over_conditions`.

    Example: all squares of one are 4, of the other 1.
        >>> import numpy as np
        >>> from toyflow import stats
        >>> stats.rms_over_conditions(np.full(5, 4.0), np.full(5, 1.0)).estimate
        1.0
    """
    root, tangent = _root(squares)
    if less is not None:
        other, other_tangent = _root(less)
        root, tangent = root - other, tangent - other_tangent
    mean = mean_over_conditions(tangent, groups, confidence)
    half = mean.high - mean.estimate
    return Interval(root, root - half, root + half, OVER_CONDITIONS)


def _root(squares: Float[np.ndarray, "n"]) -> tuple[float, Float[np.ndarray, "n"]]:
    """r = sqrt(mean(squares)), and squares / (2 r), which vary as r does with each of the squares."""
    root = math.sqrt(float(squares.mean()))
    return root, squares / (2 * root) if root else np.zeros_like(squares)


def proportion_over_seeds(hits: Sequence[int], trials: Sequence[int], confidence: float = 0.95) -> Interval:
    """Mean over seeds of a proportion with an interval inside [0, 1] that always has a width.

    - Two seeds or more: Student's t over seeds, or the test set's resolution where that is wider. It speaks
      of the expected score of a new training on this test set.
    - One seed: Wilson's, which speaks of the test set's error only.

    The resolution is z^2 / (N + z^2) to either side, with N the examples of all seeds: Wilson's upper bound
    of an event that none of N trials shows. Here the event is an example that another seed decides
    differently; so many can stay unseen where all seeds score the same. At scores of 0 and 1 the interval is
    Wilson's of all N examples. The resolution replaces t only where the standard deviation over seeds is
    below 0.7 examples. As the wider of t and a constant, the interval never gets narrower as the spread
    grows.

    Args:
        hits: successes, one count per seed.
        trials: examples, one count per seed.

    >>> five_of_five = proportion_over_seeds([5, 5, 5], [5, 5, 5])
    >>> f"[{five_of_five.low:.3f}, {five_of_five.high:.3f}] {five_of_five.method}"
    '[0.796, 1.000] new seeds on this test set: its resolution'
    """
    if len(hits) == 1:
        return wilson(hits[0], trials[0], confidence)
    rates = [hit / trial for hit, trial in zip(hits, trials, strict=True)]
    return within_0_and_1(_resolved(over_seeds(rates, confidence), sum(trials), confidence))


def _resolved(interval: Interval, examples: int, confidence: float) -> Interval:
    """`interval`, or that of the resolution of so many examples of all seeds where it is wider."""
    half = wilson(0, examples, confidence).high
    if interval.high - interval.estimate >= half:
        return interval
    return Interval(interval.estimate, interval.estimate - half, interval.estimate + half, RESOLUTION)


def crossed(
    values: Float[np.ndarray, "seeds examples"],
    confidence: float = 0.95,
    within: tuple[float, float] | None = None,
) -> Interval:
    """Mean of one value per seed and example, with an interval for new seeds AND new examples at once.

    An interval over seeds speaks of this test set only, as all seeds share its examples; one over examples
    speaks of these trained models only. Here both are random and crossed: value = mean + seed + example +
    rest. From the mean squares of the two-way analysis of variance, the variance of the mean is

        V = V_seeds + V_examples - V_cells
          = (MS_seeds + MS_examples - MS_rest) / (seeds * examples),

    where V_seeds is that of an interval over seeds alone and V_examples that of one over examples alone; both
    hold the rest, which is taken away once. Student's t has the degrees of freedom of Satterthwaite (1946).
    The interval is never narrower than either of the two alone: what speaks of more cannot be known better,
    and with 2 or 3 seeds V alone is too small too often.

    Simulated coverage at 95 %, for 2 to 12 seeds and 100 or 625 examples: 94 to 97 %, and up to 99 % with 2
    or 3 seeds that hardly differ. Without that floor it is 87 to 93 % with 2 seeds that do differ, and 92 to
    94 % with 3. What 2 or 3 seeds cost is width: 12.7 or 4.3 standard errors of the seeds' mean.

    Args:
        values: a row per seed, a column per example; two or more of each. Scores, or paired differences.
        confidence: of the interval.
        within: the least and the most that a value can be: (0, 1) where it says if an example is right, (-1,
            1) for differences of these. Then the interval stays within, and is at least as wide as the test
            set's resolution, most * z^2 / (N + z^2) to either side (see `proportion_over_seeds`), with N the
            number of examples: those of one seed, as they are the same.

    Raises:
        ValueError: one seed, or one example, which says nothing of others.

    Source: Owen (2007), The pigeonhole bootstrap; Cameron, Gelbach and Miller (2011), Robust inference with
    multiway clustering, whose third term is here that of the rest alone; Satterthwaite (1946).

    Example: all seeds find the same examples hard, so that only the examples vary.
        >>> import numpy as np
        >>> from toyflow import stats
        >>> found = stats.crossed(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
        >>> f"{found.estimate:g} [{found.low:.2f}, {found.high:.2f}]"
        '2 [-0.48, 4.48]'
    """
    seeds, examples = values.shape
    if min(seeds, examples) < 2:
        raise ValueError("an interval over seeds and examples needs two or more of each")
    mean, parts = float(values.mean()), variances_of_mean(values)
    halves = [_half_width(*parts.seeds, confidence), _half_width(*parts.examples, confidence)]
    variance = parts.seeds.value + parts.examples.value - parts.cells.value
    if variance > max(
        parts.seeds.value, parts.examples.value
    ):  # else the rest explains all of one of the two
        approximate = variance**2 / sum(part.value**2 / part.freedom for part in parts)
        halves.append(_half_width(variance, approximate, confidence))
    half = max(halves)
    if within is None:
        return Interval(mean, mean - half, mean + half, CROSSED)
    least, most = within
    z = float(scipy.special.ndtri((1 + confidence) / 2))
    resolution = most * z**2 / (examples + z**2)
    half, method = max((half, CROSSED), (resolution, CROSSED_RESOLUTION))
    return Interval(mean, max(least, mean - half), min(most, mean + half), method)


class Variance(NamedTuple):
    """An estimated variance, with its degrees of freedom."""

    value: float
    freedom: float


class CrossedVariances(NamedTuple):
    """The variances of a mean over seeds and examples of which that of `crossed` is made."""

    seeds: Variance
    """Of an interval over seeds alone: `cells` is part of it."""
    examples: Variance
    """Of one over examples alone: `cells` is part of it, too. Without `cells` it is what stays however many
    seeds there are."""
    cells: Variance
    """Of the rest, by which seeds differ in their examples."""


def variances_of_mean(values: Float[np.ndarray, "seeds examples"]) -> CrossedVariances:
    """V_seeds, V_examples and V_cells of `crossed`, from two or more seeds and examples.

    Example: the seeds agree.
        >>> import numpy as np
        >>> from toyflow import stats
        >>> stats.variances_of_mean(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])).seeds
        Variance(value=0.0, freedom=1.0)
    """
    seeds, examples = values.shape
    by_seed, by_example = values.mean(1), values.mean(0)
    rest = values - by_seed[:, None] - by_example + values.mean()
    freedom = (seeds - 1.0) * (examples - 1.0)
    return CrossedVariances(
        Variance(float(by_seed.var(ddof=1)) / seeds, seeds - 1.0),
        Variance(float(by_example.var(ddof=1)) / examples, examples - 1.0),
        Variance(float(np.square(rest).sum()) / freedom / (seeds * examples), freedom),
    )


def _half_width(variance: float, freedom: float, confidence: float) -> float:
    return float(scipy.special.stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)


def within_0_and_1(interval: Interval) -> Interval:
    """The part of the interval within [0, 1]."""
    return replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))


def mean_zero_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's t-test that the mean of one difference of proportions per seed is 0; None
    where these show no spread, which gives no test."""
    if not has_spread(differences, 1.0):
        return None
    return float(np.asarray(scipy.stats.ttest_1samp(differences, 0.0))[1])


def paired_proportions(first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"]) -> PairedTest:
    """McNemar's exact test and Newcombe's paired interval (1998, method 10) at 90 %, for equivalence."""
    if len(first) != len(second) or len(first) == 0:
        raise ValueError("paired outcomes must be of the same, non-zero number of examples")
    n, both = len(first), int(np.sum(first & second))
    b, c = int(np.sum(first & ~second)), int(np.sum(~first & second))
    p_value = float(scipy.stats.binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0
    return PairedTest(both, b, c, n, _newcombe_paired(both, b, c, n, 0.90), p_value)


def difference_over_seeds(tests: Sequence[PairedTest], confidence: float = 0.90) -> Interval:
    """Mean over seeds of first - second, from one `PairedTest` per seed, two or more: Student's t over seeds,
    or the test set's resolution where that is wider, as in `proportion_over_seeds`. Between two methods that
    score 0 or 1 at all seeds, that is Newcombe's interval of all examples. It stays within [-1, 1]."""
    student = over_seeds([test.difference.estimate for test in tests], confidence)
    found = _resolved(student, sum(test.examples for test in tests), confidence)
    return replace(found, low=max(-1.0, found.low), high=min(1.0, found.high))


def pooled_difference(tests: Sequence[PairedTest], confidence: float = 0.90) -> Interval:
    """Newcombe's paired interval of all examples of all seeds. It speaks of these models, not of seeds."""
    both, b, c, n = (
        sum(getattr(test, name) for test in tests)
        for name in ("both", "first_only", "second_only", "examples")
    )
    return replace(_newcombe_paired(both, b, c, n, confidence), method=POOLED_NEWCOMBE)


def unpaired_difference(
    first: tuple[int, int], second: tuple[int, int], confidence: float = 0.90
) -> Interval:
    """Newcombe's interval of p1 - p2 of independent samples (1998, method 10), each (successes, trials)."""
    return _square_and_add(wilson(*first, confidence), wilson(*second, confidence), 0.0)


def seed_test(
    first: Sequence[float], second: Sequence[float], margin: float, paired: bool = True
) -> SeedTest | None:
    """One value per seed of two methods, two seeds or more; where `paired`, in the order of common seeds.

    None where the differences, or unpaired the seeds of either, show no spread: they cannot tell anything.
    """
    one, two = np.asarray(first, float), np.asarray(second, float)
    if min(len(one), len(two)) < 2:
        raise ValueError("a test over seeds needs two seeds or more")
    test = _t_test(paired)
    largest = max(np.abs(one).max(), np.abs(two).max())
    samples = [one - two] if paired else [one, two]
    if not all(has_spread(sample.tolist(), largest) for sample in samples):
        return None
    result, mean = test(one, two), float(one.mean() - two.mean())
    intervals = (result.confidence_interval(confidence) for confidence in (0.95, 0.90))
    difference, within = (Interval(mean, float(i.low), float(i.high)) for i in intervals)
    above = test(one + margin, two, alternative="greater").pvalue
    below = test(one - margin, two, alternative="less").pvalue
    if paired:
        deviation, freedom = float(np.std(one - two, ddof=1)), len(one) - 1.0
    else:
        deviation, freedom = _deviation_of_difference(one, two)
    effect = _standardised(mean / deviation, len(one)) if paired else None
    return SeedTest(
        paired, difference, within, float(result.pvalue), float(max(above, below)), deviation, freedom, effect
    )


def _deviation_of_difference(one: Float[np.ndarray, "n"], two: Float[np.ndarray, "m"]) -> tuple[float, float]:
    """Standard deviation of a value of one minus a value of the other, and its degrees of freedom
    (Satterthwaite 1946)."""
    variances = np.array([one.var(ddof=1), two.var(ddof=1)])
    freedom = variances.sum() ** 2 / (variances**2 / [len(one) - 1, len(two) - 1]).sum()
    return math.sqrt(variances.sum()), float(freedom)


def _t_test(paired: bool) -> Callable[..., Any]:
    return scipy.stats.ttest_rel if paired else partial(scipy.stats.ttest_ind, equal_var=False)


def _standardised(effect: float, n: int, confidence: float = 0.95) -> Interval:
    """Interval of d_z by the noncentral t: the effects under which the observed t is at either quantile."""
    t, tails = effect * math.sqrt(n), ((1 + confidence) / 2, (1 - confidence) / 2)
    if abs(t) < 1000:
        noncentral = [scipy.special.nctdtrinc(n - 1, q, t) for q in tails]
    else:  # its limit, where scipy's search would take minutes: the mean without error, over a chi
        noncentral = sorted(t * math.sqrt(scipy.stats.chi2.ppf(q, n - 1) / (n - 1)) for q in tails)
    low, high = (float(bound) / math.sqrt(n) for bound in noncentral)
    return Interval(effect, low, high)


@overload
def holm(p_values: list[float]) -> list[float]: ...
@overload
def holm(p_values: list[float | None]) -> list[float | None]: ...
def holm(p_values: Sequence[float | None]) -> Sequence[float | None]:
    """P-values adjusted by Holm's step-down method (1979), in the given order. None or NaN, where there was
    nothing to test by, stays, and counts as a test that shows nothing (p = 1).

    Example: of three tests.
        >>> from toyflow import stats
        >>> stats.holm([0.01, None, 0.02])
        [0.03, None, 0.04]
    """
    given = np.asarray(p_values, float)
    p = np.nan_to_num(given, nan=1.0)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [
        was if lacking else p
        for was, p, lacking in zip(p_values, adjusted.tolist(), np.isnan(given), strict=True)
    ]


def equivalence_p(interval: Callable[[float], Interval], margin: float) -> float:
    """P-value of two one-sided tests by any kind of interval: the least p such that the interval at
    confidence 1 - 2p lies within +-margin; 1 where the estimate does not.

    Args:
        interval: the interval at a confidence.
        margin: above 0.

    Example: by Student's t, this is Schuirmann's (1987).
        >>> from toyflow import stats
        >>> round(stats.equivalence_p(lambda c: stats.over_seeds([0.01, 0.0, 0.02], c), 0.03), 4)
        0.0371
    """
    inside, outside = 0.5, 0.0
    if not abs(interval(0.0).estimate) < margin:
        return 1.0
    for _ in range(30):
        p = (inside + outside) / 2
        found = interval(1 - 2 * p)
        if -margin < found.low and found.high < margin:
            inside = p
        else:
            outside = p
    return inside


def upper_deviation(deviation: float, freedom: float, confidence: float = POWER) -> float:
    """One-sided upper bound of a standard deviation that was estimated with so many degrees of freedom, by
    chi-squared. Seeds planned by it are enough with `confidence`; by the estimate, about half of the time
    (Browne 1995).

    Example: three seeds.
        >>> from toyflow import stats
        >>> round(stats.upper_deviation(1.0, freedom=2), 2)
        2.12
    """
    return deviation * math.sqrt(freedom / float(scipy.stats.chi2.ppf(1 - confidence, freedom)))


def seeds_needed(difference: float, deviation: float, margin: float, level: float = 0.05) -> SeedsNeeded:
    """Least numbers of seeds for `POWER`: that a paired t-test at `level` finds a true `difference`, and that
    two one-sided tests at `level` show equivalence within `margin` where the true difference is 0.

    `deviation` is taken for the true one; estimated from few seeds, it makes both numbers rough. Ask again
    with its `upper_deviation`.
    """
    size = abs(difference) / deviation
    return SeedsNeeded(
        _least_seeds(lambda n: t_test_power(size, n, level)),
        _least_seeds(lambda n: equivalence_power(margin / deviation, n, level)),
    )


def t_test_power(size: float, n: int, level: float = 0.05) -> float:
    """Chance that a two-sided paired t-test finds a true d_z = `size` > 0, on its own side."""
    return float(scipy.stats.nct.sf(scipy.stats.t.ppf(1 - level / 2, n - 1), n - 1, size * math.sqrt(n)))


def equivalence_power(margin: float, n: int, level: float = 0.05) -> float:
    """Chance that two one-sided paired t-tests show equivalence where the true difference is 0; the margin in
    standard deviations.

    Exact: the chance given the observed variance, averaged over the variance's chi-squared quantiles.
    """
    variance = scipy.stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, n - 1) / (n - 1)
    left = margin * math.sqrt(n) - scipy.stats.t.ppf(1 - level, n - 1) * np.sqrt(variance)
    return float(np.mean(np.maximum(2 * scipy.stats.norm.cdf(left) - 1, 0.0)))


def _least_seeds(power: Callable[[int], float]) -> int | None:
    counts = range(2, MOST_SEEDS + 1)
    place = bisect_left(counts, POWER, key=power)
    return counts[place] if place < len(counts) else None


def _newcombe_paired(both: int, b: int, c: int, n: int, confidence: float) -> Interval:
    """Interval of p1 - p2 from the Wilson intervals of p1 and p2 and the correlation of the pairs."""
    neither = n - both - b - c
    one, two = wilson(both + b, n, confidence), wilson(both + c, n, confidence)
    margins = (both + b) * (c + neither) * (both + c) * (b + neither)
    phi = 0.0
    if margins:
        cross = both * neither - b * c
        phi = (max(cross - n / 2, 0.0) if cross > 0 else cross) / math.sqrt(margins)
    return replace(_square_and_add(one, two, phi), estimate=(b - c) / n)


def _square_and_add(one: Interval, two: Interval, phi: float) -> Interval:
    """Interval of the difference of two proportions with intervals, whose correlation is `phi`."""
    difference = one.estimate - two.estimate
    down_1, up_1 = one.estimate - one.low, one.high - one.estimate
    down_2, up_2 = two.estimate - two.low, two.high - two.estimate
    low = difference - math.sqrt(max(0.0, down_1**2 - 2 * phi * down_1 * up_2 + up_2**2))
    high = difference + math.sqrt(max(0.0, up_1**2 - 2 * phi * up_1 * down_2 + down_2**2))
    return Interval(difference, low, high, NEWCOMBE)
