"""A cap is pressed on a bottle, which the other hand holds: it stands on a small foot, and tips under the
press.

The cap is a press fit: its walls are closer together than the neck is wide, so that it stays where it is
put until it is pressed down, and then holds against a pull of 5 N.
"""

from __future__ import annotations

from colorsys import hsv_to_rgb
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.hands import Point
from toyflow.robot.simulation.environments.rendering import COLLISION_GEOMS, VISUAL_GEOMS, load_mujoco
from toyflow.robot.simulation.environments.yam.grasps import from_above, from_the_side, heading, turned, up
from toyflow.robot.simulation.environments.yam.pressing_expert import PressingExpert
from toyflow.robot.simulation.environments.yam.station import BASES, Station
from toyflow.robot.simulation.environments.yam.station_task import StationTask

BOTTLE, CAP = "bottle", "cap"
BODY_RADIUS, BODY_TOP, NECK_RADIUS, NECK_TOP = 0.027, 0.127, 0.013, 0.165
"""Of the bottle, from the table, in metres. The neck ends in a half sphere, over which the cap slides."""
FOOT_RADIUS, FOOT_HEIGHT = 0.010, 0.004
CAP_RADIUS, CAP_DEPTH, LID = 0.0175, 0.024, 0.004
"""Of the cap: outer radius, inner depth, thickness of its top."""
WALLS, TIGHT, TIGHT_SOLREF, TIGHT_FRICTION = 8, 0.0002, (0.005, 1.0), 0.3
"""The cap's inside is a ring of walls, which the neck penetrates by `TIGHT`."""
SEAT = NECK_TOP - CAP_DEPTH
"""Height of the seated cap's rim above the bottle's foot."""
BODY_MASS, CAP_MASS = 0.06, 0.014
UNBALANCE = 1e-4
"""Share of a mass that lies off the axis. MuJoCo (3.8) misses contacts of a plane with a cylinder that leans
by 1e-15 to 1e-13 rad, or finds them too deep. A balanced one at rest leans so, and sank into the table for a
moment, by up to 9 mm; these lean by 1e-6."""

CAP_BIT = 2
"""Bit of contact of the cap's outside, which the neck is inside of."""

BOTTLE_MIDDLE, BOTTLE_SHIFT = np.array([0.34, -0.305, 0.0]), np.array([0.03, 0.03, 0.0])
CAP_MIDDLE, CAP_SHIFT = np.array([0.32, -0.465, 0.0]), np.array([0.04, 0.035, 0.0])
"""Where they stand, and largest shifts along x and y."""

CENTRED, SEATED, STANDING, UPRIGHT, AT_REST = 0.003, 0.0015, 0.003, 0.99, 0.02
"""Of the solved task: metres that the cap may be beside the neck's axis, metres that it may be above its
seat, metres that the foot may be above the table, cosines of either's lean, and a speed."""


