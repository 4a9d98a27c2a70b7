"""`flow`: conditional flow matching on the straight path."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Drawn, ScheduledObjective
from toyflow.flow.objectives.loss import Loss, squared_error
from toyflow.flow.path import interpolate, path_velocity
from toyflow.flow.samplers import Sampler, euler, uniform_grid


class FlowMatching(ScheduledObjective):
    """E || v(x_t, t, c) - (x1 - x0) ||^2 with x_t = t x1 + (1 - t) x0 and t from the schedule.

    The model predicts a velocity. Decoding integrates dx/dt = v(x, t, c) from x0 in K steps of a sampler.

    Args:
        schedule: distribution of t.
        time_sampling: see `Schedule.sample`.

    Example: where the target is the condition, the velocity is known, and one step is exact.
        >>> import torch
        >>> from toyflow import FlowMatching, Shift
        >>> def velocity(x, t, condition):
        ...     return (condition - x) / (1 - t)[:, None]
        >>> objective, target = FlowMatching(Shift(4)), torch.randn(64, 3)
        >>> bool(objective.loss(velocity, target, target).value < 1e-6)
        True
        >>> sample = objective.decode(velocity, target, torch.randn(64, 3), steps=1)
        >>> torch.allclose(sample, target, atol=1e-5)
        True
    """

    name = "flow"
    source = "Lipman et al. 2210.02747, Liu et al. 2209.03003; pi0 2410.24164"
    uses_sampler = True
    has_velocity = True

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Drawn | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t = self.ensure_drawn(target, drawn)
        prediction = model(interpolate(noise, target, t), t, condition)
        return squared_error(prediction, path_velocity(noise, target), t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        grid = uniform_grid(steps, noise.device)
        return sampler(lambda x, t: model(x, t, condition), noise, grid)

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return steps * sampler.calls_per_step
