"""`consistency`: answers from two points of one path must name the same target."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Drawn, Passes, ScheduledObjective
from toyflow.flow.objectives.loss import Loss, weighted_mean
from toyflow.flow.path import broadcast_time, interpolate
from toyflow.flow.samplers import Sampler, euler, uniform_grid

GAP = 1 / 16
"""The gap t' - t. A longer gap biases the answer towards the conditional mean, a shorter one takes longer to
carry the target from t = 1 to t = 0; the sources shorten it while they train."""


class Consistency(ScheduledObjective):
    """Consistency training on the straight path, in flow form:

        v(x_t, t, c) -> sg (x_t' + (1 - t') v(x_t', t', c) - x_t) / (1 - t),   t' = min(t + 1/16, 1),

    with t from the schedule, x_t and x_t' on the line between the same x0 and x1, and sg without gradient. At
    t' = 1 the goal is x1 itself. A model that predicts the data gives x_t + (1 - t) v at once. The teacher is
    the model itself, no average of it (Song and Dhariwal 2023 found that better). Decoding in K steps
    answers, puts the starting noise back to the next time of the grid, and answers again; the published
    sampler draws that noise afresh.

    Args:
        schedule: distribution of t.
        time_sampling: see `Schedule.sample`.
        prediction: what the model says, and by which loss it learns to.

    Example:
        >>> import torch
        >>> from toyflow import Consistency, Uniform
        >>> def velocity(x, t, condition):
        ...     return (condition - x) / (1 - t).clamp(min=1e-4)[:, None]
        >>> target = torch.randn(64, 3)
        >>> bool(Consistency(Uniform()).loss(velocity, target, target).value < 1e-6)
        True
    """

    name = "consistency"
    source = "Song et al. 2303.01469; improved, 2310.14189; ECT, Geng et al. 2406.14548"
    uses_grid = True
    uses_prediction = True
    training_passes = Passes(2, 1)

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Drawn | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t = self.ensure_drawn(target, drawn)
        t = t.clamp(max=1 - 1e-3)  # no answer is left to give at t = 1
        later = (t + GAP).clamp(max=1)
        x = interpolate(noise, target, t)
        with torch.no_grad():
            answer = self._answer(model, interpolate(noise, target, later), later, condition)
        goal = self.prediction.answer((answer - x) / broadcast_time(1 - t, x), x, t)
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
        x, times = noise, uniform_grid(steps, noise.device) if grid is None else grid.to(noise.device)
        for t in times[:-1]:
            now = t.expand(len(noise))
            x = self._answer(model, x if t == 0 else interpolate(noise, x, now), now, condition)
        return x

    def _answer(
        self, model: Predictor, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], condition: Any
    ) -> Float[Tensor, "batch ..."]:
        """The target that the model sees from x_t: x_t + (1 - t) v."""
        return self.prediction.data(model(x, t, condition), x, t)

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return steps
