"""Estimators of leak, bias and spread against closed forms."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow import (
    MIP,
    FlowMatching,
    MeanFlow,
    PureNoise,
    Regression,
    Shift,
    draw_noise,
    euler,
    parse_prediction,
    uniform_grid,
)
from toyflow.flow.anatomy import (
    MEASURES,
    SAMPLE_DRAWS,
    Moments,
    averaged,
    dissect,
    dissect_model,
    joined,
    many_steps,
)


def pairs_of(noise: Tensor) -> Tensor:
    """x0, -x0, x0', -x0', ... of `noise` [pairs, conditions, ...]."""
    return torch.stack([noise, -noise], dim=1).flatten(0, 1)


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def near(values: Tensor, truth: float) -> bool:
    """Whether the mean is within 4 standard errors of what it should be."""
    values = values.flatten()
    return abs(float(values.mean()) - truth) < 4 * float(values.std()) / len(values) ** 0.5 + 1e-12


A, B, BIAS, SPREAD = 0.6, 0.4, 0.5, 0.7
"""Odd leak A x0, even leak B (x0^2 - 1), an offset, and the standard deviation of the targets."""


def leaking(noise: Tensor) -> Tensor:
    return BIAS + A * noise + B * (noise.square() - 1)


@pytest.mark.parametrize("pairs", [2, 3, 8])
def test_every_part_is_unbiased_with_few_pairs_and_targets(pairs, generator):
    """Each condition is an experiment of its own, so the mean over many is the estimators' expectation."""
    many = 60_000
    targets = SPREAD * drawn(generator, 2, many)
    answers = leaking(pairs_of(drawn(generator, pairs, many)))
    samples = pairs_of(drawn(generator, 2, many))
    found = dissect(answers, targets=targets, samples=leaking(samples))
    assert found.leak_odd is not None and found.leak_even is not None
    assert near(found.leak_odd, A**2)
    assert near(found.leak_even, 2 * B**2)
    assert near(found.leak, A**2 + 2 * B**2)
    assert near(found.left(2), 2 * B**2) and near(found.left(8), 2 * B**2 / 4)
    assert found.bias is not None and near(found.bias, BIAS**2)
    assert found.spread is not None and near(found.spread, SPREAD**2)
    assert found.model_spread is not None and near(found.model_spread, A**2 + 2 * B**2)
    assert found.error is not None and near(found.error, A**2 + 2 * B**2 + BIAS**2 + SPREAD**2)
    assert found.sample_error is not None and near(found.sample_error, float(found.error.mean()))
    one = dissect(answers, targets=targets[:1])
    assert one.bias is None and one.spread is None
    assert one.bias_and_spread is not None and near(one.bias_and_spread, BIAS**2 + SPREAD**2)


