"""How a hand that points down grasps LIBERO's objects, and where it releases them, by kind of object."""

from __future__ import annotations

import math
from dataclasses import dataclass

QUARTER = math.pi / 2


@dataclass(frozen=True)
class Grasp:
    """Where the fingertips close, in metres from the object's origin, and the hand's yaw in radians."""

    offset: tuple[float, float, float]
    yaw: float = 0.0


STANDING = (Grasp((0, 0, 0.015)), Grasp((0, 0, 0.015), QUARTER))
LYING_ALONG_X = (Grasp((0, 0, 0)), Grasp((-0.02, 0, 0)), Grasp((0.02, 0, 0)))
RIM = (
    Grasp((0, 0.047, 0.04)),
    Grasp((0, -0.047, 0.04)),
    Grasp((0.047, 0, 0.04), QUARTER),
    Grasp((-0.047, 0, 0.04), QUARTER),
)
RIM_IN_DRAWER = (Grasp((-0.029, 0.014, 0.042), 1.12), Grasp((0.029, -0.014, 0.042), 1.12))
"""For a bowl in a drawer: along the drawer, where there is more room, and so far inside the rim that the
outer finger clears the wall."""

GRASPS = {
    "akita_black_bowl": RIM,
    "alphabet_soup": STANDING,
    "bbq_sauce": STANDING,
    "butter": LYING_ALONG_X,
    "chocolate_pudding": LYING_ALONG_X,
    "cream_cheese": LYING_ALONG_X,
    "ketchup": STANDING,
    "milk": STANDING,
    "orange_juice": STANDING,
    "salad_dressing": STANDING,
    "tomato_sauce": STANDING,
}
"""Grasps by kind of object, the best first. LIBERO does not rotate these objects about the vertical."""

FLAT = {"butter", "chocolate_pudding", "cookies", "cream_cheese"}
"""Kinds of objects so flat that the hand may pass above them."""

RELEASE_HEIGHTS = {"basket": 0.17, "plate": 0.045}
"""Height in metres above the target's origin, by kind of target, at which the object's origin, or the hand if
that is lower, is released."""
