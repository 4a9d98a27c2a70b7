"""LIBERO-Plus's camera views: where the camera `agentview` is moved to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

Point = Float[np.ndarray, "xyz"]
Quaternion = Float[np.ndarray, "wxyz"]

PIVOT = np.array([0, 0, 0.8])
"""The point that the camera turns around and comes nearer to, in metres: the middle of a table's top."""

DECIMALS = 4
"""LIBERO-Plus rounds positions and quaternions after every change."""


@dataclass(frozen=True)
class View:
    """How the camera moves from where LIBERO has it.

    Attributes:
        azimuth: the camera moves around the vertical axis through the pivot, in degrees.
        elevation: and upwards around the pivot, before that, in degrees.
        distance: distance from the pivot afterwards, in percent.
        pan, tilt: where it is, the camera turns around the vertical and around the world's y, in degrees.

    >>> View(distance=150).moved(np.array([0.7, 0, 1.6]), np.array([0.638, 0.305, 0.305, 0.638]))[0].tolist()
    [1.05, 0.0, 2.0]
    """

    azimuth: int = 0
    elevation: int = 0
    distance: int = 100
    pan: int = 0
    tilt: int = 0

    def moved(self, position: Point, quaternion: Quaternion) -> tuple[Point, Quaternion]:
        """The camera's pose in this view, rounded as in LIBERO-Plus also where nothing moves.

        Args:
            position: LIBERO's position of the camera, in metres.
            quaternion: LIBERO's orientation of the camera, as w, x, y, z.
        """
        if self.elevation:
            position = _round(_upwards(self.elevation).apply(position - PIVOT) + PIVOT)
            quaternion = _turned(_upwards(self.elevation), quaternion)
        position = _round(_around(self.azimuth).apply(position))
        quaternion = _turned(_around(self.azimuth), quaternion)
        if self.distance != 100:
            position = _round(PIVOT + (position - PIVOT) * (self.distance / 100))
        if self.pan:
            quaternion = _turned(_around(self.pan), quaternion)
        if self.tilt:
            quaternion = _turned(_upwards(self.tilt), quaternion)
        return position, quaternion / np.linalg.norm(quaternion)


def _around(degrees: int) -> Rotation:
    return Rotation.from_euler("z", degrees, degrees=True)


def _upwards(degrees: int) -> Rotation:
    return Rotation.from_rotvec([0, -math.radians(degrees), 0])


def _turned(rotation: Rotation, quaternion: Quaternion) -> Quaternion:
    turned = rotation * Rotation.from_quat(quaternion[[1, 2, 3, 0]])
    return _round(turned.as_quat()[[3, 0, 1, 2]])


def _round(numbers: np.ndarray) -> np.ndarray:
    return np.round(numbers, DECIMALS)
