"""A residual MLP over the whole of a small target, for conditions that are one vector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.errors import UsageError
from toyflow.flow.model import repeat_condition
from toyflow.networks.denoiser import Draws, Reading
from toyflow.networks.time_embedding import TimeEmbedding


@dataclass(frozen=True)
class MLPSize:
    """The size of an `MLPDenoiser`.

    Example:
        >>> from toyflow.networks.mlp_denoiser import MLPSize
        >>> MLPSize(width=64, depth=2).width
        64
    """

    width: int
    """Width of every layer."""
    depth: int
    """Number of residual blocks, of two layers each."""


class MLPDenoiser(nn.Module):
    """h = embed(x) + condition + time(t, r); h += MLP(LN h) in every block; the prediction is linear in LN h.

    All target tokens are one vector, so that on a processor a call on a batch of 64 or more costs a tenth of
    a `Denoiser`'s (nano's), and one on a single sample two thirds. There is no attention: the condition is
    one token, and times are those of a whole sample.

    Args:
        tokens: number of target tokens.
        dim: numbers in each.
        size: width and depth.
        used: how many of each token's numbers are read and predicted, the first ones; the others are 0 in the
            prediction. None is all.

    Example:
        >>> import torch
        >>> from toyflow.networks.mlp_denoiser import MLPDenoiser, MLPSize
        >>> denoiser = MLPDenoiser(tokens=4, dim=10, size=MLPSize(width=16, depth=2), used=7)
        >>> condition = denoiser.read(torch.randn(3, 1, 16))
        >>> answer = denoiser(torch.randn(3, 4, 10), torch.zeros(3), condition)
        >>> answer.shape, answer[..., 7:].abs().max()
        (torch.Size([3, 4, 10]), tensor(0., grad_fn=<MaxBackward1>))
    """

    def __init__(self, tokens: int, dim: int, size: MLPSize, used: int | None = None) -> None:
        super().__init__()
        width, self.used = size.width, dim if used is None else used
        self.embed = nn.Linear(tokens * self.used, width)
        self.time = TimeEmbedding(width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens * self.used)

    def read(self, condition: Float[Tensor, "batch 1 width"]) -> Float[Tensor, "batch 1 width"]:
        """What can be computed of the condition once: its one token as it is."""
        return condition

    def repeat(self, condition: Reading, times: int) -> Draws:
        """The reading for `times` draws of each example of the batch, draw by draw."""
        assert isinstance(condition, Tensor)
        return Draws(repeat_condition(condition, times))

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        t: Float[Tensor, "batch"],
        condition: Reading,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`; see `Denoiser.forward`."""
        if isinstance(condition, Draws):
            return self(x, t, condition.reading, r)
        assert isinstance(condition, Tensor)
        time = self.time(t, t if r is None else r)
        hidden = self.embed(x[..., : self.used].flatten(1)) + condition.squeeze(1) + time
        for block in self.blocks:
            hidden = hidden + block(hidden)
        answer = self.head(self.norm(hidden)).unflatten(1, (-1, self.used))
        return torch.cat([answer, torch.zeros_like(x[..., self.used :])], dim=-1)

    def make_causal(self) -> None:
        """Raise UsageError: all tokens are one."""
        raise UsageError("an MLP has no causal form; a transformer with cross attention has.")
