"""`regression`: least squares, no noise anywhere; the central control."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.objectives.base import Loss, Model, Objective, squared_error
from toyflow.flow.samplers import Sampler


class Regression(Objective):
    """E || f(0, 0, c) - x1 ||^2: L2 from a zero start. Its optimum E[x1 | c] is also that of one-step
    flow, x0 + v(x0, 0, c); what sets the two apart is learning, not the target."""

    name = "regression"
    source = "the control that the study leaves out"

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        generator: torch.Generator,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        t = target.new_zeros(len(target))
        return squared_error(model(torch.zeros_like(target), t, condition), target, t, weight)

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        return model(torch.zeros_like(noise), noise.new_zeros(len(noise)), condition)
