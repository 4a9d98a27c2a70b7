"""`regression`: the target from the condition alone, no noise anywhere; the central control."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.flow.objectives.base import Loss, Model, Objective, weighted_mean
from toyflow.flow.samplers import Sampler


class Regression(Objective):
    """E || f(0, 0, c) - x1 ||^2: L2 from a zero start. Its optimum E[x1 | c] is also that of one-step
    flow, x0 + v(x0, 0, c); what sets the two apart is learning, not the target."""

    name = "regression"
    source = "the control that the study leaves out"
    power: ClassVar[int] = 2
    """The error's power: 2 aims at the mean of x1 given c, 1 at its median."""

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        t = target.new_zeros(len(target))
        error = (model(self.start(model, target), t, condition) - target).abs().pow(self.power)
        return weighted_mean(error, t, weight)

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        return model(self.start(model, noise), noise.new_zeros(len(noise)), condition)

    def start(self, model: Model, like: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """What takes the place of the noise."""
        return torch.zeros_like(like)


class RegressionL1(Regression):
    """E | f(0, 0, c) - x1 |, elementwise."""

    name = "regression-l1"
    power = 1


class RegressionLearned(Regression):
    """E || f(a, 0, c) - x1 ||^2 with a learned start a, drawn from N(0, 1) before training."""

    name = "regression-learned"
    source = "the study's learned action start, its table 11"

    def attach(self, model: Model, target: tuple[int, ...]) -> None:
        super().attach(model, target)
        model.start = nn.Parameter(torch.randn(target))

    def start(self, model: Model, like: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        assert isinstance(model.start, Tensor)
        return model.start.expand_as(like)


class RegressionLearnedZero(RegressionLearned):
    """E || f(a, 0, c) - x1 ||^2 with a learned start a, zero before training."""

    name = "regression-learned-zero"

    def attach(self, model: Model, target: tuple[int, ...]) -> None:
        super().attach(model, target)
        model.start = nn.Parameter(torch.zeros(target))


class RegressionL1Learned(RegressionLearned):
    """E | f(a, 0, c) - x1 | with a learned start a."""

    name = "regression-l1-learned"
    power = 1
