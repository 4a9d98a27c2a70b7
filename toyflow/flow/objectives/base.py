"""What every objective declares: its loss, its decoding, and what both cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow import plugins
from toyflow.flow.samplers import Sampler
from toyflow.flow.schedules import Schedule


class Model(nn.Module, ABC):
    """A network that encodes its condition once and then answers for it any number of times."""

    @abstractmethod
    def encode(self, observation: Any) -> Any:
        """The condition: whatever `forward` takes back, computed once per sample."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], condition: Any
    ) -> Float[Tensor, "batch ..."]:
        """A prediction of `x`'s shape; what it means is the objective's business."""


class Loss(NamedTuple):
    """A batch's loss: what is differentiated, and what is logged by noise level."""

    mean: Float[Tensor, ""]
    per_sample: Float[Tensor, "batch"]
    t: Float[Tensor, "batch"]


class Objective(ABC):
    """What is regressed on what in training, and how the trained model is decoded."""

    name: ClassVar[str]
    source: ClassVar[str]
    uses_schedule: ClassVar[bool] = False
    """Whether training draws its time from a schedule; if not, it is built without one."""
    uses_sampler: ClassVar[bool] = False
    """Whether `decode` integrates with the sampler that it is given."""

    @abstractmethod
    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        generator: torch.Generator,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        """Loss of one batch. `weight` weighs elements of `target`, 0 for padding; default 1."""

    @abstractmethod
    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        """A sample of the target in `steps` steps from `noise` ~ N(0, I)."""

    def can_decode(self, steps: int) -> bool:
        """Whether `decode` is defined for this number of steps. Here: for one step only."""
        return steps == 1

    def model_calls(self, steps: int, sampler: Sampler) -> int:
        """Number of function evaluations (NFE) of `decode`; encoding the condition is not counted."""
        return 1


def squared_error(
    prediction: Float[Tensor, "batch ..."],
    target: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """Mean of (prediction - target)^2 over elements, weighted, and the same for each sample apart."""
    error = (prediction - target).square()
    if weight is None:
        per_sample = error.flatten(1).mean(1)
        return Loss(per_sample.mean(), per_sample.detach(), t)
    weight = weight.expand_as(error)
    weighted = (error * weight).flatten(1).sum(1)
    total = weight.flatten(1).sum(1)
    return Loss(weighted.sum() / total.sum(), (weighted / total.clamp(min=1e-12)).detach(), t)


def normal_like(x: Float[Tensor, "batch ..."], generator: torch.Generator) -> Float[Tensor, "batch ..."]:
    """x0 ~ N(0, I) of `x`'s shape and device, drawn on the generator's device."""
    return torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


def make_objective(name: str, schedule: Schedule | None, time_sampling: str = "stratified") -> Objective:
    """The objective called `name`, with its training-time law where it takes one."""
    objective = plugins.load("objectives", name)
    return objective(schedule, time_sampling) if objective.uses_schedule else objective()
