"""Predictions: what the network says of a point x_t on the path, and by which loss it learns to.

A network's answer f(x_t, t, c) may be the velocity itself, or something that implies one. To add a
prediction, subclass `Prediction` and declare the class under the entry point group `toyflow.predictions` by
its `key`. A name is `key` or `key:loss`:

    velocity    data    data:velocity-loss    velocity:data-loss

There is no prediction `noise`: at t = 0 the best prediction of the noise is x_t itself, which says nothing
about the data, and the velocity that it implies, (x_t - f) / t, is 0/0 where decoding begins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.flow.path import broadcast_time

OWN_LOSS, VELOCITY_LOSS, DATA_LOSS = "", "velocity-loss", "data-loss"
LOSSES = (VELOCITY_LOSS, DATA_LOSS)
CLIP = 0.05
"""A velocity loss divides by max(1 - t, CLIP)^2, as JiT does: times nearer to the data weigh no more than
t = 0.95."""
NEAR_DATA = 1e-4
"""Implied velocities divide by max(1 - t, NEAR_DATA)."""


@dataclass(frozen=True)
class Prediction(ABC):
    """What a network's answer f means: a velocity v = skip(t) x_t + scale(t) f, affine in the answer.

    The loss is |f - f*|^2, where f* is the answer that implies the path's velocity x1 - x0, or the same error
    measured in another quantity. As v and x1 are affine in f, that is a factor of each sample's error:

        loss on the answer      1
        velocity-loss           scale(t)^2, at most 1 / 0.05^2
        data-loss               scale(t)^2 (1 - t)^2, as x1 = x_t + (1 - t) v

    A subclass gives `key`, `source`, `velocity`, `answer` and `scale`.

    Args:
        loss: `velocity-loss`, `data-loss`, or "" for the loss on the answer itself.

    Raises:
        UsageError: no such loss.

    Example: the form of Karras et al. 2206.00364 for data of variance 1 on the straight path, in which both
    what the network reads and what it says have variance 1 at every t. With S = t^2 + (1 - t)^2,
    v = (2t - 1)/S x_t + f/sqrt(S).
        >>> from dataclasses import dataclass
        >>> import torch
        >>> from toyflow import FlowMatching, Prediction, Uniform
        >>> def variance(t):
        ...     return t**2 + (1 - t) ** 2
        >>> @dataclass(frozen=True)
        ... class Preconditioned(Prediction):
        ...     key, source = "preconditioned", "EDM, Karras et al. 2206.00364"
        ...
        ...     def velocity(self, answer, x, t):
        ...         skip, scale = (2 * t - 1) / variance(t), self.scale(t)
        ...         return skip[:, None] * x + scale[:, None] * answer
        ...
        ...     def answer(self, velocity, x, t):
        ...         return (velocity - ((2 * t - 1) / variance(t))[:, None] * x) / self.scale(t)[:, None]
        ...
        ...     def scale(self, t):
        ...         return variance(t).rsqrt()
        >>> objective = FlowMatching(Uniform(), prediction=Preconditioned())
        >>> sample = objective.decode(lambda x, t, condition: condition, torch.ones(1, 2), torch.randn(1, 2))
        >>> torch.allclose(sample, torch.ones(1, 2))
        True
    """

    loss: str = OWN_LOSS

    key: ClassVar[str]
    """First word of the name."""
    source: ClassVar[str]
    ends: ClassVar[bool] = True
    """Whether a velocity is defined at t = 1. If not, samplers do not ask for it there."""

    def __post_init__(self) -> None:
        if self.loss == f"{self.key}-loss":
            object.__setattr__(self, "loss", OWN_LOSS)  # the class is frozen
        elif self.loss and self.loss not in LOSSES:
            raise unknown(f"loss of prediction {self.key!r}", self.loss, LOSSES)

    @property
    def name(self) -> str:
        """`key`, or `key:loss`; `parse_prediction` takes it back."""
        return f"{self.key}:{self.loss}" if self.loss else self.key

    @abstractmethod
    def velocity(
        self,
        answer: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        """dx/dt at (x, t) that the network's answer there implies. Finite at every t."""

    @abstractmethod
    def answer(
        self,
        velocity: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        """The answer that implies `velocity` at (x, t): what the network should have said."""

    @abstractmethod
    def scale(self, t: Float[Tensor, "batch *tokens"]) -> Float[Tensor, "batch *tokens"]:
        """d velocity / d answer."""

    def data(
        self,
        answer: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        """The data x1 that the answer implies: x + (1 - t) v."""
        return x + broadcast_time(1 - t, x) * self.velocity(answer, x, t)

    def error(
        self,
        answer: Float[Tensor, "batch ..."],
        goal: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        """Squared error of each element under the loss.

        Args:
            answer: the network's.
            goal: what it should have said, see `answer`.
        """
        squared = (answer - goal).square()
        if self.loss == OWN_LOSS:
            return squared
        factor = self.scale(t).abs().clamp(max=1 / CLIP)
        if self.loss == DATA_LOSS:
            factor = factor * (1 - t)
        return squared * broadcast_time(factor.square(), squared)


@dataclass(frozen=True)
class VelocityPrediction(Prediction):
    """f = v: the network says the velocity.

    Example:
        >>> import torch
        >>> from toyflow import VelocityPrediction
        >>> x, t = torch.zeros(1, 2), torch.tensor([0.75])
        >>> VelocityPrediction().data(torch.full((1, 2), 8.0), x, t)  # x + (1 - t) v
        tensor([[2., 2.]])
    """

    key = "velocity"
    source = "flow matching, Lipman et al. 2210.02747; pi0 and the paper"

    def velocity(
        self,
        answer: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        return answer

    def answer(
        self,
        velocity: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        return velocity

    def scale(self, t: Float[Tensor, "batch *tokens"]) -> Float[Tensor, "batch *tokens"]:
        return torch.ones_like(t)


@dataclass(frozen=True)
class DataPrediction(Prediction):
    """f = x1: the network says the data, and v = (f - x_t) / (1 - t).

    One step from noise returns the answer itself, so that noise reaches the sample only through f. At t = 1
    the velocity is 0/0: Heun's sampler, which would ask there, ends with an Euler step, as EDM's does.

    Example: where the target is the condition, any number of steps gives it.
        >>> import torch
        >>> from toyflow import DataPrediction, FlowMatching, Uniform
        >>> objective, target = FlowMatching(Uniform(), prediction=DataPrediction()), torch.ones(1, 3)
        >>> sample = objective.decode(lambda x, t, condition: condition, target, torch.randn(1, 3), steps=4)
        >>> torch.allclose(sample, target)
        True
    """

    key = "data"
    source = "x-prediction: Salimans and Ho 2202.00512 (progressive distillation), Li and He 2511.13720 (JiT)"
    ends = False

    def velocity(
        self,
        answer: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        return (answer - x) / broadcast_time((1 - t).clamp(min=NEAR_DATA), x)

    def answer(
        self,
        velocity: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        return x + broadcast_time(1 - t, x) * velocity

    def scale(self, t: Float[Tensor, "batch *tokens"]) -> Float[Tensor, "batch *tokens"]:
        return 1 / (1 - t).clamp(min=NEAR_DATA)

    def data(
        self,
        answer: Float[Tensor, "batch ..."],
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch *tokens"],
    ) -> Float[Tensor, "batch ..."]:
        return answer


def parse_prediction(name: str) -> Prediction:
    """The prediction that `name` stands for, `key[:loss]`.

    Raises:
        UsageError: there is none, or no such loss; `noise` with the reason why it is left out.

    Example:
        >>> from toyflow import parse_prediction
        >>> parse_prediction("data:velocity-loss")
        DataPrediction(loss='velocity-loss')
        >>> parse_prediction("data:data-loss").name
        'data'
    """
    key, _, loss = name.strip().partition(":")
    if key == "noise" and key not in plugins.available("predictions"):
        raise UsageError(
            "prediction 'noise' cannot be decoded from t = 0, where the best prediction of the noise is x_t "
            "itself and says nothing of the data; there is: velocity, data."
        )
    if key not in (known := plugins.available("predictions")):
        raise UsageError(
            f"{unknown('prediction', key, known)} data:velocity-loss and velocity:data-loss learn one by the "
            "error of the other."
        )
    kind: type[Prediction] = plugins.load("predictions", key)
    return kind(loss)
