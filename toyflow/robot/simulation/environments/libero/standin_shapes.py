"""Shapes of the stand-ins for LIBERO's objects, made of MuJoCo's boxes and cylinders.

Corners and heights are those of the originals' collision geometry; joints, and sites, which goals and
LIBERO's placement refer to, are where theirs are. Lengths are in metres, quaternions begin with w.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

Vector = tuple[float, ...]


class Solid(NamedTuple):
    """A primitive in its body's frame, with MuJoCo's half sizes."""

    kind: Literal["box", "cylinder"]
    position: Vector
    size: Vector
    quaternion: Vector = (1, 0, 0, 0)
    colour: str = ""
    """Red, green and blue from 0 to 1; empty is the item's colour."""


class Body(NamedTuple):
    """A rigid body and its children. `joint` and `sites` are MuJoCo's XML."""

    name: str
    solids: tuple[Solid, ...] = ()
    bodies: tuple[Body, ...] = ()
    joint: str = ""
    sites: str = ""
    position: Vector = (0, 0, 0)
    quaternion: Vector = (1, 0, 0, 0)


class Item(NamedTuple):
    """An object or fixture of a scene."""

    colour: str
    body: Body
    bottom: float = -0.06
    """Height of the lowest point as LIBERO assumes it in placing the item, which then falls the rest."""
    top: float = 0.04
    radius: float = 0.025
    """Radius of the circle that LIBERO keeps free of other objects, over the square root of two."""


def _box(low: Vector, high: Vector, colour: str = "") -> Solid:
    """The box between two corners."""
    return Solid("box", *_middle_and_half(low, high), colour=colour)


def _can(low: Vector, high: Vector) -> Solid:
    """The cylinder along y, in which the groceries are tall, between two corners."""
    middle, half = _middle_and_half(low, high)
    return Solid("cylinder", middle, half[:2], (math.sqrt(0.5), math.sqrt(0.5), 0, 0))


def _disc(height: float, radius: float, half_thickness: float, colour: str = "") -> Solid:
    return Solid("cylinder", (0, 0, height), (radius, half_thickness), colour=colour)


def _funnel(lower: Vector, upper: Vector, thickness: float, count: int = 16) -> Iterable[Solid]:
    """A ring of slanted plates from (radius, height) `lower` to `upper`."""
    (r0, z0), (r1, z1) = lower, upper
    radius, tilt = (r0 + r1) / 2, math.atan2(r1 - r0, z1 - z0) / 2
    size = (thickness, radius * math.tan(math.pi / count) * 1.05, math.hypot(r1 - r0, z1 - z0) / 2)
    for half_turn in (math.pi * index / count for index in range(count)):
        position = (radius * math.cos(2 * half_turn), radius * math.sin(2 * half_turn), (z0 + z1) / 2)
        (c, s), (ct, st) = ((math.cos(angle), math.sin(angle)) for angle in (half_turn, tilt))
        yield Solid("box", position, size, (c * ct, -s * st, c * st, s * ct))


def _middle_and_half(low: Vector, high: Vector) -> tuple[Vector, Vector]:
    pairs = list(zip(low, high, strict=True))
    return tuple((a + b) / 2 for a, b in pairs), tuple((b - a) / 2 for a, b in pairs)


def _thing(*solids: Solid, sites: str = "") -> Body:
    return Body("object", solids, sites=sites)


def _region(name: str, position: str, size: str, quaternion: str = "1 0 0 0") -> str:
    return (
        f'<site name="{name}" type="box" pos="{position}" size="{size}" quat="{quaternion}" rgba="0 0 0 0"/>'
    )


