"""LIBERO-Plus's sensor noise: five corruptions of an image at ten severities each.

The corruptions are ImageNet-C's (Hendrycks and Dietterich, arXiv 1903.12261), with LIBERO-Plus's severities.
On images of 256 pixels, the size in which LIBERO-Plus evaluates, they give its pictures for the same random
numbers (docs/guides/libero-plus.md says how closely); on images of another size, every length scales with the
side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage

from toyflow.errors import UsageError

Image = UInt8[np.ndarray, "side side 3"]
Pixels = Float[np.ndarray, "side side 3"]
"""An image with values from 0 to 1."""

OFFICIAL_SIDE = 256
"""Side in pixels of the images whose severities are listed here."""

SEVERITIES = 10

MOTION_BLUR = (
    (5, 2), (8, 3), (10, 4), (12, 5), (15, 6), (18, 8), (20, 10), (25, 12), (30, 15), (35, 20),
)  # fmt: skip
"""Radius of the blur and standard deviation of its weights, in pixels."""

ZOOM_BLUR = (
    (1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03),
    (1.36, 0.01), (1.41, 0.01), (1.46, 0.02), (1.51, 0.02), (1.56, 0.03),
)  # fmt: skip
"""End (excluded) and step of the zoom factors, which start at 1."""

FOG = (
    (0.5, 3.0), (1.0, 2.8), (1.5, 2.5), (2.0, 2.2), (2.5, 2.0),
    (3.0, 1.8), (3.5, 1.6), (4.0, 1.5), (4.5, 1.4), (5.0, 1.3),
)  # fmt: skip
"""Density of the fog, and by how much its variation decays from one scale to the next finer one."""

GLASS_BLUR = (
    (0.5, 1, 3), (0.7, 1, 3), (0.9, 2, 3), (1.0, 2, 2), (1.1, 3, 2),
    (1.3, 3, 2), (1.5, 4, 2), (1.8, 4, 2), (2.2, 5, 1), (2.5, 5, 1),
)  # fmt: skip
"""Standard deviation of the blur in pixels, largest displacement in pixels, and rounds of displacement."""

GLASS_REACH = 224
"""LIBERO-Plus's glass covers rows and columns up to this one, also of images with 256 of them."""


def corrupt(image: Image, noise: int, generator: np.random.RandomState) -> Image:
    """An image as a disturbed camera gives it.

    Args:
        image: as robosuite's camera gives it, with the last row first; the motion blur has a direction.
        noise: 1 to 50, the number at the end of a task's name: motion blur, Gaussian blur, zoom blur, fog and
            glass blur, each in severities from 1 to 10.
        generator: LIBERO-Plus draws from numpy's global generator, which is of this kind.

    Raises:
        UsageError: there is no such noise.

    >>> flat = np.full((256, 256, 3), 90, np.uint8)
    >>> corrupt(flat, 15, np.random.RandomState(0))[100, 100].tolist()  # Gaussian blur
    [90, 90, 90]
    >>> bool(corrupt(flat, 40, np.random.RandomState(0)).std() > 10)  # dense fog
    True
    """
    kind, severity = kind_and_severity(noise)
    return _CORRUPTIONS[kind](image, severity, generator)


