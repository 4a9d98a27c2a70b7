"""The loss of a batch on what its objective draws for it."""

import torch
from torch import Tensor

from toyflow.flow import Model, Objective
from toyflow.flow.objectives import Loss


def loss_of(
    objective: Objective,
    model: Model,
    condition: object,
    target: Tensor,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Loss:
    return objective.loss(model, condition, target, objective.draw(target, generator), weight)
