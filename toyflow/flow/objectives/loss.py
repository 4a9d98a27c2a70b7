"""The loss of a batch: what is differentiated, and what is logged."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor


class Loss(NamedTuple):
    """A batch's loss.

    Example:
        >>> import torch
        >>> from toyflow import squared_error
        >>> loss = squared_error(torch.zeros(2, 3), torch.tensor([[1.0], [2.0]]).expand(2, 3), torch.zeros(2))
        >>> loss.value, loss.per_sample
        (tensor(2.5000), tensor([1., 4.]))
    """

    value: Float[Tensor, ""]
    """The loss that is differentiated, a scalar."""
    per_sample: Float[Tensor, "batch"]
    """Each sample's mean error over its elements, for the log, without gradient."""
    t: Float[Tensor, "batch"]
    """Each sample's time, to log the loss by noise level."""

    @property
    def mean(self) -> NoReturn:
        """Renamed after 0.1.0."""
        raise AttributeError("a loss has no `mean` any more: write `loss.value`.")


def squared_error(
    prediction: Float[Tensor, "batch ..."],
    target: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """`weighted_mean` of (prediction - target)^2.

    Example:
        >>> import torch
        >>> from toyflow import squared_error
        >>> prediction, target = torch.zeros(1, 2), torch.tensor([[3.0, 5.0]])
        >>> squared_error(prediction, target, torch.zeros(1), weight=torch.tensor([[1.0, 0.0]])).value
        tensor(9.)
    """
    return weighted_mean((prediction - target).square(), t, weight)


def weighted_mean(
    error: Float[Tensor, "batch ..."],
    t: Float[Tensor, "batch"],
    weight: Float[Tensor, "batch ..."] | None = None,
) -> Loss:
    """sum(weight * error) / sum(weight) over all elements, and the same for each sample apart; 0 where all
    weights are 0.

    Args:
        error: of each element.
        t: time of each sample.
        weight: >= 0, of `error`'s shape or one that broadcasts to it; None weighs all elements alike.

    Example:
        >>> import torch
        >>> from toyflow.flow import weighted_mean
        >>> error, weight = torch.tensor([[1.0, 3.0], [5.0, 7.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        >>> loss = weighted_mean(error, torch.zeros(2), weight)
        >>> loss.value, loss.per_sample
        (tensor(3.), tensor([2., 5.]))
    """
    if weight is None:
        per_sample = error.flatten(1).mean(1)
        return Loss(per_sample.mean(), per_sample.detach(), t)
    weighted = (error * weight).flatten(1).sum(1)
    total = weight.expand_as(error).flatten(1).sum(1)
    value = weighted.sum() / nonzero(total.sum())
    return Loss(value, (weighted / nonzero(total)).detach(), t)


def nonzero(divisor: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """`divisor` with 1 in place of 0, where the dividend is 0, too."""
    return torch.where(divisor == 0, 1.0, divisor)