def kind_and_severity(noise: int) -> tuple[str, int]:
    """The kind and the severity, from 1 to 10, of a noise from 1 to 50.

    >>> kind_and_severity(47)
    ('glass blur', 7)
    """
    if not 1 <= noise <= SEVERITIES * len(_CORRUPTIONS):
        raise UsageError(f"there is no sensor noise {noise}: 1 to {SEVERITIES * len(_CORRUPTIONS)}.")
    return list(_CORRUPTIONS)[(noise - 1) // SEVERITIES], (noise - 1) % SEVERITIES + 1


def _motion_blur(image: Image, severity: int, generator: np.random.RandomState) -> Image:
    """Half a Gaussian along a line of random direction, as ImageMagick's `-motion-blur`."""
    radius, deviation = (length * _scale(image) for length in MOTION_BLUR[severity - 1])
    angle = math.radians(generator.uniform(-45, 45))
    distances = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(distances**2) / (2 * deviation**2))
    rows = np.ceil(distances * math.sin(angle) - 0.5).astype(int)
    columns = np.ceil(distances * math.cos(angle) - 0.5).astype(int)
    margin, side = len(distances), len(image)
    padded = np.pad(image.astype(float), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    total = np.zeros(image.shape)
    for weight, down, right in zip(weights / weights.sum(), rows + margin, columns + margin, strict=True):
        total += weight * padded[down : down + side, right : right + side]
    return (np.round(total * 257) // 257).astype(np.uint8)  # by way of ImageMagick's 16 bits


def _gaussian_blur(image: Image, severity: int, generator: np.random.RandomState) -> Image:
    return _bytes(_smooth(image / 255.0, severity * _scale(image)))


def _zoom_blur(image: Image, severity: int, generator: np.random.RandomState) -> Image:
    """The mean of the image and its enlargements around the centre."""
    factors = np.arange(1, *ZOOM_BLUR[severity - 1])
    once = (np.moveaxis(image, 2, 0) / 255.0).astype(np.float32, order="C")  # faster a channel at a time
    pixels, total = once.astype(float), np.zeros_like(once)
    near, far, enlarged = (np.empty_like(pixels) for _ in range(3))
    for factor in factors:
        first, second, share = _interpolation(len(image), float(factor))
        pixels.take(first, axis=1, out=near, mode="clip")
        pixels.take(second, axis=1, out=far, mode="clip")
        far -= near
        far *= share[:, np.newaxis]
        near += far
        near.take(first, axis=2, out=enlarged, mode="clip")
        near.take(second, axis=2, out=far, mode="clip")
        far -= enlarged
        far *= share
        enlarged += far
        total += enlarged.astype(np.float32)
    return _bytes(np.moveaxis((once + total) / (len(factors) + 1), 0, 2))


def _fog(image: Image, severity: int, generator: np.random.RandomState) -> Image:
    density, decay = FOG[severity - 1]
    clouds = _clouds(decay, generator)
    if len(image) != OFFICIAL_SIDE:
        clouds = ndimage.zoom(clouds, len(image) / OFFICIAL_SIDE, order=1, mode="nearest", grid_mode=True)
    pixels: Pixels = image / 255.0
    brightest = float(pixels.max())
    return _bytes((pixels + density * clouds[..., np.newaxis]) * brightest / (brightest + density))


def _glass_blur(image: Image, severity: int, generator: np.random.RandomState) -> Image:
    """Every pixel is replaced by a random neighbour, between two Gaussian blurs."""
    deviation, displacement, rounds = GLASS_BLUR[severity - 1]
    deviation *= _scale(image)
    displacement = max(1, round(displacement * _scale(image)))
    shuffled = _bytes(_smooth(image / 255.0, deviation)).reshape(-1, 3)
    for _ in range(rounds):
        shuffled = shuffled[_neighbours(len(image), displacement, generator)]
    return _bytes(_smooth(shuffled.reshape(image.shape) / 255.0, deviation))


_CORRUPTIONS: dict[str, Callable[[Image, int, np.random.RandomState], Image]] = {
    "motion blur": _motion_blur,
    "Gaussian blur": _gaussian_blur,
    "zoom blur": _zoom_blur,
    "fog": _fog,
    "glass blur": _glass_blur,
}


def _scale(image: Image) -> float:
    return len(image) / OFFICIAL_SIDE


def _bytes(pixels: Pixels) -> Image:
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _smooth(pixels: Pixels, deviation: float) -> Pixels:
    return ndimage.gaussian_filter(pixels, (deviation, deviation, 0), mode="nearest")


@cache
def _interpolation(
    side: int, factor: float
) -> tuple[Int[np.ndarray, "side"], Int[np.ndarray, "side"], Float[np.ndarray, "side"]]:
    """For each row (or column) of an enlarged image: the two rows that it lies between, and the share of the
    second. The centre is cropped to whole pixels and enlarged, and what exceeds the side is cut off."""
    cropped = math.ceil(side / factor)
    enlarged = round(cropped * factor)
    kept = np.arange(side) + (enlarged - side) // 2
    places = np.clip(kept * (cropped - 1) / (enlarged - 1), 0, cropped - 1)
    first = np.minimum(places.astype(int), cropped - 2)
    top = (side - cropped) // 2
    return first + top, first + top + 1, places - first


def _clouds(decay: float, generator: np.random.RandomState) -> Float[np.ndarray, "256 256"]:
    """A random height map from 0 to 1, by the diamond-square algorithm on a torus."""
    side, variation = OFFICIAL_SIDE, 100.0
    heights = np.zeros((side, side))
    step = side

    def varied(sums: np.ndarray) -> np.ndarray:
        return sums / 4 + variation * generator.uniform(-variation, variation, sums.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = varied(pairs + np.roll(pairs, -1, axis=1))
        centres = heights[half::step, half::step]
        above, beside = centres + np.roll(centres, 1, axis=0), corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = varied(above + beside)
        left, below = centres + np.roll(centres, 1, axis=1), corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = varied(left + below)
        step, variation = half, variation / decay
    heights -= heights.min()
    return heights / heights.max()


def _neighbours(side: int, displacement: int, generator: np.random.RandomState) -> Int[np.ndarray, "pixels"]:
    """For each pixel, which one it takes its colour from.

    LIBERO-Plus goes through the pixels from the last one backwards, and copies the colour of a random
    neighbour, which may have been replaced already. Here the chains of copies are followed for all pixels at
    once: each link leads to a pixel's colour after (`0 <= node < side^2`) or before the replacement.
    """
    end = round(GLASS_REACH * side / OFFICIAL_SIDE) - displacement
    covered = np.arange(end, displacement, -1)
    rows, columns = (grid.ravel() for grid in np.meshgrid(covered, covered, indexing="ij"))
    right, down = generator.randint(-displacement, displacement, size=(len(rows), 2)).T
    target, source = rows * side + columns, (rows + down) * side + columns + right
    before = np.arange(side**2) + side**2
    links = np.concatenate([before, before])
    links[target] = np.where(source > target, source, source + side**2)
    while (links[: side**2] < side**2).any():
        links = links[links]
    return links[: side**2] - side**2
