"""LIBERO-Plus's sensor noise, against slow definitions of the same corruptions."""

import math

import numpy as np
import pytest
from numpy.random import RandomState

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments.libero.plus.sensor_noise import (
    GLASS_BLUR,
    MOTION_BLUR,
    corrupt,
    kind_and_severity,
)

ALL = range(1, 51)


def picture(side=256, seed=0):
    rows, columns = np.mgrid[:side, :side] / side
    smooth = np.stack([rows, columns, np.sin(9 * rows * columns) / 2 + 0.5], 2) * 200
    return (smooth + RandomState(seed).uniform(0, 50, smooth.shape)).astype(np.uint8)


@pytest.mark.parametrize("noise", ALL)
def test_a_flat_image_stays_flat_under_every_blur(noise):
    flat = np.full((64, 64, 3), (10, 120, 250), np.uint8)
    blurred = corrupt(flat, noise, RandomState(1))
    if kind_and_severity(noise)[0] == "fog":
        assert blurred.std(axis=(0, 1)).max() > 1
    else:
        assert np.abs(blurred.astype(int) - flat).max() <= 2  # values are cut to whole ones, up to twice


@pytest.mark.parametrize("noise", [3, 18, 26, 33, 45])
@pytest.mark.parametrize("side", [64, 128, 224])
def test_images_of_other_sizes_keep_their_size_and_are_changed(noise, side):
    image = picture(side)
    seen = corrupt(image, noise, RandomState(0))
    assert seen.shape == image.shape and seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - image).mean() > 1


@pytest.mark.parametrize("first", [1, 11, 21, 31, 41])
def test_the_worst_severity_changes_more_than_the_mildest(first):
    image = np.kron(picture(16), np.ones((16, 16, 1))).astype(np.uint8)  # blocks of colour
    changes = [
        np.abs(corrupt(image, noise, RandomState(0)).astype(int) - image).mean()
        for noise in (first, first + 9)
    ]
    assert changes[1] > 1.2 * changes[0]


@pytest.mark.parametrize("noise", [5, 35, 45])
def test_random_noise_is_a_function_of_the_generator(noise):
    image = picture(64)
    assert np.array_equal(corrupt(image, noise, RandomState(3)), corrupt(image, noise, RandomState(3)))
    assert not np.array_equal(corrupt(image, noise, RandomState(3)), corrupt(image, noise, RandomState(4)))


@pytest.mark.parametrize("severity", [1, 4])
def test_motion_blur_is_a_one_sided_gaussian_along_a_line(severity):
    image = picture()
    radius, deviation = MOTION_BLUR[severity - 1]
    angle = math.radians(RandomState(7).uniform(-45, 45))
    weights = [math.exp(-(step**2) / (2 * deviation**2)) for step in range(2 * radius + 1)]
    for row, column in ((100, 90), (3, 250), (255, 0)):
        mean = np.zeros(3)
        for step, weight in enumerate(weights):
            y = min(max(row + math.ceil(step * math.sin(angle) - 0.5), 0), 255)
            x = min(max(column + math.ceil(step * math.cos(angle) - 0.5), 0), 255)
            mean += weight / sum(weights) * image[y, x]
        seen = corrupt(image, severity, RandomState(7))[row, column]
        assert np.abs(seen - mean).max() < 1.01


@pytest.mark.parametrize("severity", [3, 9])
def test_glass_copies_pixel_by_pixel_from_the_last_one_backwards(severity, monkeypatch):
    """LIBERO-Plus's loop, with the blurs before and after left out of both."""
    module = "toyflow.robot.simulation.environments.libero.plus.sensor_noise"
    monkeypatch.setattr(f"{module}._smooth", lambda pixels, deviation: pixels)
    _, displacement, rounds = GLASS_BLUR[severity - 1]
    slow, generator = ((picture() / 255.0) * 255).astype(np.uint8), RandomState(5)
    for _ in range(rounds):
        for row in range(224 - displacement, displacement, -1):
            for column in range(224 - displacement, displacement, -1):
                right, down = generator.randint(-displacement, displacement, size=2)
                slow[row, column] = slow[row + down, column + right]
    fast = corrupt(picture(), 40 + severity, RandomState(5))
    assert np.array_equal(fast, ((slow / 255.0) * 255).astype(np.uint8))


def test_zoom_leaves_the_centre_of_symmetry_in_place():
    rings = np.hypot(*(np.mgrid[:256, :256] - 127.5)) / 181 * 255
    image = np.repeat(rings[..., None], 3, 2).astype(np.uint8)
    seen = corrupt(image, 25, RandomState(0)).astype(int)
    assert np.abs(seen[126:130, 126:130] - image[126:130, 126:130].astype(int)).max() <= 3
    assert np.abs(seen - seen[::-1, ::-1]).max() <= 5
    assert seen[0, 0, 0] < image[0, 0, 0] - 10  # a mean of what lies nearer to the centre


@pytest.mark.parametrize("noise", [0, 51])
def test_a_noise_that_is_not_there_is_refused(noise):
    with pytest.raises(UsageError, match="1 to 50"):
        corrupt(picture(8), noise, RandomState(0))
