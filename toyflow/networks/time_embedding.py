"""How a network is told the time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """sin and cos of t and of r - t at 16 frequencies from 1 to 32, through a two-layer MLP.

    No higher: `meanflow` differentiates by t, and at a frequency of 1000 its goal never settled.

    Example:
        >>> import torch
        >>> from toyflow.networks.time_embedding import TimeEmbedding
        >>> TimeEmbedding(width=8)(torch.zeros(3), torch.ones(3)).shape
        torch.Size([3, 8])
    """

    frequencies: Tensor

    def __init__(self, width: int, frequencies: int = 16) -> None:
        super().__init__()
        scale = torch.exp(torch.linspace(0, math.log(32), frequencies))
        self.register_buffer("frequencies", scale, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(4 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, t: Float[Tensor, "*times"], r: Float[Tensor, "*times"]
    ) -> Float[Tensor, "*times width"]:
        """The embedding of the times `t`, or of the jumps from `t` to `r`."""
        angle = (torch.stack([t, r - t], dim=-1)[..., None] * self.frequencies).flatten(-2)
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))
