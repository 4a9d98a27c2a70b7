"""What every objective declares: its loss, its decoding, and what both cost.

Over 300 lines, most of which say what a subclass may define.
"""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from toyflow.errors import UsageError
from toyflow.flow.model import Predictor
from toyflow.flow.objectives.loss import Loss
from toyflow.flow.predictions import Prediction, VelocityPrediction, parse_prediction
from toyflow.flow.samplers import Sampler, euler, uniform_grid
from toyflow.flow.schedules.base import Schedule, TimeSampling
from toyflow.flow.schedules.names import parse_schedule


class Drawn(NamedTuple):
    """Noise and times of a batch whose samples each have one time."""

    noise: Float[Tensor, "batch ..."]
    t: Float[Tensor, "batch"]


class DrawnJumps(NamedTuple):
    """Noise and times of a batch whose samples each have two times, t <= r."""

    noise: Float[Tensor, "batch ..."]
    t: Float[Tensor, "batch"]
    r: Float[Tensor, "batch"]


class Passes(NamedTuple):
    """Model calls per training example, the condition's encoding apart. A Jacobian-vector product counts
    as two forward passes, a backward pass as one (it costs about two forward ones).

    Example:
        >>> from toyflow import MeanFlow
        >>> MeanFlow.training_passes
        Passes(forward=2, backward=1)
    """

    forward: float
    backward: float


class Objective(ABC):
    """What is regressed on what in training, and how the trained model is decoded.

    Targets are tensors [batch, ...] of data x1, in units in which noise x0 ~ N(0, I) is a sensible start:
    scale them to about zero mean and unit variance. A subclass defines `loss` and `decode`, `draw` if it
    needs noise or times, and the class attributes below.

    Example:
        >>> import torch
        >>> from toyflow import Objective, normal_like, squared_error
        >>> class Denoise(Objective):
        ...     name, source = "denoise", "an example: E || f(x1 + x0, 0, c) - x1 ||^2"
        ...
        ...     def draw(self, target, generator=None):
        ...         return normal_like(target, generator)
        ...
        ...     def loss(self, model, condition, target, drawn=None, weight=None):
        ...         noise, t = self.ensure_drawn(target, drawn), target.new_zeros(len(target))
        ...         return squared_error(model(target + noise, t, condition), target, t, weight)
        ...
        ...     def decode(self, model, condition, noise, steps=1, sampler=None):
        ...         return model(noise, noise.new_zeros(len(noise)), condition)
        >>> def perfect(x, t, condition):
        ...     return condition
        >>> target = torch.randn(8, 2)
        >>> Denoise().loss(perfect, target, target).value
        tensor(0.)
    """

    name: ClassVar[str]
    source: ClassVar[str]
    uses_schedule: ClassVar[bool] = False
    """Whether training draws its time from a schedule; if not, it is built without one."""
    uses_sampler: ClassVar[bool] = False
    """Whether `decode` integrates with the sampler that it is given."""
    uses_grid: ClassVar[bool] = False
    """Whether `decode` takes the times of its steps as an argument `grid`."""
    uses_noise: ClassVar[bool] = True
    """Whether what `decode` returns depends on the noise that it is given."""
    uses_prediction: ClassVar[bool] = False
    """Whether what the model says is a choice, see `Prediction`; if so, it is built with an argument
    `prediction`."""
    uses_second_time: ClassVar[bool] = False
    """Whether it calls the model with a second time r: model(x, t, condition, r)."""
    has_velocity: ClassVar[bool] = False
    """Whether its model implies a velocity at every (x, t): see `velocity`."""
    takes_known: ClassVar[bool] = False
    """Whether `decode` takes what is known of a sample as an argument `known`, see `Known`."""
    training_passes: ClassVar[Passes] = Passes(1, 1)
    prediction: Prediction = VelocityPrediction()
    """What the model says, where the objective has a velocity."""

    def attach(
        self, model: Predictor, target: tuple[int, ...], generator: torch.Generator | None = None
    ) -> None:
        """Give a fresh model what this objective needs of it, before weights are loaded or trained. Only
        `autoregressive` and the objectives with a learned start change the model; others check it.

        Args:
            target: shape of one target, without the batch.
            generator: of weights that are added; None is torch's global generator, which also draws the
                weights of the model's layers.

        Raises:
            UsageError: the model cannot serve this objective.
        """
        call = model.forward if isinstance(model, nn.Module) else model
        if self.uses_second_time and "r" not in inspect.signature(call).parameters:
            name = f"{type(model).__name__}.forward" if isinstance(model, nn.Module) else "it"
            raise UsageError(
                f"objective {self.name!r} calls the model with a second time r: add a parameter r=None to "
                f"{name}."
            )

    def draw(self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None) -> Any:
        """Samples noise and times; only `target`'s shape, dtype and device are used. Here: nothing.

        Drawn for a whole batch and apart from the loss, so that several processes may each take some of its
        samples.

        Args:
            generator: of the random numbers, and the device of what is drawn; None is torch's global
                generator and the target's device.

        Returns:
            Tensors with the batch first, or mappings and tuples of such.
        """
        return ()

    def ensure_drawn(self, target: Float[Tensor, "batch ..."], drawn: Any) -> Any:
        """`drawn` on `target`'s device; where it is None, what `draw` gives for this batch."""
        drawn = self.draw(target) if drawn is None else drawn
        if isinstance(drawn, tuple) and all(getattr(each, "device", None) == target.device for each in drawn):
            return drawn  # as on every CPU; a tree_map would cost more than the draw
        return tree_map(lambda tensor: tensor.to(target.device), drawn)

    @abstractmethod
    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        """Loss of a batch, or of some samples of one.

        Args:
            model: predicts from (x, t, condition); from (x, t, condition, r) where `uses_second_time`.
            condition: handed to the model as it is.
            target: data x1.
            drawn: what `draw` gave for these samples; None draws from torch's global generator.
            weight: of the elements of `target`, >= 0, 0 for padding; None weighs all alike. Where all are 0,
                the loss and its gradient are 0.
        """

    def mass(self, weight: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """Weight of a part's loss when parts of a batch are averaged: the loss of the whole batch is
        sum(mass * value) / sum(mass) over its parts. Here: the sum of the elements' weights.

        Args:
            weight: of the elements of the part's targets, as for `loss`.
        """
        return weight.sum()

    @abstractmethod
    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        """A sample of the target.

        Args:
            model: as for `loss`, trained.
            condition: handed to the model as it is, in every call.
            noise: x0 ~ N(0, I) of the target's shape.
            steps: K, a number that `can_decode` admits.
            sampler: of the integration, where the objective `uses_sampler`.

        An objective that `uses_grid` takes a further argument: `grid`, the K + 1 times of the steps from 0 to
        1, None for equal steps. One that `takes_known`: `known`, the tokens of the sample that are known
        already, None for none.
        """

    def velocity(
        self, model: Predictor, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], condition: Any
    ) -> Float[Tensor, "batch ..."]:
        """dx/dt at (x, t) as the model has learned it; only where `has_velocity`.

        Raises:
            UsageError: some t is 1, where the velocity that the model's prediction implies is not defined.
        """
        if not self.prediction.ends and bool((t >= 1).any()):
            raise UsageError(
                f"a model that predicts {self.prediction.key} has no velocity at t = 1, where "
                "(x1 - x) / (1 - t) is 0/0; ask at times below 1."
            )
        return self.prediction.velocity(model(x, t, condition), x, t)

    def implied_velocity(self, model: Predictor) -> Predictor:
        """The velocity that `model` implies, as a function of the same arguments."""

        def velocity(x: Tensor, t: Tensor, *rest: Any) -> Tensor:
            return self.prediction.velocity(model(x, t, *rest), x, t)

        return velocity

    def can_decode(self, steps: int) -> bool:
        """Whether `decode` is defined for this number of steps. Here: for one step only."""
        return steps == 1

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        """Number of function evaluations (NFE) of `decode`; encoding the condition is not counted."""
        return 1


