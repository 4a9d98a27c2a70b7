"""A model of `toyflow.flow` around a denoiser."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Model
from toyflow.networks.denoiser import Denoiser, Reading
from toyflow.networks.mlp_denoiser import MLPDenoiser


class DenoisingModel(Model):
    """A model whose predictions are those of its `denoiser`; subclasses `encode` what it reads.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from toyflow.networks import Denoiser, DenoiserSize, DenoisingModel
        >>> class FromVector(DenoisingModel):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.token = nn.Linear(6, 16)
        ...         self.denoiser = Denoiser(4, 10, DenoiserSize(width=16, depth=2, heads=2))
        ...
        ...     def encode(self, observation):
        ...         return self.denoiser.read(self.token(observation)[:, None])
        >>> model = FromVector()
        >>> model(torch.randn(3, 4, 10), torch.zeros(3), model.encode(torch.randn(3, 6))).shape
        torch.Size([3, 4, 10])
    """

    denoiser: Denoiser | MLPDenoiser

    def repeat(self, condition: Reading, times: int) -> Reading:
        """See `Denoiser.repeat`."""
        return self.denoiser.repeat(condition, times)

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        t: Float[Tensor, "batch *tokens"],
        condition: Reading,
        r: Float[Tensor, "batch *tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`; see `Denoiser.forward`."""
        return self.denoiser(x, t, condition, r)

    def make_causal(self) -> None:
        """See `Denoiser.make_causal`."""
        self.denoiser.make_causal()