def _drawer(level: str, height: float) -> Body:
    """A drawer of the cabinet: a tray at `height` that slides out along -y, and its handle."""
    low, high = height - 0.0325, height + 0.03
    return Body(
        f"cabinet_{level}",
        solids=(
            _box((-0.1035, -0.0705, low), (0.1105, 0.0914, low + 0.008)),
            _box((-0.1060, -0.0780, low + 0.003), (0.1127, -0.0650, high + 0.003)),
            _box((-0.1035, 0.0872, low), (0.1101, 0.0943, high)),
            _box((-0.1043, -0.0704, low), (-0.0995, 0.0925, high)),
            _box((0.1065, -0.0704, low), (0.1114, 0.0925, high)),
            _box((-0.0472, -0.1098, height - 0.0073), (0.0417, -0.0934, height + 0.0081), METAL),
            *(
                _box((x - 0.005, -0.094, height - 0.005), (x + 0.005, -0.078, height + 0.005), METAL)
                for x in KNOBS
            ),
        ),
        joint='<inertial pos="0 0 0" mass="3" diaginertia="1 1 1"/>'
        f'<joint name="{level}_level" type="slide" axis="0 1 0" limited="true" range="-0.16 0.01" '
        'damping="50"/>',
        sites=_region(
            f"{level}_region",
            f"0.00328 0.01128 {height + 0.002:g}",
            "0.02993 0.07561 0.10224",
            "0.70711 0 0.70711 0",
        ),
    )


METAL, BLACK = "0.7 0.7 0.7", "0.1 0.1 0.1"
KNOBS = (-0.0356, 0.0292)

BASKET = _thing(
    _box((-0.0766, -0.0724, 0.0046), (0.0766, 0.0724, 0.0216)),
    *(_box((x - 0.0064, -0.0724, 0.0129), (x + 0.0064, 0.0724, 0.1403)) for x in (-0.0727, 0.0756)),
    *(_box((-0.0724, y - 0.0064, 0.0181), (0.0724, y + 0.0064, 0.1455)) for y in (-0.0686, 0.0691)),
    sites=_region("contain_region", "0 0 0.07185", "0.06108 0.06108 0.06949"),
)
BOWL = _thing(
    _box((-0.02, -0.02, 0.0014), (0.02, 0.02, 0.0066)),
    *_funnel((0.026, 0.002), (0.040, 0.019), 0.0012),
    *_funnel((0.040, 0.019), (0.052, 0.051), 0.0013),
)
PLATE = _thing(_disc(0.0005, 0.045, 0.003), *_funnel((0.042, 0.001), (0.068, 0.015), 0.002, count=20))
RAMEKIN = _thing(_disc(0.0041, 0.033, 0.0032), *_funnel((0.0382, 0.0007), (0.0382, 0.0427), 0.0055))
SOUP = _thing(_can((-0.0313, -0.0386, -0.0349), (0.0311, 0.0376, 0.0275)))
BOTTLE = _thing(_box((-0.0273, -0.0727, -0.0180), (0.0254, 0.0728, 0.0176)))
TILTED_BOTTLE = _thing(_box((-0.0273, -0.0227, -0.0180), (0.0254, 0.1228, 0.0176)))
SAUCE = _thing(_box((-0.0235, -0.0146, -0.0546), (0.0235, 0.0146, 0.0525)))
CARTON = _thing(_box((-0.0264, -0.0698, -0.0263), (0.0266, 0.0614, 0.0263)))
CREAM_CHEESE = _thing(_box((-0.0406, -0.0213, -0.0089), (0.0406, 0.0213, 0.0089)))
BUTTER = _thing(_box((-0.0381, -0.0198, -0.0087), (0.0381, 0.0198, 0.0087)))
PUDDING = _thing(_box((-0.0406, -0.0232, -0.0131), (0.0396, 0.0232, 0.0143)))
COOKIES = _thing(_box((-0.0310, -0.0413, -0.0094), (0.0310, 0.0413, 0.0094)))
POPCORN = _thing(_box((-0.0310, -0.0210, -0.0100), (0.0310, 0.0210, 0.0100)))

