"""A small network for tasks whose observation and target are vectors."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.flow import Model


class VectorModel(Model):
    """An MLP over [x, t, r - t, observation], with SiLU: a small model for tasks of one's own.

    Args:
        observation: length of an observation vector.
        target: length of a target vector.
        width: of each hidden layer.
        depth: number of hidden layers.

    Example:
        >>> import torch
        >>> from toyflow import VectorModel
        >>> model = VectorModel(observation=3, target=2)
        >>> model(torch.zeros(5, 2), torch.zeros(5), condition=torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, observation: int, target: int, width: int = 128, depth: int = 2) -> None:
        super().__init__()
        widths = [observation + 2 + target, *[width] * depth]
        hidden = [
            layer
            for inputs, outputs in itertools.pairwise(widths)
            for layer in (nn.Linear(inputs, outputs), nn.SiLU())
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], target))

    def forward(
        self,
        x: Float[Tensor, "batch target"],
        t: Float[Tensor, "batch"],
        condition: Float[Tensor, "batch observation"],
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch target"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`."""
        jump = torch.zeros_like(t) if r is None else r - t
        return self.layers(torch.cat([x, t[:, None], jump[:, None], condition], dim=1))
