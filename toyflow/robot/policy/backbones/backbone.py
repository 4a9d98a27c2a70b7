"""What a backbone is: images and a prompt to condition tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Vision and language of a policy. Which cameras it has, and whether it reads, is settled when it is
    made; it looks at nothing else of its input."""

    width: int
    """Of the tokens that it gives."""

    @abstractmethod
    def forward(
        self,
        images: Mapping[str, UInt8[Tensor, "batch 3 side side"]],
        tokens: Int64[Tensor, "batch length"],
    ) -> Float[Tensor, "batch tokens {self.width}"]:
        """Condition tokens, as many for every sample."""
