"""What every objective declares: its loss, its decoding, and what both cost."""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow.samplers import Sampler, uniform_grid
from toyflow.flow.schedules import Schedule, TimeSampling


class Model(nn.Module, ABC):
    """A network that encodes its condition once and then answers for it any number of times."""

    @abstractmethod
    def encode(self, observation: Any) -> Any:
        """The condition: whatever `forward` takes back, computed once per sample."""

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch"],
        condition: Any,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """A prediction of `x`'s shape; what it means is the objective's business. `r` is a second time,
        t <= r <= 1, for objectives that jump from t to r; None is r = t, and a model that is never
        trained on one of these may leave the argument out."""

    def make_causal(self) -> None:
        """Let a target token see only itself and those before it. Raises UsageError where it cannot."""
        raise UsageError(f"{type(self).__name__} has no causal form, which `autoregressive` needs.")


class Loss(NamedTuple):
    """A batch's loss: what is differentiated, and what is logged by noise level."""

    mean: Float[Tensor, ""]
    per_sample: Float[Tensor, "batch"]
    t: Float[Tensor, "batch"]


class Drawn(NamedTuple):
    """Chance's part in a batch whose samples each have one time."""

    noise: Float[Tensor, "batch ..."]
    t: Float[Tensor, "batch"]


class DrawnJumps(NamedTuple):
    """Chance's part in a batch whose samples each have two times, t <= r."""

    noise: Float[Tensor, "batch ..."]
    t: Float[Tensor, "batch"]
    r: Float[Tensor, "batch"]


class Passes(NamedTuple):
    """Model calls per training example, the condition's encoding apart. A Jacobian-vector product counts
    as two forward passes, a backward pass as one (it costs about two forward ones)."""

    forward: float
    backward: float


class Objective(ABC):
    """What is regressed on what in training, and how the trained model is decoded."""

    name: ClassVar[str]
    source: ClassVar[str]
    uses_schedule: ClassVar[bool] = False
    """Whether training draws its time from a schedule; if not, it is built without one."""
    uses_sampler: ClassVar[bool] = False
    """Whether `decode` integrates with the sampler that it is given."""
    uses_second_time: ClassVar[bool] = False
    """Whether it gives the model `r`."""
    has_velocity: ClassVar[bool] = False
    """Whether its model answers for a velocity at every (x, t): see `velocity`."""
    training_passes: ClassVar[Passes] = Passes(1, 1)

    def attach(self, model: Model, target: tuple[int, ...]) -> None:
        """Give a fresh model what this objective needs of it, before weights are loaded or trained.

        Args:
            target: shape of one target, without the batch.

        Raises:
            UsageError: the model cannot serve this objective.
        """
        if self.uses_second_time and "r" not in inspect.signature(model.forward).parameters:
            raise UsageError(
                f"objective {self.name!r} asks the model for a second time: give "
                f"{type(model).__name__}.forward an argument r=None."
            )

    def draw(self, target: Float[Tensor, "batch ..."], generator: torch.Generator) -> Any:
        """What chance adds to a batch whose target is like `target`, whose numbers do not matter: tensors
        with the batch first, or mappings and tuples of such, on the generator's device. Here: nothing.

        Drawn for a whole batch and apart from the loss, so that processes may each take some of its samples.
        """
        return ()

    @abstractmethod
    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        """Loss of a batch, or of some samples of one, with as much of what `draw` gave. `weight` weighs
        elements of `target`, 0 for padding; default 1."""

    def mass(self, weight: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """What some samples of a batch count among the others: the mean loss of all of them is
        sum(mass * mean) / sum(mass) over the parts. Here: the sum of their weights."""
        return weight.sum()

    @abstractmethod
    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        """A sample of the target in `steps` steps from `noise` ~ N(0, I)."""

    def velocity(
        self, model: Model, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], condition: Any
    ) -> Float[Tensor, "batch ..."]:
        """dx/dt at (x, t) as the model has learned it; only where `has_velocity`."""
        return model(x, t, condition)

    def can_decode(self, steps: int) -> bool:
        """Whether `decode` is defined for this number of steps. Here: for one step only."""
        return steps == 1

    def model_calls(self, steps: int, sampler: Sampler) -> int:
        """Number of function evaluations (NFE) of `decode`; encoding the condition is not counted."""
        return 1


class ScheduledObjective(Objective):
    """An objective whose training draws its time from a schedule."""

    uses_schedule = True

    def __init__(self, schedule: Schedule, time_sampling: TimeSampling = "stratified") -> None:
        self.schedule = schedule
        self.time_sampling: TimeSampling = time_sampling

    def draw(self, target: Float[Tensor, "batch ..."], generator: torch.Generator) -> tuple[Tensor, ...]:
        noise = normal_like(target, generator)
        return Drawn(noise, self.schedule.sample(len(target), generator, self.time_sampling))


def jump(
    model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int
) -> Float[Tensor, "batch ..."]:
    """x += (r - t) model(x, t, c, r) over `steps` equal steps from t to r, for mean velocities."""
    x = noise
    for t, r in itertools.pairwise(uniform_grid(steps, noise.device)):
        x = x + (r - t) * model(x, t.expand(len(x)), condition, r.expand(len(x)))
    return x


def squared_error(
    prediction: Float[Tensor, "batch ..."],
    target: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """Mean of (prediction - target)^2 over elements, weighted, and the same for each sample apart."""
    return weighted_mean((prediction - target).square(), t, weight)


def weighted_mean(
    error: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """Mean of `error` over elements, weighted, and the same for each sample apart."""
    if weight is None:
        per_sample = error.flatten(1).mean(1)
        return Loss(per_sample.mean(), per_sample.detach(), t)
    weighted = (error * weight).flatten(1).sum(1)
    total = weight.expand_as(error).flatten(1).sum(1)
    return Loss(weighted.sum() / total.sum(), (weighted / total.clamp(min=1e-12)).detach(), t)


def normal_like(x: Float[Tensor, "batch ..."], generator: torch.Generator) -> Float[Tensor, "batch ..."]:
    """x0 ~ N(0, I) of `x`'s shape and type, on the generator's device."""
    return torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)


def make_objective(name: str, schedule: Schedule | None, time_sampling: str = "stratified") -> Objective:
    """The objective called `name`, with its training-time law where it takes one."""
    objective = plugins.load("objectives", name)
    return objective(schedule, time_sampling) if objective.uses_schedule else objective()
