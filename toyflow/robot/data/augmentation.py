"""Random shifts and colours of images, against overfitting."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torchvision.transforms import v2

GROUP = 8
"""Samples that share one random draw: one draw per sample would cost more than a small network's step."""


class Augmentation:
    """Random crops and colour jitter of square images.

    Args:
        shift: images are moved by up to this share of their side, with their border repeated.
        colour: brightness, contrast and saturation are scaled by 1 - `colour` to 1 + `colour`.
    """

    def __init__(self, shift: float, colour: float) -> None:
        self.shift, self.colour = shift, colour

    def __call__(
        self,
        images: dict[str, UInt8[Tensor, "samples 3 side side"]],
        seed: int,
        own: slice = slice(None),
        size: int | None = None,
    ) -> dict[str, UInt8[Tensor, "samples 3 side side"]]:
        """Augmented images, with a random draw for each camera and group of samples.

        Args:
            images: {camera: pixels}.
            seed: decides all draws.
            own, size: which samples of a batch of `size` these are; they come out as in the whole batch.
        """
        if not self.shift and not self.colour:
            return images
        size = len(next(iter(images.values()), ())) if size is None else size
        groups = torch.arange(size)[own] // GROUP
        members = [groups == number for number in range(math.ceil(size / GROUP))]
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
            torch.manual_seed(seed)
            return {camera: self._changed(pictures, members) for camera, pictures in images.items()}

    def _changed(
        self, images: UInt8[Tensor, "samples 3 side side"], members: list[Bool[Tensor, "samples"]]
    ) -> UInt8[Tensor, "samples 3 side side"]:
        side = images.shape[-1]
        change: list[v2.Transform] = []
        if self.shift:
            change.append(v2.RandomCrop(side, padding=round(self.shift * side), padding_mode="edge"))
        if self.colour:
            change.append(v2.ColorJitter(self.colour, self.colour, self.colour))
        transform = v2.Compose(change)
        return torch.cat(
            [transform(images[group]) for group in members]
        )  # also for empty groups, to keep the draws in step
