"""`pure-noise`: the clean target from independent noise, always."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Objective, normal_like
from toyflow.flow.objectives.loss import Loss, squared_error
from toyflow.flow.samplers import Sampler, euler


class PureNoise(Objective):
    """E || f(x0, 0, c) - x1 ||^2, x0 ~ N(0, I) independent of x1. One call: x1 = f(x0, 0, c).

    The model predicts the clean target, not a velocity.

    Example:
        >>> import torch
        >>> from toyflow import PureNoise
        >>> objective, target = PureNoise(), torch.ones(4, 2)
        >>> objective.loss(lambda x, t, condition: condition, target / 2, target).value
        tensor(0.2500)
        >>> objective.decode(lambda x, t, condition: condition, target, torch.randn(4, 2))[0]
        tensor([1., 1.])
    """

    name = "pure-noise"
    source = "the paper's diagnostic (arXiv 2606.05737)"

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch ..."]:
        return normal_like(target, generator)

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Float[Tensor, "batch ..."] | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t = self.ensure_drawn(target, drawn), target.new_zeros(len(target))
        return squared_error(model(noise, t, condition), target, t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        return model(noise, noise.new_zeros(len(noise)), condition)
