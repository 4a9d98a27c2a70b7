"""Samples of which some tokens are known, on data whose posterior is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toyflow.errors import UsageError
from toyflow.flow import (
    DataPrediction,
    Decoding,
    FlowMatching,
    Known,
    Uniform,
    VelocityPrediction,
    draw_noise,
    euler,
    guided_velocity,
    heun,
    make_objective,
    midpoint,
    soft_mask,
    uniform_grid,
)
from toyflow.flow.guidance import guidance_gain
from toyflow.flow.objectives.flow_matching import DrawnDelays, left_to_learn
from toyflow.networks import Denoiser, DenoiserSize
from toyflow.training.batch import part_of

RHO = 0.8
COVARIANCE = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)
IDENTITY = torch.eye(2, dtype=torch.float64)


def slope(t):
    """d E[x1 | x_t] / d x_t of data N(0, COVARIANCE): t S (t^2 S + (1 - t)^2 I)^-1."""
    t = t[:, None, None]
    return t * COVARIANCE @ torch.linalg.inv(t**2 * COVARIANCE + (1 - t) ** 2 * IDENTITY)


def says_data(x, t, condition=None):
    """The ideal model of data N(0, COVARIANCE), two tokens of a number each."""
    return slope(t) @ x


def says_velocity(x, t, condition=None):
    return (says_data(x, t) - x) / (1 - t)[:, None, None]


def noise_of(batch=3, tokens=2, dim=1, seed=0):
    return torch.randn(batch, tokens, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def known_first(value, batch=3, weight=1.0):
    weights = torch.tensor([weight, 0.0], dtype=torch.float64).expand(batch, 2)
    return Known(torch.full((batch, 2, 1), value, dtype=torch.float64), weights)


def small_net(tokens=5, dim=2):
    torch.manual_seed(0)
    lift, out = torch.nn.Linear(dim + 1, 16).double(), torch.nn.Linear(16, dim).double()
    mix = torch.nn.Linear(tokens, tokens).double()

    def net(x, t, condition):
        time = (t[:, None] if t.ndim == 1 else t).expand(x.shape[:2])[..., None].to(x)
        hidden = mix(torch.tanh(lift(torch.cat([x, time], -1))).transpose(1, 2)).transpose(1, 2)
        return out(torch.tanh(hidden)) + condition

    return net


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12))
def test_the_mask_is_one_then_falls_then_is_zero(frozen, overlap, tokens):
    mask = soft_mask(frozen, overlap, tokens)
    frozen = min(frozen, overlap, tokens)
    assert mask.shape == (tokens,) and bool((mask[:frozen] == 1).all()) and not mask[overlap:].any()
    between = mask[frozen:overlap]
    assert bool(((between > 0) & (between < 1)).all()) and bool((mask.diff() <= 0).all())


def test_the_mask_by_the_formula():
    c = torch.tensor([3 / 4, 2 / 4, 1 / 4])
    torch.testing.assert_close(soft_mask(2, 5, 6)[2:5], c * (c.exp() - 1) / (torch.e - 1))


def test_the_guided_velocity_by_the_formula():
    x, t, known = noise_of(), torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64), known_first(2.0)
    jacobian, gain = slope(t), torch.minimum(5 * torch.ones_like(t), (t**2 + (1 - t) ** 2) / (t * (1 - t)))
    pull = jacobian.mT @ (known.weight[..., None] * (known.values - says_data(x, t)))
    expected = says_velocity(x, t) + gain[:, None, None] * pull
    for model, prediction in ((says_velocity, VelocityPrediction()), (says_data, DataPrediction())):
        torch.testing.assert_close(guided_velocity(model, prediction, known)(x, t), expected)


def test_the_gain_is_finite_at_both_ends():
    assert guidance_gain(torch.tensor([0.0, 1.0]), beta=7).tolist() == [7, 7]


def test_free_tokens_follow_from_the_frozen_ones_as_their_posterior_says():
    """x1 given that its first number is 2: N(2 rho, 1 - rho^2). PiGDM takes the variance of x1 given x_t for
    that of independent numbers, so that it comes near, not there."""
    known, noise = known_first(2.0, batch=4000), noise_of(4000)
    velocity = guided_velocity(says_velocity, VelocityPrediction(), known, beta=1e6)
    first, free = euler(velocity, noise, uniform_grid(100).double(), open_end=True).unbind(1)
    torch.testing.assert_close(first, torch.full_like(first, 2.0), atol=1e-4, rtol=0)
    assert float(free.mean()) == pytest.approx(2 * RHO, abs=0.12)
    assert float(free.std()) == pytest.approx((1 - RHO**2) ** 0.5, abs=0.05)


def test_at_the_noise_an_ideal_model_cannot_be_guided():
    """Why one step is no guidance: J = 0 at t = 0, so that no gain helps."""
    x, t = noise_of(), torch.zeros(3, dtype=torch.float64)
    guided = guided_velocity(says_velocity, VelocityPrediction(), known_first(9.0), beta=1e9)(x, t)
    assert torch.equal(guided, says_velocity(x, t))


def test_near_the_data_a_step_without_clipping_is_the_step_that_is_taken_alone():
    """(1 - t) g J -> I as t -> 1, so x1 + (1 - t) g J^T W (y - x1) -> x1 + W (y - x1)."""
    x, t, known = noise_of(), torch.full((3,), 1 - 1e-5, dtype=torch.float64), known_first(2.0, weight=0.5)
    velocity = guided_velocity(says_velocity, VelocityPrediction(), known, beta=1e9)
    end = x + (1 - t)[:, None, None] * velocity(x, t)
    torch.testing.assert_close(end, known.pulled_to(says_data(x, t)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("sampler", [euler, midpoint, heun])
@pytest.mark.parametrize("prediction", ["velocity", "data"])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("delay_max", [0, 2])
def test_frozen_tokens_come_back_and_weight_zero_is_plain_to_the_bit(steps, prediction, sampler, delay_max):
    net, noise, condition = small_net(), noise_of(4, 5, 2), noise_of(4, 1, 2, seed=1)
    objective = FlowMatching(Uniform(), prediction=prediction, delay_max=delay_max)
    plain = objective.decode(net, condition, noise, steps, sampler)
    values = noise_of(4, 5, 2, seed=2)
    nothing = Known(values, torch.zeros(4, 5))
    assert torch.equal(objective.decode(net, condition, noise, steps, sampler, known=nothing), plain)
    mask = soft_mask(2, 4, 5).double().expand(4, 5) * torch.tensor([[1.0], [1.0], [0.0], [1.0]])
    got = objective.decode(net, condition, noise, steps, sampler, known=Known(values, mask))
    assert torch.equal(got[[0, 1, 3], :2], values[[0, 1, 3], :2])
    torch.testing.assert_close(got[2], plain[2])  # the one of which nothing is known
    changed = 2 if steps == 1 and not delay_max else 4  # in one step, what is beyond the overlap stays
    assert not torch.allclose(got[0, 2:], plain[0, 2:]) and got[0, changed:].isfinite().all()


@pytest.mark.parametrize("steps", [1, 3])
def test_what_is_frozen_beyond_the_longest_delay_is_noise_to_the_model_and_put_in_at_the_end(steps):
    """In training a token at time t < 1 was never data; the chunk is that of a plan told only the first."""
    net, noise, condition = small_net(), noise_of(4, 5, 2), noise_of(4, 1, 2, seed=1)
    objective, values, seen = FlowMatching(Uniform(), delay_max=2), noise_of(4, 5, 2, seed=2), []

    def model(x, t, condition):
        seen.append((x, t))
        return net(x, t, condition)

    more, told = (Known(values, soft_mask(d, 5, 5).double().expand(4, 5)) for d in (4, 2))
    got = objective.decode(model, condition, noise, steps, known=more)
    x, t = seen[0]
    assert torch.equal(x[:, :2], values[:, :2]) and torch.equal(x[:, 2:], noise[:, 2:])
    assert t[0].tolist() == [1, 1, 0, 0, 0]
    assert torch.equal(got[:, :4], values[:, :4])
    assert torch.equal(got[:, 4:], objective.decode(net, condition, noise, steps, known=told)[:, 4:])


def test_in_one_step_the_sample_is_a_mean_of_plain_and_known():
    net, noise, condition = small_net(), noise_of(4, 5, 2), noise_of(4, 1, 2, seed=1)
    objective, known = FlowMatching(Uniform()), Known(noise_of(4, 5, 2, 2), soft_mask(1, 4, 5).expand(4, 5))
    plain = objective.decode(net, condition, noise)
    w = known.weight[..., None]
    expected = (1 - w) * plain + w * known.values
    torch.testing.assert_close(objective.decode(net, condition, noise, known=known), expected)


def test_all_draws_are_guided_to_the_same():
    net, condition = small_net(), noise_of(3, 1, 2, seed=1)
    draws = iter(range(2))
    noise = draw_noise(4, lambda: noise_of(3, 5, 2, seed=next(draws)))
    known = Known(noise_of(3, 5, 2, 7), soft_mask(2, 4, 5).double().expand(3, 5))
    objective, decoding = FlowMatching(Uniform()), Decoding(4, draws=4)
    got = decoding.answers(objective, net, condition, noise, known)
    alone = [objective.decode(net, condition, each, 4, known=known) for each in noise]
    torch.testing.assert_close(got, torch.stack(alone))


def test_an_objective_without_a_velocity_is_refused():
    for name in ("regression", "mip", "meanflow"):
        with pytest.raises(UsageError, match=f"'{name}' has no velocity to guide"):
            Decoding().check(make_objective(name), known=True)


def test_with_delays_the_first_tokens_are_given_and_the_others_learned():
    target = torch.randn(200, 5, 2, generator=torch.Generator().manual_seed(3))
    objective, seen = FlowMatching(Uniform(), delay_max=3), {}
    drawn = objective.draw(target, torch.Generator().manual_seed(0))
    assert isinstance(drawn, DrawnDelays)
    assert sorted(drawn.delay.unique().tolist()) == [0, 1, 2, 3]
    given = torch.arange(5) < drawn.delay[:, None]

    def model(x, t, condition):
        seen.update(x=x, t=t)
        return torch.where(t[..., None] == 1, 100.0, target - drawn.noise)  # wrong only where it is not asked

    loss = objective.loss(model, None, target, drawn)
    assert float(loss.value) == 0
    assert torch.equal(seen["x"][given], target[given]) and bool((seen["t"][given] == 1).all())
    assert torch.equal(seen["t"][~given], drawn.t[:, None].expand(200, 5)[~given])


@given(st.integers(0, 10_000))
def test_the_loss_of_a_batch_is_that_of_its_parts_by_mass(seed):
    source = torch.Generator().manual_seed(seed)
    target = torch.randn(6, 5, 2, generator=source, dtype=torch.float64)
    weight = (torch.rand(6, 5, 1, generator=source) < 0.7).double().expand(6, 5, 2)
    objective = FlowMatching(Uniform(), delay_max=4)
    drawn = objective.draw(target, source)
    assert isinstance(drawn, DrawnDelays)

    def model(x, t, condition):
        return x * t[..., None]

    whole = objective.loss(model, None, target, drawn, weight).value
    parts = [slice(0, 2), slice(2, 6)]
    losses = [objective.loss(model, None, target[p], part_of(drawn, p), weight[p]).value for p in parts]
    masses = [objective.mass(weight[p]) for p in parts]
    # A sample of which all is given or padding has nothing to learn, and counts nothing.
    lost = left_to_learn(target, torch.arange(5) < drawn.delay[:, None], weight).flatten(1).sum(1) == 0
    if not (lost & (weight.flatten(1).sum(1) > 0)).any():
        total = sum(mass * loss for mass, loss in zip(masses, losses, strict=True))
        torch.testing.assert_close(whole, total / max(1.0, float(sum(masses))))


def test_a_delay_that_leaves_nothing_is_refused():
    with pytest.raises(UsageError, match="leaves nothing to learn of 3 tokens; it is at most 2"):
        FlowMatching(Uniform(), delay_max=3).attach(lambda x, t, condition: x, (3, 2))


def test_without_delays_training_is_as_it_was():
    target = torch.zeros(8, 4)
    drawn = FlowMatching(Uniform()).draw(target, torch.Generator().manual_seed(0))
    alike = FlowMatching(Uniform(), delay_max=0).draw(target, torch.Generator().manual_seed(0))
    assert len(drawn) == 2 and all(map(torch.equal, drawn, alike))


def test_in_one_step_a_trained_prefix_tells_what_guidance_cannot():
    """Chunks of one unknown number: told its first action, a policy that was trained with delays gives the
    others in one step; guidance leaves them at their mean, as what it knows does not reach them."""
    torch.manual_seed(0)
    denoiser = Denoiser(tokens=4, dim=1, size=DenoiserSize(width=32, depth=1, heads=2))
    objective = FlowMatching(Uniform(), prediction="data", delay_max=2)
    blank, source = torch.zeros(64, 1, 32), torch.Generator().manual_seed(0)

    def model(x, t, condition):
        return denoiser(x, t, denoiser.read(blank[: len(x)]))

    optimiser = torch.optim.Adam(denoiser.parameters(), 3e-3)
    for _ in range(250):
        target = torch.randn(64, 1, 1, generator=source).expand(64, 4, 1)
        optimiser.zero_grad()
        objective.loss(model, None, target, objective.draw(target, source)).value.backward()
        optimiser.step()
    values = torch.tensor([-1.5, 1.5]).repeat(16)[:, None, None].expand(32, 4, 1)
    known, noise = Known(values, soft_mask(1, 1, 4).expand(32, 4)), torch.randn(32, 4, 1, generator=source)
    with torch.no_grad():
        told = objective.decode(model, None, noise, known=known)
        guided = FlowMatching(Uniform(), prediction="data").decode(model, None, noise, known=known)
    assert float((told - values).abs().mean()) < 0.3
    assert float((guided - values)[:, 1:].abs().mean()) > 1
