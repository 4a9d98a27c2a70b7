"""A small CNN that turns image tiles into condition tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from toyflow.toy.mnist import MEAN, STD


class EncoderSize(NamedTuple):
    """Channels of the three convolutions, and by how many pixels, at most, a tile is moved in training."""

    channels: tuple[int, int, int]
    shift: int = 0


ENCODERS = {
    "small": EncoderSize((8, 16, 32)),
    "base": EncoderSize((16, 32, 64)),
    "large": EncoderSize((32, 64, 128)),
    "large-shifted": EncoderSize((32, 64, 128), shift=2),
}
"""Encoder sizes by name."""


class TileEncoder(nn.Module):
    """Three convolutions with BatchNorm, then a linear map to one token per 28 x 28 tile.

    No padding: a digit's margin is empty, and 28 -> 13 -> 6 -> 4 costs half of a padded stack.
    """

    def __init__(self, size: EncoderSize, width: int) -> None:
        super().__init__()
        first, second, third = size.channels
        self.shift = size.shift
        self.layers = nn.Sequential(
            *_convolution(1, first, kernel=4, stride=2),
            *_convolution(first, second, kernel=3, stride=2),
            *_convolution(second, third, kernel=3, stride=1),
            nn.Identity(),  # keeps the names of the weights: the maps were flattened here
            TokenOfMaps(third * 4 * 4, width),
        )
        # Tokens start as large as the position embeddings that are added to them.
        nn.init.orthogonal_(self.layers[-1].weight, gain=nn.init.calculate_gain("relu"))  # pyright: ignore
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a quarter faster on CPUs

    def forward(self, tiles: UInt8[Tensor, "batch tiles 28 28"]) -> Float[Tensor, "batch tiles width"]:
        """One token per tile; pixels are 0 to 255."""
        flat = tiles.flatten(0, 1)
        if self.training and self.shift:
            flat = _shifted(flat, self.shift)
        pixels = (flat.unsqueeze(1).float() / 255 - MEAN) / STD
        return self.layers(pixels).unflatten(0, tiles.shape[:2])


class TokenOfMaps(nn.Linear):
    """A linear map of feature maps, flattened channel by channel, as nn.Flatten and nn.Linear would.

    The maps lie in memory with the channels last. The weight is brought into their order, not the maps
    into its: it is smaller, and the gradient comes back as the layers below are fast in.
    """

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, maps: Float[Tensor, "tiles channels rows columns"]
    ) -> Float[Tensor, "tiles width"]:
        """One token for the maps of each tile."""
        weight = self.weight.unflatten(1, maps.shape[1:]).permute(0, 2, 3, 1)
        return linear(maps.permute(0, 2, 3, 1).flatten(1), weight.flatten(1), self.bias)


def _shifted(tiles: UInt8[Tensor, "tiles 28 28"], most: int) -> UInt8[Tensor, "tiles 28 28"]:
    """Each tile moved by its own random offset, up to `most` pixels down and across; what enters is empty."""
    count, side, _ = tiles.shape
    padded = pad(tiles, (most, most, most, most))
    offsets = torch.randint(2 * most + 1, (2, count, 1), device=tiles.device)
    rows, columns = offsets + torch.arange(side, device=tiles.device)
    return padded[torch.arange(count, device=tiles.device)[:, None, None], rows[:, :, None], columns[:, None]]


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
