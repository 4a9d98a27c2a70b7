"""Resizing images to the size that a policy sees."""

from __future__ import annotations

from jaxtyping import UInt8
from torch import Tensor


def resized(
    images: UInt8[Tensor, "batch 3 rows columns"], side: int
) -> UInt8[Tensor, "batch 3 {side} {side}"]:
    """Images as a policy sees them, in training and inference alike: bilinear with antialiasing, squeezed to
    a square of `side` pixels. CPU and GPU round differently, by 1 of 255."""
    if images.shape[-2:] == (side, side):
        return images
    from torchvision.transforms.v2.functional import resize  # heavy

    return resize(images, [side, side], antialias=True)
