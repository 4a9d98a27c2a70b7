import itertools
import math

import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import Sampler, parse_sampler, uniform_grid

NAMES = ["euler", "midpoint", "heun"]


def test_a_sampler_finds_out_whether_it_asks_at_the_end():
    assert [parse_sampler(name).asks_end for name in NAMES] == [False, False, True]

    def step(velocity, x, t, h):
        return x + h * velocity(x, t + h)  # implicit in form only

    theirs = Sampler("theirs", step, order=1, calls_per_step=1, source="a plug-in that declares nothing")
    asked = []

    def field(x, t):
        asked.append(float(t[0]))
        return torch.ones_like(x)

    theirs(field, torch.zeros(1, 1), uniform_grid(4), open_end=True)
    assert max(asked) < 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_constant_velocity_is_integrated_exactly(name, steps):
    x, v = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    got = parse_sampler(name)(lambda x, t: v, x, uniform_grid(steps).double())
    torch.testing.assert_close(got, x + v)


@pytest.mark.parametrize("name", ["midpoint", "heun"])
def test_second_order_is_exact_for_a_velocity_linear_in_time(name):
    got = parse_sampler(name)(lambda x, t: 2 * t[:, None].expand_as(x), torch.zeros(2, 1), uniform_grid(1))
    torch.testing.assert_close(got, torch.ones(2, 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("velocity", "exact"),
    [
        (lambda x, t: x * torch.cos(t)[:, None], math.exp(math.sin(1.0))),
        (lambda x, t: 3 * (t**2)[:, None] + 0 * x, 2.0),
    ],
)
def test_order_of_convergence(name, velocity, exact):
    sampler = parse_sampler(name)
    start = torch.ones(1, 1, dtype=torch.float64)
    errors = [abs(float(sampler(velocity, start, uniform_grid(k).double())) - exact) for k in (20, 40, 80)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([sampler.order] * 2, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_cost_is_the_model_calls(name, steps):
    calls = []
    sampler = parse_sampler(name)

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(t)
        assert t.shape == (5,)
        return x

    sampler(velocity, torch.randn(5, 2), uniform_grid(steps))
    assert len(calls) == steps * sampler.calls_per_step
    assert all((t >= 0).all() and (t <= 1).all() for t in calls)


def test_euler_asks_at_the_left_ends_and_never_at_the_data_end():
    asked = []
    parse_sampler("euler")(lambda x, t: (asked.append(float(t[0])), x)[1], torch.ones(1, 1), uniform_grid(10))
    assert asked == pytest.approx([i / 10 for i in range(10)])


def test_the_grid_ends_at_exactly_one():
    for steps in (1, 3, 7, 10, 49):
        grid = uniform_grid(steps)
        assert grid[0] == 0 and grid[-1] == 1 and len(grid) == steps + 1


def test_an_unknown_sampler_is_refused_with_a_guess():
    with pytest.raises(UsageError, match=r"Did you mean 'euler'.*euler, heun, midpoint"):
        parse_sampler("eular")


@pytest.mark.parametrize("steps", [0, -3])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    with pytest.raises(UsageError, match=f"steps must be a whole number of 1 or more, got {steps}"):
        uniform_grid(steps)


def test_a_model_in_double_precision_has_times_in_double_precision():
    seen = []
    parse_sampler("euler")(
        lambda x, t: seen.append(t.dtype) or x, torch.zeros(2, 3, dtype=torch.float64), uniform_grid(2)
    )
    assert seen == [torch.float64] * 2
