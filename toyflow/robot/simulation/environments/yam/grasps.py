"""Orientations of a hand that grips: fingers level, pointing down or along the table."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environments.hands import Point


def from_above(opening: float, lean: float = 0.5) -> Rotation:
    """A hand whose fingers point down, and open along a horizontal direction.

    The arm cannot hold its hand upright much above the table, so it leans: it points away from its base
    wherever its fingers open across the line to the base.

    Args:
        opening: angle of the direction in which the fingers open, in radians from the x axis.
        lean: how far the fingers point outwards for a metre that they point down.

    >>> from_above(np.pi / 2, lean=0.0).apply([0, 0, 1]).round(6) + 0.0
    array([ 0.,  0., -1.])
    """
    outwards = opening - np.pi / 2
    return _hand([lean * np.cos(outwards), lean * np.sin(outwards), -1], opening)


def from_the_side(towards: float, slope: float = 0.6) -> Rotation:
    """A hand that points along the table, its camera above it.

    Args:
        towards: angle of the direction in which it points, in radians from the x axis.
        slope: how far it points down for a metre along the table.

    >>> from_the_side(0.0, slope=0.0).apply([0, 0, 1]).round(6) + 0.0
    array([1., 0., 0.])
    """
    return _hand([np.cos(towards), np.sin(towards), -slope], towards + np.pi / 2)


def heading(vector: Point) -> float:
    """The angle from the x axis of a vector, seen from above, in radians.

    >>> heading(np.array([0.0, 2.0, 5.0])) == np.pi / 2
    True
    """
    return float(np.arctan2(vector[1], vector[0]))


def up(height: float) -> Point:
    """A vector upwards, in metres."""
    return np.array([0.0, 0.0, height])


def turned(angle: float) -> Rotation:
    """A turn about the vertical, in radians."""
    return Rotation.from_euler("z", angle)


def _hand(pointing: list[float], opening: float) -> Rotation:
    along = np.array(pointing) / np.linalg.norm(pointing)
    fingers = np.array([np.cos(opening), np.sin(opening), 0.0])
    return Rotation.from_matrix(np.stack([-fingers, np.cross(fingers, along), along], 1))
