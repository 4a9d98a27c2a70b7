"""`pure-noise`: the clean target from independent noise, always."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.objectives.base import Loss, Model, Objective, normal_like, squared_error
from toyflow.flow.samplers import Sampler


class PureNoise(Objective):
    """E || f(x0, 0, c) - x1 ||^2, x0 ~ N(0, I) independent of x1. One call: x1 = f(x0, 0, c)."""

    name = "pure-noise"
    source = "the study's diagnostic (arXiv 2606.05737)"

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        return normal_like(target, generator)

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Float[Tensor, "batch ..."],
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        t = target.new_zeros(len(target))
        return squared_error(model(drawn.to(target.device), t, condition), target, t, weight)

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        return model(noise, noise.new_zeros(len(noise)), condition)
