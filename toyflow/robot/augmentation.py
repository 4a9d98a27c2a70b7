"""Random shifts and colours, so that a policy does not learn pixels by heart."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
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
        self, images: dict[str, UInt8[Tensor, "batch 3 side side"]], seed: int
    ) -> dict[str, UInt8[Tensor, "batch 3 side side"]]:
        """`images` by camera, every camera and group of samples with a draw of its own."""
        if not self.shift and not self.colour:
            return images
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
            torch.manual_seed(seed)
            return {camera: self._changed(batch) for camera, batch in images.items()}

    def _changed(self, batch: UInt8[Tensor, "batch 3 side side"]) -> UInt8[Tensor, "batch 3 side side"]:
        side = batch.shape[-1]
        change: list[v2.Transform] = []
        if self.shift:
            change.append(v2.RandomCrop(side, padding=round(self.shift * side), padding_mode="edge"))
        if self.colour:
            change.append(v2.ColorJitter(self.colour, self.colour, self.colour))
        transform = v2.Compose(change)
        return torch.cat([transform(group) for group in batch.split(GROUP)])
