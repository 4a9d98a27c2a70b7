"""`meanflow`: the mean velocity from t to r, learned through its own derivative."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import DrawnJumps, Objective, Passes, jump, normal_like
from toyflow.flow.objectives.loss import Loss, nonzero
from toyflow.flow.path import broadcast_time, interpolate, path_velocity
from toyflow.flow.samplers import Sampler, euler

MEAN, SD = 0.4, 1.0
"""logit(t) ~ N(0.4, 1): the source's logit-normal(-0.4, 1), whose time is 1 for noise, in ours."""
JUMP_SHARE = 0.25
"""Share of a batch with r > t; for the rest r = t, which is flow matching."""
WEIGHT_POWER, WEIGHT_FLOOR = 1.0, 1e-3


class MeanFlow(Objective):
    """u(x_t, t, r), the mean velocity from t to r, satisfies u = v + (r - t) du/dt along the path, so

        u(x_t, t, r) -> sg (v + (r - t) (v . d_x u + d_t u)),   v = x1 - x0,

    each sample's squared error e^2 (a sum over elements) weighted by sg 1 / (e^2 + 1e-3). Two times are drawn
    for each sample and sorted, logit(t) ~ N(0.4, 1); 3 of 4 samples have r = t. Decoding in K steps:
    x += (r - t) u(x, t, r), so one step is x0 + u(x0, 0, 1). In the source the signs are mirrored, as its
    time runs from data to noise. The model must be differentiable in forward mode. It has no choice of
    prediction: the velocity that a prediction of the data implies has no bounded derivative by t near t = 1.

    Example: where the target is the condition, the mean velocity is the velocity.
        >>> import torch
        >>> from toyflow import MeanFlow
        >>> def velocity(x, t, condition, r):
        ...     return (condition - x) / (1 - t)[:, None]
        >>> objective, target = MeanFlow(), torch.randn(64, 3)
        >>> bool(objective.loss(velocity, target, target).per_sample.max() < 1e-4)
        True
        >>> torch.allclose(objective.decode(velocity, target, torch.randn(64, 3)), target, atol=1e-5)
        True
    """

    name = "meanflow"
    source = "Geng et al., Mean Flows for One-step Generative Modeling, arXiv 2505.13447"
    uses_second_time = True
    uses_grid = True
    has_velocity = True
    training_passes = Passes(2, 1)

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
    ) -> DrawnJumps:
        noise, batch = normal_like(target, generator), len(target)
        normal = torch.randn(2, batch, generator=generator, device=noise.device)
        times = normal.mul(SD).add(MEAN).sigmoid().sort(dim=0).values
        jumps = torch.rand(batch, generator=generator, device=noise.device) < JUMP_SHARE
        return DrawnJumps(noise, times[0], torch.where(jumps, times[1], times[0]))

    def mass(self, weight: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        return weight.new_tensor(len(weight))  # samples are weighed by their own error, not by their length

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: DrawnJumps | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t, r = self.ensure_drawn(target, drawn)
        v = path_velocity(noise, target)
        u, goal = prediction_and_goal(model, interpolate(noise, target, t), t, r, v, condition)
        return adaptive(u - goal, t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
        grid: Float[Tensor, "points"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        return jump(model, condition, noise, steps, grid)

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return steps


def prediction_and_goal(
    model: Predictor,
    x: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    r: Float[Tensor, "batch"],
    v: Float[Tensor, "batch ..."],
    condition: Any,
) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
    """u(x, t, r), and what the identity makes of it: sg (v + (r - t) (v . d_x u + d_t u))."""
    # Fused attention has no forward-mode derivative.
    with sdpa_kernel(SDPBackend.MATH):
        u, derivative = torch.func.jvp(  # pyright: ignore[reportAssignmentType]
            lambda x, t: model(x, t, condition, r), (x, t), (v, torch.ones_like(t))
        )
    return u, (v + broadcast_time(r - t, v) * derivative).detach()


def adaptive(
    error: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """e^2 / sg (e^2 + 1e-3)^p per sample, e^2 = sum(weight * error^2); what is logged is the mean square,
    sum(weight * error^2) / sum(weight)."""
    squared = (error.square() if weight is None else error.square() * weight).flatten(1)
    total = squared.sum(1)
    weighted = total / (total.detach() + WEIGHT_FLOOR) ** WEIGHT_POWER
    logged = squared.mean(1) if weight is None else total / nonzero(weight.expand_as(error).flatten(1).sum(1))
    return Loss(weighted.mean(), logged.detach(), t)
