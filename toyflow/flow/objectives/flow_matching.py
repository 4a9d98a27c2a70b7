"""`flow`: conditional flow matching on the straight path."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from toyflow.flow.objectives.base import Drawn, Loss, Model, ScheduledObjective, squared_error
from toyflow.flow.path import interpolate, path_velocity
from toyflow.flow.samplers import Sampler, uniform_grid


class FlowMatching(ScheduledObjective):
    """E || v(x_t, t, c) - (x1 - x0) ||^2 with x_t = t x1 + (1 - t) x0 and t from the schedule."""

    name = "flow"
    source = "Lipman et al. 2210.02747, Liu et al. 2209.03003; pi0 2410.24164"
    uses_sampler = True
    has_velocity = True

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Drawn,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t = (each.to(target.device) for each in drawn)
        prediction = model(interpolate(noise, target, t), t, condition)
        return squared_error(prediction, path_velocity(noise, target), t, weight)

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        grid = uniform_grid(steps, noise.device)
        return sampler(lambda x, t: model(x, t, condition), noise, grid)

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int, sampler: Sampler) -> int:
        return steps * sampler.calls_per_step
