"""`flow`: conditional flow matching on the straight path."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow.guidance import Known, conditioned_velocity, guided_velocity
from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Drawn, ScheduledObjective
from toyflow.flow.objectives.loss import Loss, nonzero, weighted_mean
from toyflow.flow.path import interpolate, path_velocity
from toyflow.flow.predictions import Prediction, VelocityPrediction
from toyflow.flow.samplers import Sampler, Velocity, euler, uniform_grid
from toyflow.flow.schedules import Schedule, TimeSampling


class DrawnDelays(NamedTuple):
    """Noise and times of a batch, and how many first tokens of each sample are given as data."""

    noise: Float[Tensor, "batch tokens dim"]
    t: Float[Tensor, "batch"]
    delay: Int[Tensor, "batch"]


class FlowMatching(ScheduledObjective):
    """E || v(x_t, t, c) - (x1 - x0) ||^2 with x_t = t x1 + (1 - t) x0 and t from the schedule.

    The model predicts the velocity, or what implies one, see `Prediction`. Decoding integrates
    dx/dt = v(x, t, c) from x0 in K steps of a sampler.

    Args:
        schedule: distribution of t.
        time_sampling: see `Schedule.sample`.
        prediction: what the model says, and by which loss it learns to.
        delay_max: D; above 0 the first d tokens of a sample are given to the model as they are, at time
            t = 1, and it learns the others, with d uniform in 0..D for each sample. The model then takes a
            time for each token, and decodes what follows `Known` tokens. A sample's weight is the same
            whatever its d.
            Source: arXiv 2512.05964.

    Example: where the target is the condition, the velocity is known, and one step is exact.
        >>> import torch
        >>> from toyflow import FlowMatching, Shift
        >>> def velocity(x, t, condition):
        ...     return (condition - x) / (1 - t)[:, None]
        >>> objective, target = FlowMatching(Shift(4)), torch.randn(64, 3)
        >>> bool(objective.loss(velocity, target, target).value < 1e-6)
        True
        >>> sample = objective.decode(velocity, target, torch.randn(64, 3), steps=1)
        >>> torch.allclose(sample, target, atol=1e-5)
        True
    """

    name = "flow"
    source = "Lipman et al. 2210.02747, Liu et al. 2209.03003; pi0 2410.24164"
    uses_sampler = True
    uses_grid = True
    uses_prediction = True
    has_velocity = True
    takes_known = True

    def __init__(
        self,
        schedule: Schedule | str,
        time_sampling: TimeSampling = "stratified",
        prediction: Prediction | str = VelocityPrediction(),  # noqa: B008, which is frozen
        delay_max: int = 0,
    ) -> None:
        super().__init__(schedule, time_sampling, prediction)
        self.delay_max = delay_max

    def attach(
        self, model: Predictor, target: tuple[int, ...], generator: torch.Generator | None = None
    ) -> None:
        super().attach(model, target, generator)
        if self.delay_max >= target[0] > 0:
            raise UsageError(
                f"a delay of {self.delay_max} leaves nothing to learn of {target[0]} tokens; it is at most "
                f"{target[0] - 1}."
            )

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
    ) -> Drawn | DrawnDelays:
        noise, t = super().draw(target, generator)
        if not self.delay_max:
            return Drawn(noise, t)
        delay = torch.randint(self.delay_max + 1, t.shape, generator=generator, device=noise.device)
        return DrawnDelays(noise, t, delay)

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Drawn | DrawnDelays | None = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        noise, t, *delays = self.ensure_drawn(target, drawn)
        times = t
        if delays:
            given = torch.arange(target.shape[1], device=target.device) < delays[0][:, None]
            times = torch.where(given, 1.0, t[:, None])
            weight = left_to_learn(target, given, weight)
        x = interpolate(noise, target, times)
        goal = self.prediction.answer(path_velocity(noise, target), x, times)
        return weighted_mean(self.prediction.error(model(x, times, condition), goal, times), t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
        grid: Float[Tensor, "points"] | None = None,
        known: Known | None = None,
    ) -> Float[Tensor, "batch ..."]:
        times = uniform_grid(steps, noise.device) if grid is None else grid.to(noise.device)
        prediction = self.prediction

        def answer(x: Tensor, t: Tensor) -> Tensor:
            return model(x, t, condition)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            return prediction.velocity(answer(x, t), x, t)

        def sampled(velocity: Velocity, start: Tensor) -> Tensor:
            return sampler(velocity, start, times, not prediction.ends)

        if known is None or not known.weight.any():
            return sampled(velocity, noise)
        if self.delay_max:
            told = known.first(self.delay_max)  # more was never given to the model in training
            conditioned = conditioned_velocity(answer, prediction, told)
            return known.frozen_in(sampled(conditioned, told.frozen_in(noise)))
        if steps == 1:
            return known.pulled_to(sampled(velocity, noise))
        return known.frozen_in(sampled(guided_velocity(answer, prediction, known), noise))

    def can_decode(self, steps: int) -> bool:
        return steps >= 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        return sampler.calls(steps, not self.prediction.ends)


def left_to_learn(
    target: Float[Tensor, "batch tokens dim"],
    given: Bool[Tensor, "batch tokens"],
    weight: Float[Tensor, "batch tokens dim"] | None = None,
) -> Float[Tensor, "batch tokens dim"]:
    """Weights of the elements of `target`: 0 for tokens that are `given`, and each sample's whole weight on
    the others, so that the mass of a part of a batch (`Objective.mass`) stays.

    Example:
        >>> import torch
        >>> from toyflow.flow.objectives.flow_matching import left_to_learn
        >>> left_to_learn(torch.zeros(1, 3, 1), torch.tensor([[True, False, False]])).flatten().tolist()
        [0.0, 1.5, 1.5]
    """
    every = torch.ones_like(target) if weight is None else weight.expand_as(target)
    left = every * ~given[..., None]
    share = every.flatten(1).sum(1) / nonzero(left.flatten(1).sum(1))
    return left * share[:, None, None]
