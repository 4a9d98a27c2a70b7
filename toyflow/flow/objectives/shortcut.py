"""`shortcut`: a model that is told the length of its step, and learns long steps from two half ones."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_map

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import DrawnJumps, Passes, ScheduledObjective, jump
from toyflow.flow.objectives.loss import Loss, weighted_mean
from toyflow.flow.path import broadcast_time, interpolate, path_velocity
from toyflow.flow.samplers import Sampler, euler

HALVINGS = 7
"""Steps are 2^0 down to 2^-7; half of the shortest is taken as infinitesimal."""
BOOTSTRAP_SHARE = 0.25
"""Share of a batch that learns a long step; the rest learns the velocity."""


class Shortcut(ScheduledObjective):
    """s(x_t, t, r) with step r - t = 2d: flow matching at r = t, and for d > 0

        s(x, t, t + 2d) -> sg (s(x, t, t + d) + s(x + d s(x, t, t + d), t + d, t + 2d)) / 2.

    Times of the flow part come from the schedule, those of the others from the grid of their step. Decoding
    in K steps, K = 1, 2, 4, ..., 128, asks for r = t + 1/K. Unlike the source, the half steps are those of
    the model itself, not of an average of its weights. Only a part of the batch takes them, so the condition
    must be tensors with the batch first, alone or in tuples, lists or dictionaries.

    Args:
        schedule: distribution of t in the flow part.
        time_sampling: see `Schedule.sample`.
        prediction: what the model says, and by which loss it learns to; s is the velocity that it implies.

    Example: where the target is the condition, all steps have the same velocity.
        >>> import torch
        >>> from toyflow import Shortcut, Uniform
        >>> def velocity(x, t, condition, r):
        ...     return (condition - x) / (1 - t)[:, None]
        >>> objective, target = Shortcut(Uniform()), torch.randn(64, 3)
        >>> bool(objective.loss(velocity, target, target).value < 1e-4)
        True
        >>> [k for k in range(1, 10) if objective.can_decode(k)]
        [1, 2, 4, 8]
    """

    name = "shortcut"
    source = "Frans et al., One Step Diffusion via Shortcut Models, arXiv 2410.12557"
    uses_second_time = True
    uses_prediction = True
    has_velocity = True
    training_passes = Passes(1 + 2 * BOOTSTRAP_SHARE, 1)

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
    ) -> DrawnJumps:
        noise, t = super().draw(target, generator)
        long = round(BOOTSTRAP_SHARE * len(target))
        count = 2.0 ** torch.randint(HALVINGS + 1, (long,), generator=generator, device=t.device)
        t[:long] = (torch.rand(long, generator=generator, device=t.device) * count).floor() / count
        r = t.clone()
        r[:long] += 1 / count
        return DrawnJumps(noise, t, r)

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: DrawnJumps | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        drawn = self.draw(target) if drawn is None else drawn
        long = int((drawn.r > drawn.t).sum())  # the first of a batch, and of every n-th sample of one
        noise, t, r = self.ensure_drawn(target, drawn)
        x, goal = interpolate(noise, target, t), path_velocity(noise, target)
        if long:
            part = tree_map(lambda tensor: tensor[:long], condition)
            goal[:long] = self.two_half_steps(model, x[:long], t[:long], r[:long], part)
        error = self.prediction.error(model(x, t, condition, r), self.prediction.answer(goal, x, t), t)
        return weighted_mean(error, t, weight)

    @torch.no_grad()
    def two_half_steps(
        self,
        model: Predictor,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch"],
        r: Float[Tensor, "batch"],
        condition: Any,
    ) -> Float[Tensor, "batch ..."]:
        """Mean velocity over two steps of half the length, of infinitesimal ones for the shortest."""
        middle = (t + r) / 2
        shortest = r - t <= 2.0**-HALVINGS
        velocity = self.implied_velocity(model)
        first = velocity(x, t, condition, torch.where(shortest, t, middle))
        x = x + broadcast_time(middle - t, x) * first
        return (first + velocity(x, middle, condition, torch.where(shortest, middle, r))) / 2

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        return jump(self.implied_velocity(model), condition, noise, steps)

    def can_decode(self, steps: int) -> bool:
        return steps in [2**k for k in range(HALVINGS + 1)]

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return steps
