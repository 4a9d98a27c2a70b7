"""`mip`: regression in two rounds, the second from a noised first answer."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Objective, Passes, normal_like
from toyflow.flow.objectives.loss import Loss, squared_error
from toyflow.flow.path import interpolate
from toyflow.flow.samplers import Sampler, euler

TAU = 0.9
"""The time of the second round."""
FIRST, SECOND = (w / (TAU**-2 + (1 - TAU) ** -2) for w in (TAU**-2, (1 - TAU) ** -2))
"""Weights of the rounds: 1 / tau^2 and 1 / (1 - tau)^2 as in the source's code, here made to sum to 1."""


class MIP(Objective):
    """w1 E || f(0, 0, c) - x1 ||^2 + w2 E || f(tau x1 + (1 - tau) x0, tau, c) - x1 ||^2, tau = 0.9.

    w1 : w2 = 1 / tau^2 : 1 / (1 - tau)^2, and w1 + w2 = 1. Decoding: a = f(0, 0, c), then f(tau a, tau, c).
    K = 1 stops after the first round; more than 2 are not defined.

    Example:
        >>> import torch
        >>> from toyflow import MIP
        >>> objective, target = MIP(), torch.ones(4, 2)
        >>> objective.loss(lambda x, t, condition: 0 * x, None, target).value
        tensor(1.)
        >>> objective.decode(lambda x, t, condition: x + 1, None, torch.randn(1, 2), steps=2)
        tensor([[1.9000, 1.9000]])
    """

    name = "mip"
    source = "minimal iterative policy: Pan et al., Much Ado About Noising, arXiv 2512.01809"
    uses_noise = False
    training_passes = Passes(2, 2)

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
        zeros, start = torch.zeros_like(target), target.new_zeros(len(target))
        tau = torch.full_like(start, TAU)
        first = squared_error(model(zeros, start, condition), target, start, weight)
        noised = interpolate(self.ensure_drawn(target, drawn), target, tau)
        second = squared_error(model(noised, tau, condition), target, tau, weight)
        both = (torch.cat([first.per_sample, second.per_sample]), torch.cat([start, tau]))
        return Loss(FIRST * first.value + SECOND * second.value, *both)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        start = noise.new_zeros(len(noise))
        answer = model(torch.zeros_like(noise), start, condition)
        if steps == 1:
            return answer
        return model(TAU * answer, torch.full_like(start, TAU), condition)

    def can_decode(self, steps: int) -> bool:
        return steps in (1, 2)

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return steps