CABINET = Body(
    "object",
    bodies=(
        Body(
            "base",
            solids=(
                _box((-0.1150, 0.1071, 0.0084), (0.1212, 0.1117, 0.2201)),
                _box((-0.1187, -0.0733, 0.0049), (0.1268, 0.1060, 0.0089)),
                _box((-0.1174, -0.0792, 0.0084), (-0.1070, 0.1117, 0.2201)),
                _box((0.1138, -0.0792, 0.0084), (0.1242, 0.1117, 0.2201)),
                *(_box((-0.1079, -0.0707, z - 0.001), (0.1155, 0.1080, z + 0.001)) for z in (0.0793, 0.1494)),
                _box((-0.1233, -0.0783, 0.2202), (0.1312, 0.1099, 0.2230)),
            ),
            bodies=(_drawer("top", 0.1836), _drawer("middle", 0.1139), _drawer("bottom", 0.0453)),
            sites=_region("top_side", "0.00354 0.01567 0.22152", "0.12534 0.09438 0.00147"),
        ),
    ),
)
BURNER = Body(
    "burner",
    solids=(Solid("box", (0, 0, 0), (0.095, 0.095, 0.02)), _disc(0.0225, 0.065, 0.0025, "0.2 0.2 0.2")),
    sites=_region("cook_region", "0 0 0", "0.075 0.075 0.0025")
    + '<site name="burner" type="cylinder" pos="0 0 0.026" size="0.0625 0.0005" rgba="0.9 0.05 0.05 1"/>',
    position=(0.15, 0, 0),
)
BUTTON = Body(
    "button",
    solids=(
        _disc(0.0066, 0.047, 0.0062, BLACK),
        _box((-0.0076, -0.040, 0.012), (0.0100, 0.052, 0.038), BLACK),
    ),
    joint='<inertial pos="0 0 0" mass="3" diaginertia="1 1 1"/>'
    '<joint name="button" type="hinge" axis="0 0 1" limited="true" range="-0.005 2.1" damping="1"/>',
    quaternion=(math.sqrt(0.5), 0, 0, math.sqrt(0.5)),
)
STOVE = Body("object", bodies=(Body("base", bodies=(BURNER, BUTTON)),))

ITEMS = {
    "stable_hope_objects/alphabet_soup/alphabet_soup.xml": Item("0.75 0.15 0.15", SOUP, bottom=-0.04),
    "stable_hope_objects/bbq_sauce/bbq_sauce.xml": Item("0.35 0.12 0.08", SAUCE, top=0.06, radius=0.015),
    "stable_hope_objects/butter/butter.xml": Item("0.95 0.85 0.35", BUTTER, -0.02, 0.02, 0.02),
    "stable_hope_objects/chocolate_pudding/chocolate_pudding.xml": Item("0.40 0.22 0.12", PUDDING),
    "stable_hope_objects/cookies/cookies.xml": Item("0.55 0.30 0.60", COOKIES),
    "stable_hope_objects/cream_cheese/cream_cheese.xml": Item(
        "0.3 0.5 0.85", CREAM_CHEESE, -0.025, 0.025, 0.03
    ),
    "stable_hope_objects/ketchup/ketchup.xml": Item("0.80 0.05 0.05", BOTTLE),
    "stable_hope_objects/milk/milk.xml": Item("0.95 0.95 0.98", CARTON, radius=0.03),
    "stable_hope_objects/new_salad_dressing/new_salad_dressing.xml": Item("0.90 0.85 0.40", TILTED_BOTTLE),
    "stable_hope_objects/orange_juice/orange_juice.xml": Item("1.00 0.60 0.10", CARTON),
    "stable_hope_objects/popcorn/popcorn.xml": Item("0.90 0.30 0.30", POPCORN),
    "stable_hope_objects/salad_dressing/salad_dressing.xml": Item("0.85 0.80 0.30", BOTTLE),
    "stable_hope_objects/tomato_sauce/tomato_sauce.xml": Item("0.85 0.25 0.10", SOUP),
    "stable_scanned_objects/akita_black_bowl/akita_black_bowl.xml": Item("0.08 0.08 0.09", BOWL),
    "stable_scanned_objects/basket/basket.xml": Item("0.62 0.45 0.25", BASKET),
    "stable_scanned_objects/glazed_rim_porcelain_ramekin/glazed_rim_porcelain_ramekin.xml": Item(
        "0.93 0.93 0.90", RAMEKIN
    ),
    "stable_scanned_objects/plate/plate.xml": Item("0.93 0.93 0.90", PLATE),
    "articulated_objects/flat_stove.xml": Item("0.55 0.55 0.57", STOVE, -0.045, 0.045, 0.045),
    "articulated_objects/wooden_cabinet.xml": Item("0.35 0.22 0.12", CABINET, -0.045, 0.045, 0.045),
}
"""Items by the path of the original's file."""
