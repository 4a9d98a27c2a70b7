"""`flow`: conditional flow matching on the straight path."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Drawn, ScheduledObjective
from toyflow.flow.objectives.loss import Loss, weighted_mean
from toyflow.flow.path import interpolate, path_velocity
from toyflow.flow.samplers import Sampler, euler, uniform_grid


class FlowMatching(ScheduledObjective):
    """E || v(x_t, t, c) - (x1 - x0) ||^2 with x_t = t x1 + (1 - t) x0 and t from the schedule.

    The model predicts the velocity, or what implies one, see `Prediction`. Decoding integrates
    dx/dt = v(x, t, c) from x0 in K steps of a sampler.

    Args:
        schedule: distribution of t.
        time_sampling: see `Schedule.sample`.
        prediction: what the model says, and by which loss it learns to.

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
    uses_grid = True
    uses_prediction = True
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
        x = interpolate(noise, target, t)
        goal = self.prediction.answer(path_velocity(noise, target), x, t)
        return weighted_mean(self.prediction.error(model(x, t, condition), goal, t), t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
        grid: Float[Tensor, "points"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        times = uniform_grid(steps, noise.device) if grid is None else grid.to(noise.device)
        velocity = self.prediction.velocity
        return sampler(
            lambda x, t: velocity(model(x, t, condition), x, t), noise, times, not self.prediction.ends
        )

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return sampler.calls(steps, not self.prediction.ends)
