"""The interface of backbones: images and a prompt to condition tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Vision and language of a policy. Its cameras, and whether it reads the prompt, are fixed when it is
    made. A new one is a file beside this, chosen in `make_backbone`.

    Attributes:
        width: numbers of a condition token.
    """

    width: int

    @abstractmethod
    def forward(
        self,
        images: Mapping[str, UInt8[Tensor, "batch 3 side side"]],
        tokens: Int64[Tensor, "batch length"],
    ) -> Float[Tensor, "batch tokens {self.width}"]:
        """Condition tokens, the same number for every sample.

        Args:
            images: {camera: pixels in 0..255}.
            tokens: tokens of the prompt, filled up with `PADDING`.
        """
