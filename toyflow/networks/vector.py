"""A small network for tasks whose observation and target are vectors."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.flow import Model


class VectorModel(Model):
    """An MLP over [x, t, r - t, observation]: the least that a study of one's own task needs.

    Args:
        observation: length of an observation vector.
        target: length of a target vector.
    """

    def __init__(self, observation: int, target: int, width: int = 128, depth: int = 2) -> None:
        super().__init__()
        widths = [observation + 2 + target, *[width] * depth]
        hidden = [
            layer
            for inputs, outputs in itertools.pairwise(widths)
            for layer in (nn.Linear(inputs, outputs), nn.SiLU())
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, target))

    def encode(self, observation: Float[Tensor, "batch observation"]) -> Float[Tensor, "batch observation"]:
        """The observation itself."""
        return observation

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