class BottleCap(StationTask):
    """Press the cap on the bottle."""

    name = "bottle_cap"
    prompt = "hold the bottle with the left arm and press the cap on it with the right arm"
    max_steps = 700
    objects = (BOTTLE, CAP)

    def add_bodies(self, spec: Any) -> None:
        """See the base class."""
        _add_bottle(spec)
        _add_cap(spec)

    def reset(self, station: Station, generator: np.random.Generator) -> None:
        """See the base class: both are shifted and turned, and their colours are drawn."""
        for body, middle, shift in ((BOTTLE, BOTTLE_MIDDLE, BOTTLE_SHIFT), (CAP, CAP_MIDDLE, CAP_SHIFT)):
            station.place(
                body, middle + generator.uniform(-shift, shift), turned(generator.uniform(-np.pi, np.pi))
            )
        hue = generator.uniform()
        station.paint(["bottle_body", "bottle_shoulder", "bottle_bottom"], hsv_to_rgb(hue, 0.5, 0.8))
        station.paint(["cap_outside"], hsv_to_rgb((hue + generator.uniform(0.25, 0.75)) % 1, 0.85, 0.85))

    def solved(self, station: Station) -> bool:
        """See the base class: the cap is seated on the standing bottle, both at rest, and no hand touches
        either."""
        place, lean = seen_from_bottle(station)
        return bool(
            np.linalg.norm(place[:2]) < CENTRED
            and abs(place[2] - SEAT) < SEATED
            and lean > UPRIGHT
            and station.rotation(BOTTLE).as_matrix()[2, 2] > UPRIGHT
            and station.position(BOTTLE)[2] < STANDING
            and all(station.speed(body) < AT_REST and not station.held(body) for body in self.objects)
        )

    def expert(self, station: Station, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return BottleCapExpert(station)


def seen_from_bottle(station: Station) -> tuple[Point, float]:
    """Where the cap's rim is in the bottle's frame, and the cosine between their axes, 1 where the cap is the
    right way up."""
    frame = station.rotation(BOTTLE).inv()
    place = frame.apply(station.position(CAP) - station.position(BOTTLE))
    return place, float((frame * station.rotation(CAP)).as_matrix()[2, 2])


HOLD, GRASP = 0.04, 0.012
"""Heights of the fingertips above the bottle's foot, and above the cap's rim."""
AROUND, SLOPE = 0.002, 0.28
"""How far the fingertips of the left hand reach beyond the bottle's axis, and how far they point down for a
metre along the table: little, so that its camera stays below the cap."""


class BottleCapExpert(PressingExpert):
    """The left hand holds the bottle from the side; the right one takes the cap from above, sets it on the
    neck and presses until it is seated."""

    holding, pressing, part = "left", "right", CAP
    wide = let_go = 0.55
    raised, over, before, touch = 0.18, 0.0, 0.03, 0.016
    press, pressed, enough = 0.106, 110, 0.0005

    def hold(self) -> tuple[Point, Rotation]:
        """See the base class."""
        bottle = self.station.position(BOTTLE)
        towards = heading(bottle - BASES["left"])
        return bottle + up(HOLD) + turned(towards).apply([AROUND, 0, 0]), from_the_side(towards, SLOPE)

    def grasp(self) -> tuple[Point, Rotation]:
        """See the base class."""
        cap = self.station.position(CAP)
        return cap + up(GRASP), from_above(heading(cap - BASES["right"]) + np.pi / 2)

    def turn(self) -> float:
        """See the base class: the hand points away from its arm's base, there as here."""
        there, here = (heading(self.station.position(body) - BASES["right"]) for body in (BOTTLE, CAP))
        return there - here

    def seat(self) -> Point:
        """See the base class."""
        return self.station.position(BOTTLE) + self.station.rotation(BOTTLE).apply(up(SEAT))

    def into(self) -> Point:
        """See the base class."""
        return up(-1)


def _add_bottle(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    bottle = spec.worldbody.add_body(name=BOTTLE)
    bottle.add_freejoint(name=BOTTLE)
    bottle.add_geom(
        type=geometry.mjGEOM_CYLINDER, size=[FOOT_RADIUS, FOOT_HEIGHT / 2, 0], pos=[0, 0, FOOT_HEIGHT / 2],
        mass=0.002, group=VISUAL_GEOMS, friction=[0.6, 0.01, 0.001], rgba=[0.2, 0.2, 0.2, 1],
    )  # fmt: skip
    low = FOOT_HEIGHT + 0.012
    bottle.add_geom(
        name="bottle_body", type=geometry.mjGEOM_CYLINDER, size=[BODY_RADIUS, (BODY_TOP - low) / 2, 0],
        pos=[0, 0, (BODY_TOP + low) / 2], mass=BODY_MASS, group=VISUAL_GEOMS, friction=[0.8, 0.01, 0.001],
    )  # fmt: skip
    for name, height, thick in (("bottle_shoulder", BODY_TOP, 0.012), ("bottle_bottom", low, 0.013)):
        bottle.add_geom(
            name=name, type=geometry.mjGEOM_ELLIPSOID, size=[BODY_RADIUS, BODY_RADIUS, thick],
            pos=[0, 0, height], mass=0, group=VISUAL_GEOMS, contype=0, conaffinity=0,
        )  # fmt: skip
    end = NECK_TOP - NECK_RADIUS
    bottle.add_geom(
        name="neck", type=geometry.mjGEOM_CAPSULE, size=[NECK_RADIUS, (end - BODY_TOP) / 2, 0],
        pos=[0, 0, (end + BODY_TOP) / 2], mass=0.004, group=VISUAL_GEOMS, contype=0, conaffinity=1,
        rgba=[0.9, 0.9, 0.88, 1],
    )  # fmt: skip
    _unbalance(bottle, BODY_MASS, FOOT_RADIUS)


def _add_cap(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    cap = spec.worldbody.add_body(name=CAP)
    cap.add_freejoint(name=CAP)
    height = CAP_DEPTH + LID
    cap.add_geom(
        name="cap_outside", type=geometry.mjGEOM_CYLINDER, size=[CAP_RADIUS, height / 2, 0],
        pos=[0, 0, height / 2], mass=CAP_MASS, group=VISUAL_GEOMS, contype=CAP_BIT, conaffinity=1,
        friction=[0.8, 0.01, 0.001],
    )  # fmt: skip
    inside = {"mass": 0, "group": COLLISION_GEOMS, "contype": 0, "conaffinity": 0}
    cap.add_geom(
        name="lid", type=geometry.mjGEOM_CYLINDER, size=[CAP_RADIUS, LID / 2, 0],
        pos=[0, 0, CAP_DEPTH + LID / 2], **inside,
    )  # fmt: skip
    spec.add_pair(geomname1="neck", geomname2="lid", condim=3, friction=[0.3, 0.3, 0.01, 0.001, 0.001])
    _unbalance(cap, CAP_MASS, CAP_RADIUS)
    near = NECK_RADIUS - TIGHT
    thick, wide = CAP_RADIUS - near, CAP_RADIUS * np.tan(np.pi / WALLS)
    for number in range(WALLS):
        turn = Rotation.from_euler("z", 2 * np.pi * number / WALLS)
        cap.add_geom(
            name=f"wall{number}", type=geometry.mjGEOM_BOX, size=[thick / 2, wide, CAP_DEPTH / 2],
            pos=turn.apply([near + thick / 2, 0, CAP_DEPTH / 2]), quat=turn.as_quat()[[3, 0, 1, 2]], **inside,
        )  # fmt: skip
        spec.add_pair(
            geomname1="neck", geomname2=f"wall{number}", condim=3, solref=list(TIGHT_SOLREF),
            friction=[TIGHT_FRICTION] * 2 + [0.01, 0.001, 0.001],
        )  # fmt: skip


def _unbalance(body: Any, mass: float, radius: float) -> None:
    """See `UNBALANCE`."""
    body.add_geom(
        type=load_mujoco().mjtGeom.mjGEOM_SPHERE, size=[0.001, 0, 0], pos=[radius, 0, 0],
        mass=UNBALANCE * mass, group=COLLISION_GEOMS, contype=0, conaffinity=0,
    )  # fmt: skip
