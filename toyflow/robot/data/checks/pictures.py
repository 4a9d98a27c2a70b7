"""Cameras: whether their pictures have the size that meta says, and show something that moves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from toyflow.robot.data.checks.contents import Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.checks.image_files import image_pictures
from toyflow.robot.data.checks.samples import Sampled
from toyflow.robot.data.checks.videos import video_pictures

BLACK = 10
"""A picture without a brighter value (0..255) is black."""
PLAIN = 1.0
"""A standard deviation of pixels below this is a picture of one colour."""
MOVES = 0.02
"""Share of a number's range over the data set by which it must change for a still camera to be frozen."""
SIDE = 160
"""Longest side of the pictures that a report shows."""


class CameraCheck(NamedTuple):
    """What was found of a camera, and its first picture as PNG, if there is one."""

    findings: list[Finding]
    first: bytes | None


def check_camera(contents: Contents, feature: str) -> CameraCheck:
    """Look at samples of a camera's pictures."""
    findings: list[Finding] = []
    is_video = contents.features[feature].get("dtype") == "video"
    by_episode = (video_pictures if is_video else image_pictures)(contents, feature, findings)
    findings.extend(_check_size(contents, feature, by_episode))
    findings.extend(_check_seen(contents, feature, by_episode))
    first = next((pictures[0].pixels for _, pictures in by_episode if pictures), None)
    return CameraCheck(findings, None if first is None else _png(first))


def _check_size(contents: Contents, feature: str, by_episode: Sampled) -> Iterator[Finding]:
    """Whether decoded pictures of a video are of one size; those of image files were looked at one by one."""
    sizes = {each.pixels.shape: each.frame for _, pictures in by_episode for each in pictures}
    if len(sizes) > 1 and contents.features[feature].get("dtype") == "video":
        frame = max(sizes.values())
        yield contents.at("error", frame, feature, f"pictures are of {len(sizes)} sizes.")


def _check_seen(contents: Contents, feature: str, by_episode: Sampled) -> Iterator[Finding]:
    """Whether pictures show something, and whether it moves where the robot does."""
    pictures = [each for _, several in by_episode for each in several]
    blank = [each.frame for each in pictures if each.pixels.max() < BLACK or each.pixels.std() < PLAIN]
    if blank:
        every = len(blank) == len(pictures)
        yield contents.at(
            "error" if every else "warning", blank[0], feature, f"{'every' if every else len(blank)} of "
            f"{len(pictures)} pictures looked at is black or of one colour."
        )  # fmt: skip
        if every:
            return
    moving = [
        (run, several) for run, several in by_episode if len(several) > 1 and _robot_moves(contents, *run[1:])
    ]
    frozen = [
        run
        for run, several in moving
        if all(np.array_equal(several[0].pixels, each.pixels) for each in several[1:])
    ]
    if frozen:
        every = len(frozen) == len(moving)
        yield contents.at(
            "error" if every else "warning", frozen[0][1], feature, "pictures do not change over the "
            "episode, "
            f"though the robot moves, in {len(frozen)} of {len(moving)} episodes looked at."
        )  # fmt: skip


def _robot_moves(contents: Contents, start: int, stop: int) -> bool:
    column = contents.columns.get(contents.names.state)
    if column is None or not np.isfinite(column).all():
        return False
    every = np.ptp(column, axis=0)
    return bool((np.ptp(column[start:stop], axis=0) > MOVES * every)[every > 0].any())


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image  # heavy

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