def test_what_is_said_to_be_left_by_draws_is_the_variance_of_their_mean(generator):
    many = 60_000
    for draws in (2, 4, 8):
        means = leaking(pairs_of(drawn(generator, draws // 2, many))).mean(0)
        expected = 2 * B**2 / (draws // 2)
        assert float(means.var()) == pytest.approx(expected, rel=0.05)


def test_bias_and_spread_are_the_parts_of_their_sum(generator):
    found = dissect(drawn(generator, 6, 20, 3, 2), targets=drawn(generator, 4, 20, 3, 2))
    assert found.bias is not None and found.spread is not None and found.bias_and_spread is not None
    torch.testing.assert_close(found.bias + found.spread, found.bias_and_spread)


@pytest.mark.parametrize("answers", [2, 5])
def test_every_part_is_unbiased_by_answers_to_independent_noises(answers, generator):
    """As those of a server. What pairs alone tell is not there, rather than 0."""
    many = 60_000
    targets = SPREAD * drawn(generator, 1, many)
    samples = leaking(drawn(generator, 3, many))
    found = dissect(leaking(drawn(generator, answers, many)), targets=targets, samples=samples, paired=False)
    leak = A**2 + 2 * B**2
    assert found.bias_and_spread is not None and found.model_spread is not None
    assert near(found.leak, leak) and near(found.model_spread, leak)
    assert near(found.bias_and_spread, BIAS**2 + SPREAD**2)
    assert found.sample_error is not None and near(found.sample_error, leak + BIAS**2 + SPREAD**2)
    assert set(found.intervals()) == {"error", "leak", "bias_and_spread", "model_spread", "sample_error"}
    with pytest.raises(UsageError, match="measured by answers to pairs"):
        found.left(2)
    with pytest.raises(UsageError, match="needs 2 answers per condition or more; got 1"):
        dissect(drawn(generator, 1, 5), paired=False)


def test_the_interval_covers_a_known_odd_leak_at_its_rate(generator):
    """A regression policy to whose answer a x0 is added: a leak of a^2 per number, all of it odd."""
    a, covered, times = 0.3, 0, 600
    regression = drawn(generator, 150, 4)
    for _ in range(times):
        found = dissect(regression + a * pairs_of(drawn(generator, 2, 150, 4)))
        leak = found.intervals()["leak"]
        covered += leak.low <= a**2 <= leak.high
        assert found.leak_even is not None and float(found.leak_even.abs().max()) < 1e-20
    assert covered / times == pytest.approx(0.95, abs=0.027)  # three standard errors


def test_the_interval_covers_a_known_even_leak_and_all_other_parts(generator):
    """An even leak a (x0^2 - 1) has variance 2 a^2, and no pair takes any of it away."""
    a, times = 0.3, 400
    truths = {
        "leak": 2 * a**2, "leak_odd": 0.0, "bias_and_spread": BIAS**2 + SPREAD**2, "removed_by_2": 0.0,
        "removed_by_8": 0.75, "error": 2 * a**2 + BIAS**2 + SPREAD**2,
    }  # fmt: skip
    covered = dict.fromkeys(truths, 0)
    for _ in range(times):
        answers = BIAS + a * (pairs_of(drawn(generator, 4, 200, 4)).square() - 1)
        found = dissect(answers, targets=SPREAD * drawn(generator, 1, 200, 4)).intervals()
        for name, truth in truths.items():
            covered[name] += found[name].low - 1e-9 <= truth <= found[name].high + 1e-9
    for name in ("leak_odd", "removed_by_2", "removed_by_8"):  # certain
        assert covered[name] == times
    for name in ("leak", "bias_and_spread", "error"):
        assert covered[name] / times == pytest.approx(0.94, abs=0.04)


def test_a_mixed_leak_is_removed_by_the_share_that_is_odd_and_the_rest_by_averaging(generator):
    odd, even = A**2, 2 * B**2
    found = dissect(leaking(pairs_of(drawn(generator, 8, 4000)))).intervals()
    for draws in (2, 4, 8, 16):
        removed = found[f"removed_by_{draws}"]
        truth = 1 - even / (draws // 2) / (odd + even)
        assert removed.low < truth < removed.high and removed.high - removed.low < 0.1


def test_a_die_has_the_spread_and_the_bias_that_it_is_known_for(generator):
    """Six equally likely faces; an answer that is the mean, and one that is always the first face."""
    faces = torch.arange(1.0, 7.0, dtype=torch.float64)
    throws = faces[torch.randint(6, (3, 5000, 1), generator=generator)]
    moments = Moments(torch.full((5000, 1), 3.5).double(), torch.full((5000, 1), 35 / 12).double())
    for answer, bias in ((3.5, 0.0), (1.0, 2.5**2)):
        answers = torch.full((4, 5000, 1), answer).double()
        exact = dissect(answers, moments=moments).intervals()
        assert exact["leak"].estimate == 0 and math.isnan(exact["removed_by_8"].estimate)
        assert exact["bias"].estimate == pytest.approx(bias, abs=1e-12)
        assert exact["spread"].estimate == pytest.approx(35 / 12)
        thrown = dissect(answers, targets=throws).intervals()
        for name, truth in {"bias": bias, "spread": 35 / 12, "bias_and_spread": bias + 35 / 12}.items():
            assert thrown[name].low < truth < thrown[name].high
            assert thrown[name].high - thrown[name].low < 0.4


def test_two_gaussians_with_the_optimal_velocity(generator):
    """x1 = +-m + s z. One step of the ideal field gives 0, the mean, from any noise; many find the modes."""
    m, s, many = 1.5, 0.2, 4000

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        t = t[0]
        variance = t**2 * s**2 + (1 - t) ** 2
        right = torch.sigmoid(2 * x * t * m / variance)
        weigh = torch.stack([right, 1 - right])
        modes = torch.tensor([m, -m], dtype=x.dtype)[:, None]
        conditional = modes + (t * s**2 - (1 - t)) / variance * (x - t * modes)
        return (weigh * conditional).sum(0)

    noise = pairs_of(drawn(generator, 2, many))
    one, samples = (torch.stack([euler(velocity, x0, uniform_grid(k)) for x0 in noise]) for k in (1, 200))
    moments = Moments(torch.zeros(many).double(), torch.full((many,), m**2 + s**2).double())
    found = dissect(one, moments=moments, samples=samples).intervals()
    assert found["leak"].high < 1e-9 and abs(found["bias"].estimate) < 1e-9
    assert found["error"].estimate == pytest.approx(m**2 + s**2)
    assert found["model_spread"].estimate == pytest.approx(m**2 + s**2, rel=0.02)
    assert found["sample_error"].estimate == pytest.approx(2 * (m**2 + s**2), rel=0.02)


def test_elements_parts_and_seeds(generator):
    """A chunk of 5 times and 3 joints, where joint 2 leaks at time 4 only."""
    scale = torch.zeros(5, 3).double()
    scale[4, 2] = 2.0
    noise = pairs_of(drawn(generator, 8, 300, 5, 3))
    target, groups = torch.zeros(1, 300, 5, 3).double(), torch.arange(300) // 10
    whole = dissect(noise * scale, targets=target, samples=noise * scale, groups=groups)
    leaks = [whole.elements(slice(None), joint).intervals()["leak"].estimate for joint in range(3)]
    assert leaks == [0, 0, pytest.approx(4 / 5, rel=0.1)]
    assert whole.elements(4, 2).intervals()["leak"].estimate == pytest.approx(4, rel=0.1)
    assert whole.elements(4).intervals()["leak"].estimate == pytest.approx(4 / 3, rel=0.1)
    parts = [
        dissect(
            noise[:, part] * scale, targets=target[:, part], samples=noise[:, part] * scale,
            groups=groups[part],
        )
        for part in (slice(0, 7), slice(7, 300))
    ]  # fmt: skip
    assert joined(parts).intervals() == whole.intervals()
    silent = dissect(0 * noise, targets=target, groups=groups)
    both = averaged([whole, silent])
    assert both.model_spread is None and both.bias is None
    assert both.intervals()["leak"].estimate == pytest.approx(whole.intervals()["leak"].estimate / 2)
    assert set(whole.intervals()) - set(silent.intervals()) == {"model_spread", "sample_error"}
    assert {"error", "leak", "removed_by_16"} <= set(silent.intervals()) and "bias" in MEASURES


def test_conditions_of_a_group_are_not_independent():
    """Ten frames each of 30 episodes whose leak is the episode's: the interval must be the episodes'."""
    leak = torch.linspace(0, 1, 30).repeat_interleave(10)
    answers = pairs_of(leak.sqrt().expand(2, -1))
    alone = dissect(answers).intervals()["leak"]
    grouped = dissect(answers, groups=torch.arange(300) // 10).intervals()["leak"]
    assert alone.estimate == pytest.approx(grouped.estimate)
    width = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert width == pytest.approx(math.sqrt(10), rel=0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answers": (2, 6, 3)}, "2 pairs of noise x0, -x0 or more.*even number of answers.* got 2"),
        ({"answers": (5, 6, 3)}, "got 5"),
        ({"answers": (4, 6, 3), "samples": (3, 6, 3)}, "even number of samples.* got 3"),
        ({"answers": (4, 6, 3), "samples": (4, 6, 2)}, r"answers' shape \(6, 3\), not \(6, 2\)"),
        ({"answers": (4, 6, 3), "targets": (6, 3)}, r"targets\[None\].*\(6, 3\), not \(3,\)"),
        ({"answers": (4, 6, 3), "targets": (1, 5, 3)}, r"\(6, 3\), not \(5, 3\)"),
        ({"answers": (4, 6, 3), "targets": (0, 6, 3)}, "targets are empty"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_line(given, message):
    tensors: dict[str, Any] = {name: torch.zeros(*shape) for name, shape in given.items()}
    with pytest.raises(UsageError, match=message) as error:
        dissect(**tensors)
    assert "\n" not in str(error.value)


def test_moments_and_groups_of_other_shapes():
    answers = torch.zeros(4, 6, 3)
    with pytest.raises(
        UsageError, match=r"of the targets must be of the answers' shape \(6, 3\), not \(6,\)"
    ):
        dissect(answers, moments=Moments(torch.zeros(6, 3), torch.zeros(6)))
    with pytest.raises(UsageError, match=r"one number per condition, 6, not \(5,\)"):
        dissect(answers, groups=torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="two conditions"):
        dissect(torch.zeros(4, 1)).intervals()


def test_single_numbers_per_condition(generator):
    found = dissect(drawn(generator, 4, 9), targets=drawn(generator, 1, 9))
    assert found.leak.shape == (9,)
    assert np.isfinite([interval.estimate for interval in found.intervals().values()]).all()


def gaussian(x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
    """The optimal velocity where x1 ~ N(c, 0.5^2), to which a leak of 0.3 x0 is added at t = 0."""
    t = t[:, None]
    gain = (0.25 * t - (1 - t)) / (0.25 * t**2 + (1 - t) ** 2)
    return condition + gain * (x - t * condition) + 0.3 * x * (t == 0)


def test_a_flow_model_is_decoded_in_one_step_and_in_many(generator):
    condition = drawn(generator, 3000, 2)
    noise = draw_noise(8, lambda: drawn(generator, 3000, 2))
    calls = []

    def model(x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        calls.append(len(x))
        return gaussian(x, t, condition)

    moments = Moments(condition, torch.full_like(condition, 0.25))
    objective = FlowMatching(Shift(4))
    found = dissect_model(objective, model, condition, noise, moments=moments, steps=4).intervals()
    assert calls == [3000] * (8 + 4 * SAMPLE_DRAWS)
    assert found["leak"].estimate == pytest.approx(0.09, rel=0.05)
    assert found["removed_by_2"].estimate == pytest.approx(1)
    assert abs(found["bias"].estimate) < 1e-9 and found["spread"].estimate == 0.25
    one = torch.ones(1, 1).double()
    gain = objective.decode(gaussian, 0 * one, one, steps=4)  # linear in x0, so its variance is this squared
    assert found["model_spread"].estimate == pytest.approx(float(gain) ** 2, rel=0.05)


def test_a_model_that_predicts_the_data_has_the_anatomy_of_its_velocity(generator):
    condition = drawn(generator, 50, 2)
    noise = draw_noise(4, lambda: drawn(generator, 50, 2))

    def data(x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return x + (1 - t)[:, None] * gaussian(x, t, condition)

    says_data = FlowMatching(Shift(4), prediction=parse_prediction("data"))
    found = dissect_model(says_data, data, condition, noise, targets=condition[None], steps=3)
    same = dissect_model(FlowMatching(Shift(4)), gaussian, condition, noise, targets=condition[None], steps=3)
    for name in ("leak", "bias_and_spread", "model_spread", "sample_error"):
        torch.testing.assert_close(getattr(found, name), getattr(same, name))


def test_objectives_without_steps_or_without_noise(generator):
    condition = drawn(generator, 50, 2)
    noise = draw_noise(4, lambda: drawn(generator, 50, 2))
    leaks = dissect_model(PureNoise(), lambda x, t, c: c + 0.5 * x, condition, noise, targets=condition[None])
    assert leaks.model_spread is None and float(leaks.leak.mean()) > 0.1
    calls = []
    for objective in (Regression(), MIP()):
        silent = dissect_model(
            objective, lambda x, t, c: calls.append(0) or c + 1, condition, noise, targets=condition[None],
            steps=many_steps(objective),
        )  # fmt: skip
        assert float(silent.leak.abs().max()) == 0 and silent.model_spread is None
        assert silent.bias_and_spread is not None
        torch.testing.assert_close(silent.bias_and_spread, torch.ones_like(condition))
    assert len(calls) == 2  # once each
    assert many_steps(MeanFlow()) == 10 and many_steps(Regression()) is None and many_steps(MIP()) is None
    with pytest.raises(UsageError, match="pure-noise cannot decode in 3 steps"):
        dissect_model(PureNoise(), lambda x, t, c: c, condition, noise, steps=3)


def test_means_over_elements_have_the_same_intervals():
    noise = draw_noise(4, lambda: torch.randn(20, 3, 2))
    found = dissect(noise + noise.square(), targets=torch.zeros(1, 20, 3, 2), groups=torch.arange(20) // 2)
    reduced = found.over_elements()
    assert reduced.leak.shape == (20,) and reduced.bias is None and reduced.groups is not None
    for name, interval in found.intervals().items():
        assert reduced.intervals()[name].low == pytest.approx(interval.low)
        assert reduced.intervals()[name].high == pytest.approx(interval.high)
