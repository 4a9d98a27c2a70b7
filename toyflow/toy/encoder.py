"""A small CNN that turns image tiles into condition tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from toyflow.toy.mnist import MEAN, STD

ENCODER_CHANNELS = {"small": (8, 16, 32), "base": (16, 32, 64), "large": (32, 64, 128)}
"""Channels of the three convolutions by the encoder's name."""


class TileEncoder(nn.Module):
    """Three convolutions with BatchNorm, then a linear map to one token per 28 x 28 tile.

    No padding: a digit's margin is empty, and 28 -> 13 -> 6 -> 4 costs half of a padded stack.
    """

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        first, second, third = channels
        self.layers = nn.Sequential(
            *_convolution(1, first, kernel=4, stride=2),
            *_convolution(first, second, kernel=3, stride=2),
            *_convolution(second, third, kernel=3, stride=1),
            nn.Flatten(),
            nn.Linear(third * 4 * 4, width),
        )
        # Tokens start as large as the position embeddings that are added to them.
        nn.init.orthogonal_(self.layers[-1].weight, gain=nn.init.calculate_gain("relu"))  # pyright: ignore
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a quarter faster on CPUs

    def forward(self, tiles: UInt8[Tensor, "batch tiles 28 28"]) -> Float[Tensor, "batch tiles width"]:
        """One token per tile; pixels are 0 to 255."""
        pixels = (tiles.flatten(0, 1).unsqueeze(1).float() / 255 - MEAN) / STD
        return self.layers(pixels).unflatten(0, tiles.shape[:2])


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
