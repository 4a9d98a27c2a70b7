"""`shortcut`: a model that is told the length of its step, and learns long steps from two half ones."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_map

from toyflow.flow.objectives.base import (
    DrawnJumps,
    Loss,
    Model,
    Passes,
    ScheduledObjective,
    jump,
    weighted_mean,
)
from toyflow.flow.path import broadcast_time, interpolate, path_velocity
from toyflow.flow.samplers import Sampler

HALVINGS = 7
"""Steps are 2^0 down to 2^-7; half of the shortest is taken as infinitesimal."""
BOOTSTRAP_SHARE = 0.25
"""Share of a batch that learns a long step; the rest learns the velocity."""


class Shortcut(ScheduledObjective):
    """s(x_t, t, r) with step r - t = 2d: flow matching at r = t, and for d > 0

        s(x, t, t + 2d) -> sg (s(x, t, t + d) + s(x + d s(x, t, t + d), t + d, t + 2d)) / 2.

    Times of the flow part come from the schedule, those of the others from the grid of their step. Decoding
    in K steps asks for r = t + 1/K. Unlike the source, the half steps are the model's own, not an average's.
    """

    name = "shortcut"
    source = "Frans et al., One Step Diffusion via Shortcut Models, arXiv 2410.12557"
    uses_second_time = True
    has_velocity = True
    training_passes = Passes(1 + 2 * BOOTSTRAP_SHARE, 1)

    def draw(self, target: Float[Tensor, "batch ..."], generator: torch.Generator) -> DrawnJumps:
        noise, t = super().draw(target, generator)
        long = round(BOOTSTRAP_SHARE * len(target))
        count = 2.0 ** torch.randint(HALVINGS + 1, (long,), generator=generator)
        t[:long] = (torch.rand(long, generator=generator) * count).floor() / count
        r = t.clone()
        r[:long] += 1 / count
        return DrawnJumps(noise, t, r)

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: DrawnJumps,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        long = int((drawn.r > drawn.t).sum())  # the first of a batch, and of every n-th sample of one
        noise, t, r = (each.to(target.device) for each in drawn)
        x, goal = interpolate(noise, target, t), path_velocity(noise, target)
        if long:
            part = tree_map(lambda tensor: tensor[:long], condition)
            goal[:long] = self.two_half_steps(model, x[:long], t[:long], r[:long], part)
        return weighted_mean((model(x, t, condition, r) - goal).square(), t, weight)

    @torch.no_grad()
    def two_half_steps(
        self,
        model: Model,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch"],
        r: Float[Tensor, "batch"],
        condition: Any,
    ) -> Float[Tensor, "batch ..."]:
        """Mean velocity over two steps of half the length, of infinitesimal ones for the shortest."""
        middle = (t + r) / 2
        shortest = r - t <= 2.0**-HALVINGS
        first = model(x, t, condition, torch.where(shortest, t, middle))
        x = x + broadcast_time(middle - t, x) * first
        return (first + model(x, middle, condition, torch.where(shortest, middle, r))) / 2

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        return jump(model, condition, noise, steps)

    def can_decode(self, steps: int) -> bool:
        return steps in [2**k for k in range(HALVINGS + 1)]

    def model_calls(self, steps: int, sampler: Sampler) -> int:
        return steps
