"""Intervals and tests. Proportions come as counts; differences are in the unit of the proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same examples: McNemar's p-value, and the 90 % interval of first - second. That
    interval within +-margin is two one-sided tests at 5 %: equivalence. Not significant is not the same."""

    first_only: int
    second_only: int
    difference: Interval
    p_value: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Interval(successes / trials, float(interval.low), float(interval.high))


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of one value per seed with Student's t-interval over the seeds; needs two or more.

    It speaks of seeds on this test set. Bounds of a proportion may leave [0, 1]: clip them to show them.
    """
    if len(values) < 2:
        raise ValueError("an interval over seeds needs two seeds or more")
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def mean_zero_p(values: Sequence[float]) -> float:
    """Two-sided p of Student's t-test that the mean of one value per seed is 0.

    1 where all values are equal: so few seeds that they show no spread cannot tell anything.
    """
    if np.ptp(values) == 0:
        return 1.0
    return float(np.asarray(stats.ttest_1samp(values, 0.0))[1])


def paired_proportions(first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"]) -> PairedTest:
    """McNemar's exact test and Newcombe's paired interval (1998, method 10) at 90 %, for equivalence."""
    if len(first) != len(second) or len(first) == 0:
        raise ValueError("paired outcomes must be of the same, non-zero number of examples")
    n = len(first)
    b, c = int(np.sum(first & ~second)), int(np.sum(~first & second))
    p_value = float(stats.binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0
    return PairedTest(b, c, _newcombe(int(np.sum(first & second)), b, c, n), p_value)


def _newcombe(both: int, b: int, c: int, n: int, confidence: float = 0.90) -> Interval:
    """Interval of p1 - p2 from the Wilson intervals of p1 and p2 and the correlation of the pairs."""
    neither = n - both - b - c
    one, two = wilson(both + b, n, confidence), wilson(both + c, n, confidence)
    margins = (both + b) * (c + neither) * (both + c) * (b + neither)
    phi = 0.0
    if margins:
        cross = both * neither - b * c
        phi = (max(cross - n / 2, 0.0) if cross > 0 else cross) / math.sqrt(margins)
    down_1, up_1 = one.estimate - one.low, one.high - one.estimate
    down_2, up_2 = two.estimate - two.low, two.high - two.estimate
    difference = (b - c) / n
    low = difference - math.sqrt(max(0.0, down_1**2 - 2 * phi * down_1 * up_2 + up_2**2))
    high = difference + math.sqrt(max(0.0, up_1**2 - 2 * phi * up_1 * down_2 + down_2**2))
    return Interval(difference, low, high)
