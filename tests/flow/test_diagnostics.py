"""The probe on fields whose errors, paths and gaps are known."""

import math

import pytest
import torch

from toyflow.flow.diagnostics import distance, error_by_noise_level, euler_paths, noise_levels
from toyflow.flow.samplers import euler, uniform_grid
from toyflow.toy.tasks.dial import Dial

LEVELS = noise_levels(20)


def to(target):
    """The optimal velocity where the condition is the target."""
    return lambda x, t: (target - x) / (1 - t)[:, None]


def test_no_velocity_is_asked_for_at_the_data():
    levels = noise_levels(4)
    assert levels.tolist() == [1.0, 0.75, 0.5, 0.25]
    asked = []

    def velocity(x, t):
        asked.extend(t.tolist())
        return x

    x = torch.ones(2, 3)
    error_by_noise_level(velocity, x, x, levels)
    euler_paths(velocity, x, 4)
    assert min(asked) == 0 and max(asked) == 0.75


def test_a_condition_that_is_the_target_leaves_no_error_no_bend_no_gap(generator):
    noise, target = torch.randn(2, 50, 6, generator=generator)
    velocity = to(target)
    error = error_by_noise_level(velocity, noise, target, LEVELS, velocity)
    assert error.mse.shape == (20, 50)
    assert error.excess is not None and error.excess.max() == 0
    for values in (error.mse, error.cosine_error):
        assert values.abs().max() < 1e-6
    paths = euler_paths(velocity, noise, 10)
    assert paths.straightness.max() < 1e-8
    assert torch.allclose(paths.length_ratio, torch.ones(50), atol=1e-5)
    one_step = euler(velocity, noise, uniform_grid(1))
    assert distance(one_step, paths.sample).max() < 1e-4


@pytest.mark.parametrize("level", [1.0, 0.5, 0.05])
def test_two_gaussians_leave_what_the_point_on_the_path_does_not_say(level, generator):
    """x0 ~ N(0, 1), x1 ~ N(m, d^2): the variance of x1 - x0 given x_t."""
    mean, deviation = 3.0, 0.5
    noise, target = torch.randn(2, 20_000, 2, generator=generator)
    target = mean + deviation * target

    def optimal(x, t):
        t = t[:, None]
        slope = (t * deviation**2 - (1 - t)) / (t**2 * deviation**2 + (1 - t) ** 2)
        return mean + slope * (x - t * mean)

    t = 1 - level
    covariance, variance = t * deviation**2 - (1 - t), t**2 * deviation**2 + (1 - t) ** 2
    left = 1 + deviation**2 - covariance**2 / variance
    error = error_by_noise_level(optimal, noise, target, torch.tensor([level]), optimal)
    assert error.mse.mean().item() == pytest.approx(left, rel=0.03)
    assert error.excess is not None and error.excess.max() == 0
    worse = error_by_noise_level(
        lambda x, t: optimal(x, t) + 2, noise, target, torch.tensor([level]), optimal
    )
    assert worse.excess is not None
    assert worse.excess.mean().item() == pytest.approx(4)
    assert worse.mse.mean().item() == pytest.approx(left + 4, rel=0.03)


@pytest.mark.parametrize(("angle", "error"), [(0, 0), (60, 0.5), (90, 1), (180, 2)])
def test_cosine_error_is_of_the_direction_alone(angle, error):
    noise, target = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    turned = torch.tensor([[math.cos(math.radians(angle)), math.sin(math.radians(angle))]])
    found = error_by_noise_level(lambda x, t: 5 * turned, noise, target, LEVELS)
    assert torch.allclose(found.cosine_error, torch.full((20, 1), float(error)), atol=1e-6)
    assert found.excess is None


def test_a_rotation_bends_as_much_as_it_should(generator):
    """By an angle w: |v| = w |x| throughout, and the chord is 2 sin(w / 2) |x|."""
    w = 1.5
    x = torch.randn(5, 2, generator=generator)
    paths = euler_paths(lambda x, t: w * torch.stack([-x[:, 1], x[:, 0]], 1), x, 2000)
    chord = 2 * math.sin(w / 2)
    expected = x.square().mean(1) * (w**2 - chord**2)
    assert torch.allclose(paths.straightness, expected, rtol=5e-3)
    assert paths.length_ratio.tolist() == pytest.approx([w / chord] * 5, rel=2e-3)


@pytest.mark.parametrize("steps", [2, 10])
def test_a_straight_path_at_changing_speed_is_not_straight_in_time(steps):
    """v = 6 t: on K steps the variance of 6 k / K over k = 0 .. K - 1, and one step does not move."""
    x = torch.zeros(3, 4)
    paths = euler_paths(lambda x, t: 6 * t[:, None].expand_as(x), x, steps)
    assert paths.straightness.tolist() == pytest.approx([36 * (steps**2 - 1) / (12 * steps**2)] * 3)
    assert paths.length_ratio.tolist() == pytest.approx([1.0] * 3)
    assert distance(x, paths.sample).tolist() == pytest.approx([2 * 6 * (steps - 1) / (2 * steps)] * 3)


@pytest.mark.parametrize("modes", ["1", "2"])
def test_one_step_of_the_ideal_field_is_enough_for_one_mode_and_not_for_two(modes, generator):
    task = Dial({"modes": modes})
    observation, target = task.test_set().part(slice(0, 100))
    noise = torch.randn(target.shape, generator=generator)

    def optimal(x, t):
        return task.optimal_velocity(x, t, observation)

    error = error_by_noise_level(optimal, noise, target, LEVELS, optimal)
    assert error.excess is not None and error.excess.max() == 0
    paths = euler_paths(optimal, noise, 50)
    gap = distance(noise + optimal(noise, torch.zeros(100)), paths.sample)
    if modes == "1":
        assert error.mse.max() < 1e-8 and gap.max() < 1e-4 and paths.straightness.max() < 1e-8
    else:  # the mean of two codes, whose distance is sqrt(2 / 0.09) per tile, from one of them
        assert gap.mean().item() == pytest.approx(math.sqrt(4 * 2 / 0.09) / 2, rel=0.01)
        assert error.mse[0].mean() > 0.5 > 0.001 > error.mse[-1].mean()
        assert paths.straightness.mean() > 0.01