class ScheduledObjective(Objective):
    """An objective whose training draws noise x0 ~ N(0, I), and its time from a schedule.

    Args:
        schedule: distribution of the training time, or its name.
        time_sampling: see `Schedule.sample`.
        prediction: what the model says, where the objective `uses_prediction`; or its name.

    Raises:
        UsageError: a name that stands for no schedule or prediction.

    Example:
        >>> import torch
        >>> from toyflow import FlowMatching, Shift
        >>> drawn = FlowMatching(Shift(4)).draw(torch.zeros(5, 3), torch.Generator().manual_seed(0))
        >>> drawn.noise.shape, drawn.t.shape
        (torch.Size([5, 3]), torch.Size([5]))
    """

    uses_schedule = True

    def __init__(
        self,
        schedule: Schedule | str,
        time_sampling: TimeSampling = "stratified",
        prediction: Prediction | str = VelocityPrediction(),  # noqa: B008, which is frozen
    ) -> None:
        self.schedule = parse_schedule(schedule) if isinstance(schedule, str) else schedule
        self.time_sampling: TimeSampling = time_sampling
        self.prediction = parse_prediction(prediction) if isinstance(prediction, str) else prediction

    def draw(
        self, target: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        noise = normal_like(target, generator)
        t = self.schedule.sample(len(target), generator, self.time_sampling)
        return Drawn(noise, t.to(noise.device, torch.promote_types(t.dtype, noise.dtype)))


def jump(
    model: Predictor,
    condition: Any,
    noise: Float[Tensor, "batch ..."],
    steps: int,
    grid: Float[Tensor, "points"] | None = None,
) -> Float[Tensor, "batch ..."]:
    """x += (r - t) model(x, t, c, r) over the steps from t to r, `steps` equal ones or those of `grid`, for
    mean velocities.

    Example:
        >>> import torch
        >>> from toyflow.flow.objectives.base import jump
        >>> jump(lambda x, t, condition, r: torch.full_like(x, 3), None, torch.ones(1, 2), steps=4)
        tensor([[4., 4.]])
    """
    x, times = noise, uniform_grid(steps, noise.device) if grid is None else grid.to(noise.device)
    for t, r in itertools.pairwise(times):
        x = x + (r - t) * model(x, t.expand(len(x)), condition, r.expand(len(x)))
    return x


def normal_like(
    x: Float[Tensor, "batch ..."], generator: torch.Generator | None = None
) -> Float[Tensor, "batch ..."]:
    """Noise x0 ~ N(0, I) of `x`'s shape and dtype.

    Args:
        generator: of the random numbers, and the device of the noise; None is torch's global generator and
            `x`'s device.

    Example:
        >>> import torch
        >>> from toyflow import normal_like
        >>> x = torch.zeros(2, 3)
        >>> one, two = (normal_like(x, torch.Generator().manual_seed(0)) for _ in range(2))
        >>> one.shape, torch.equal(one, two)
        (torch.Size([2, 3]), True)
    """
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype)
