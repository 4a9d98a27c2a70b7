"""`regression`: the target from the condition alone, no noise anywhere; the central control."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.errors import UsageError
from toyflow.flow.model import Predictor
from toyflow.flow.objectives.base import Objective
from toyflow.flow.objectives.loss import Loss, weighted_mean
from toyflow.flow.samplers import Sampler, euler


class Regression(Objective):
    """E || f(0, 0, c) - x1 ||^2: L2 from a zero start. Its optimum E[x1 | c] is also that of one-step
    flow, x0 + v(x0, 0, c); what sets the two apart is learning, not the target.

    Example:
        >>> import torch
        >>> from toyflow import Regression
        >>> target = torch.tensor([[0.0], [4.0]])
        >>> Regression().loss(lambda x, t, condition: x + 1, None, target)
        Loss(value=tensor(5.), per_sample=tensor([1., 9.]), t=tensor([0., 0.]))
    """

    name = "regression"
    source = "the control that the paper leaves out"
    uses_noise = False
    power: ClassVar[int] = 2
    """The error's power: 2 aims at the mean of x1 given c, 1 at its median."""

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        t = target.new_zeros(len(target))
        error = (model(self.start(model, target), t, condition) - target).abs().pow(self.power)
        return weighted_mean(error, t, weight)

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        return model(self.start(model, noise), noise.new_zeros(len(noise)), condition)

    def start(self, model: Predictor, like: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """What takes the place of the noise."""
        return torch.zeros_like(like)


class RegressionL1(Regression):
    """E | f(0, 0, c) - x1 |, elementwise.

    Example:
        >>> import torch
        >>> from toyflow import RegressionL1
        >>> RegressionL1().loss(lambda x, t, condition: x + 1, None, torch.tensor([[0.0], [4.0]])).value
        tensor(2.)
    """

    name = "regression-l1"
    power = 1


class LearnedStart(nn.Parameter):
    """The parameter that takes the place of the noise, of one target's shape. Its type tells a recipe what
    it is.

    Example:
        >>> import torch
        >>> from toyflow.flow.objectives.regression import LearnedStart
        >>> LearnedStart(torch.zeros(2)).requires_grad
        True
    """


class RegressionLearned(Regression):
    """E || f(a, 0, c) - x1 ||^2 with a learned start a, drawn from N(0, 1) before training.

    `attach` makes the start a parameter of the model, `model.start`, on the device and of the dtype of the
    model's other parameters, before the optimiser is built.

    Example:
        >>> import torch
        >>> from toyflow import RegressionLearned, VectorModel
        >>> objective, model = RegressionLearned(), VectorModel(observation=1, target=2)
        >>> objective.attach(model, (2,))
        >>> model.start.shape
        torch.Size([2])
    """

    name = "regression-learned"
    source = "the paper's learned action start, its table 11"

    def attach(
        self, model: Predictor, target: tuple[int, ...], generator: torch.Generator | None = None
    ) -> None:
        super().attach(model, target, generator)
        if not isinstance(model, nn.Module):
            raise UsageError(
                f"objective {self.name!r} keeps its start in the model, which must be a torch.nn.Module."
            )
        start = self.initial(target, generator)
        like = next(model.parameters(), start)
        model.start = LearnedStart(start.to(like.device, like.dtype))

    def initial(self, target: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """The start before training, on the generator's device."""
        return torch.randn(target, generator=generator, device=generator.device if generator else None)

    def start(self, model: Predictor, like: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The model's learned start. Raises UsageError if the objective was not attached to the model."""
        start = getattr(model, "start", None)
        if not isinstance(start, Tensor):
            raise UsageError(f"objective {self.name!r} has no start yet: call its `attach` with the model.")
        return start.expand_as(like)


class RegressionLearnedZero(RegressionLearned):
    """E || f(a, 0, c) - x1 ||^2 with a learned start a, zero before training.

    Example:
        >>> from toyflow import RegressionLearnedZero, VectorModel
        >>> model = VectorModel(observation=1, target=2)
        >>> RegressionLearnedZero().attach(model, (2,))
        >>> model.start.tolist()
        [0.0, 0.0]
    """

    name = "regression-learned-zero"

    def initial(self, target: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        return torch.zeros(target)


class RegressionL1Learned(RegressionLearned):
    """E | f(a, 0, c) - x1 | with a learned start a, drawn from N(0, 1) before training.

    Example:
        >>> from toyflow import RegressionL1Learned
        >>> RegressionL1Learned().power
        1
    """

    name = "regression-l1-learned"
    power = 1
