"""Random shifts and colours, so that a policy does not learn pixels by heart."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torchvision.transforms import v2

GROUP = 8
"""Samples that share one draw: drawing for each alone costs more than a small network's training step."""


class Augmentation:
    """Images moved by up to `shift` of their side, their border repeated, and brightness, contrast and
    saturation scaled by 1 - `colour` to 1 + `colour`; 0 leaves them as they are."""

    def __init__(self, shift: float, colour: float) -> None:
        self.shift, self.colour = shift, colour

    def __call__(
        self,
        images: dict[str, UInt8[Tensor, "samples 3 side side"]],
        seed: int,
        own: slice = slice(None),
        size: int | None = None,
    ) -> dict[str, UInt8[Tensor, "samples 3 side side"]]:
        """`images` by camera, every camera and group of samples with a draw of its own. Of a batch of `size`
        its `own` samples may come alone: they become what they would among the others."""
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
        return torch.cat([transform(images[group]) for group in members])  # drawn for, even if there are none
