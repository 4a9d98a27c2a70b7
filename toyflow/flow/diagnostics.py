"""Diagnostics of a velocity field: its error by noise level, how straight its paths are, the one-step gap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from toyflow.flow.path import interpolate, noise_level, path_velocity
from toyflow.flow.samplers import Velocity, euler, uniform_grid


class VelocityError(NamedTuple):
    """Errors of a field v at points x_t between noise x0 and data x1, for each noise level and example; d is
    the number of elements of one example. See `error_by_noise_level`."""

    mse: Float[Tensor, "levels batch"]
    """|v(x_t, t) - (x1 - x0)|^2 / d."""
    cosine_error: Float[Tensor, "levels batch"]
    """1 - cos(v(x_t, t), x1 - x0): 0 for the right direction, 1 for a right angle, 2 for the opposite."""
    excess: Float[Tensor, "levels batch"] | None
    """|v(x_t, t) - v*(x_t, t)|^2 / d, where the optimal field v* is known. On average, mse = excess + the
    optimal field's own mse, which no field goes below."""


class Paths(NamedTuple):
    """Euler's paths of a field from t = 0 to t = 1, for each example; see `euler_paths`."""

    sample: Float[Tensor, "batch ..."]
    """x(1)."""
    straightness: Float[Tensor, "batch"]
    """int_0^1 |x(1) - x(0) - v(x(t), t)|^2 dt / d, 0 for a straight path at constant speed (Liu et al.
    2209.03003, section 2.2)."""
    length_ratio: Float[Tensor, "batch"]
    """Length of the path / |x(1) - x(0)|, 1 for a straight path."""


def noise_levels(count: int) -> Float[Tensor, "levels"]:
    """s = 1, 1 - 1/count, ..., 1/count, from pure noise on. Without 0: no sampler asks for a velocity there.

    Example:
        >>> from toyflow.flow.diagnostics import noise_levels
        >>> noise_levels(4).tolist()
        [1.0, 0.75, 0.5, 0.25]
    """
    return torch.arange(count, 0, -1) / count


def error_by_noise_level(
    velocity: Velocity,
    noise: Float[Tensor, "batch ..."],
    target: Float[Tensor, "batch ..."],
    levels: Float[Tensor, "levels"],
    optimal: Velocity | None = None,
) -> VelocityError:
    """Errors of `velocity` at x_t = t x1 + (1 - t) x0, t = 1 - s, for each noise level s of `levels`.

    Args:
        velocity: v(x, t) of the examples, t of shape [batch].
        noise: x0.
        target: x1.
        levels: s in (0, 1].
        optimal: v*, where it is known in closed form.

    Example: a field that is off by 2 in each element.
        >>> import torch
        >>> from toyflow.flow.diagnostics import error_by_noise_level, noise_levels
        >>> noise, target = torch.zeros(5, 3), torch.ones(5, 3)
        >>> error = error_by_noise_level(lambda x, t: torch.full_like(x, 3), noise, target, noise_levels(4))
        >>> error.mse.shape, error.mse.unique().tolist(), error.excess
        (torch.Size([4, 5]), [4.0], None)
    """
    goal = path_velocity(noise, target)
    squared, cosine, excess = [], [], []
    for t in noise_level(levels.to(target)):
        times = t.expand(len(target))
        x = interpolate(noise, target, times)
        v = velocity(x, times)
        squared.append(_mean_square(v - goal))
        cosine.append(1 - cosine_similarity(v.flatten(1), goal.flatten(1)))
        if optimal is not None:
            excess.append(_mean_square(v - optimal(x, times)))
    return VelocityError(torch.stack(squared), torch.stack(cosine), torch.stack(excess) if excess else None)


def euler_paths(velocity: Velocity, noise: Float[Tensor, "batch ..."], steps: int) -> Paths:
    """Paths in `steps` equal steps from `noise`: polygons, whose length and straightness are exact.

    Example:
        >>> import torch
        >>> from toyflow.flow.diagnostics import euler_paths
        >>> paths = euler_paths(lambda x, t: torch.ones_like(x), torch.zeros(1, 4), steps=5)
        >>> paths.straightness.item(), paths.length_ratio.item()
        (0.0, 1.0)
    """
    velocities: list[Tensor] = []

    def recorded(x: Tensor, t: Tensor) -> Tensor:
        velocities.append(velocity(x, t))
        return velocities[-1]

    sample = euler(recorded, noise, uniform_grid(steps, noise.device))
    along = torch.stack(velocities).flatten(2)
    chord = along.mean(0)  # x(1) - x(0)
    length = along.norm(dim=2).mean(0)
    return Paths(sample, (along - chord).square().mean((0, 2)), length / chord.norm(dim=1))


def distance(one: Float[Tensor, "batch ..."], other: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch"]:
    """|one - other| for each example. Of samples in one step and in many, this is the one-step gap.

    Example:
        >>> import torch
        >>> from toyflow.flow.diagnostics import distance
        >>> distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([5.])
    """
    return (one - other).flatten(1).norm(dim=1)


def _mean_square(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch"]:
    return x.flatten(1).square().mean(1)
