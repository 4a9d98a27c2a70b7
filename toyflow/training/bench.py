"""What a probe is run on: test examples, noise, and how to load a trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from toyflow.flow import Model, Objective
from toyflow.flow.anatomy import Moments
from toyflow.training.batch import Batch

OptimalVelocity = Callable[[Tensor, Tensor, Any], Tensor]
"""Maps (x, t, observation) to E[x1 - x0 | x_t, c]."""


@dataclass(frozen=True)
class Bench:
    """The examples on which models of one setting are probed. Tensors are on the device.

    Args:
        test: the examples.
        noise: x0 of each example.
        load: maps a stored training to (model, objective), the model on the device.
        outcome: maps samples of all examples to the result of each, such as the digit that it is read as;
            tells whether more steps change it.
        optimal: the optimal velocity, where it is known in closed form.
        moments: maps observations to mean and variance of their targets, where these are known.
        groups: the number of each example's group, such as its episode, where examples of a group are not
            independent; intervals are then over groups.
        origin: what the examples were to the models, as tables name them.

    Example:
        >>> import torch
        >>> from toyflow import Batch, Regression, VectorModel
        >>> from toyflow.training import Bench
        >>> bench = Bench(
        ...     test=Batch(torch.zeros(5, 1), torch.zeros(5, 2)),
        ...     noise=torch.randn(5, 2),
        ...     load=lambda training: (VectorModel(observation=1, target=2), Regression()),
        ...     outcome=lambda sample: sample.argmax(1),
        ... )
        >>> bench.outcome(torch.eye(2))
        tensor([0, 1])
    """

    test: Batch
    noise: Float[Tensor, "examples ..."]
    load: Callable[[Any], tuple[Model, Objective]]
    outcome: Callable[[Tensor], Float[Tensor, "examples"]]
    optimal: OptimalVelocity | None = None
    moments: Callable[[Any], Moments] | None = None
    groups: Int[Tensor, "examples"] | None = None
    origin: str = "test set"
