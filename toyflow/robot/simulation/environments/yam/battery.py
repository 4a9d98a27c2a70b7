"""A battery is pushed from the side between the clips of a holder, which the other hand holds: it stands on a
smooth foot, and slides away from a push.

The battery is an AA cell one and a half times as large. The clips are closer together than the battery is
wide: to pass them takes 5 N, and they hold the battery against a pull of 3 N. The holder, of 0.1 kg, slides
on the table at 0.2 N, so that a hand which pushes alone only moves it along. The slot opens to the side for
that reason: a push from above would be borne by the table. The holder's plus end is orange, as the battery's
is.
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

HOLDER, BATTERY = "holder", "battery"
RADIUS, HALF_LENGTH, BATTERY_MASS = 0.011, 0.0375, 0.04
"""Of the battery, which lies along its x axis, plus at positive x; metres and kg."""
SEAT = np.array([0.0, 0.0, 0.045])
"""Middle of the seated battery in the holder's frame. The slot lies along the holder's x axis, plus at
positive x, and opens towards positive y; a tongue, to hold it by, points the other way."""
PLAY = 0.003
"""How far the battery may move to either end of the slot."""
CLIPS, CLIP_HALF, TIGHT, TIGHT_SOLREF, TIGHT_FRICTION = 0.033, 0.0035, 0.00015, (0.005, 1.0), 0.3
"""Distance of the clips from the slot's middle, and half of their width. The battery penetrates each by
`TIGHT`."""
PLATE = -0.036
"""How far behind the seat the plate stands that joins both ends: a finger has room between it and the
battery."""
TONGUE, TONGUE_HALF = np.array([0.0, -0.066, 0.0]), (0.025, 0.026, 0.011)
"""Middle of the tongue from the seat, and half sizes."""
FOOT, FOOT_RADIUS, FOOT_HALF, FOOT_MASS, FOOT_FRICTION = -0.045, 0.030, 0.006, 0.08, 0.15
STEM_RADIUS = 0.010
"""The foot's middle on the y axis, its radius, half of its height, mass and friction; and the radius of the
stem on it, which bears the tongue."""

HOLDER_MIDDLE, HOLDER_SHIFT, HOLDER_TURN = np.array([0.34, -0.295, 0.0]), np.array([0.03, 0.03, 0.0]), 0.2
BATTERY_MIDDLE, BATTERY_SHIFT, BATTERY_TURN = np.array([0.3, -0.11, 0.0]), np.array([0.04, 0.04, 0.0]), 1.0
"""Where they lie, and largest shifts along x and y and turns in radians from where an arm's hand points."""

ALONG, ACROSS, SEATED, AGREEING, LEVEL, AT_REST = 0.005, 0.0015, 0.0015, 0.99, 0.98, 0.02
"""Of the solved task: metres that the battery's middle may be off along the slot, above it and out of it,
cosines between the battery's axis and the slot's and between the holder's and the vertical, and a speed."""


class Battery(StationTask):
    """Put the battery into the holder."""

    name = "battery"
    prompt = "hold the battery holder with the right arm and push the battery into it with the left arm"
    max_steps = 700
    objects = (HOLDER, BATTERY)

    def add_bodies(self, spec: Any) -> None:
        """See the base class."""
        _add_battery(spec)
        _add_holder(spec)

    def reset(self, station: Station, generator: np.random.Generator) -> None:
        """See the base class: both are shifted and turned, and their colours are drawn."""
        place = HOLDER_MIDDLE + generator.uniform(-HOLDER_SHIFT, HOLDER_SHIFT)
        turn = heading(place - BASES["right"]) - np.pi / 2 + generator.uniform(-HOLDER_TURN, HOLDER_TURN)
        station.place(HOLDER, place, turned(turn))
        place = BATTERY_MIDDLE + generator.uniform(-BATTERY_SHIFT, BATTERY_SHIFT)
        turn = heading(place - BASES["left"]) + generator.uniform(-BATTERY_TURN, BATTERY_TURN)
        station.place(BATTERY, place + up(RADIUS), turned(turn))
        hue = generator.uniform()
        station.paint(HOLDER_PARTS, hsv_to_rgb(hue, 0.3, generator.uniform(0.25, 0.5)))
        station.paint(["battery_can"], hsv_to_rgb(generator.uniform(), 0.5, generator.uniform(0.1, 0.3)))

    def solved(self, station: Station) -> bool:
        """See the base class: the battery is all in the slot and the right way round, holder and battery at
        rest, and no hand touches either."""
        off, along = seen_from_seat(station)
        return bool(
            (np.abs(off) < (ALONG, SEATED, ACROSS)).all()
            and along > AGREEING
            and station.rotation(HOLDER).as_matrix()[2, 2] > LEVEL
            and all(station.speed(body) < AT_REST and not station.held(body) for body in self.objects)
        )

    def expert(self, station: Station, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return BatteryExpert(station)


def seen_from_seat(station: Station) -> tuple[Point, float]:
    """Where the battery's middle is from its seat, in the holder's frame, and the cosine between the
    battery's axis and the slot's, -1 where it is the wrong way round."""
    frame = station.rotation(HOLDER).inv()
    place = frame.apply(station.position(BATTERY) - station.position(HOLDER))
    return place - SEAT, float((frame * station.rotation(BATTERY)).as_matrix()[0, 0])


HOLD = SEAT + TONGUE + [0.0, -0.004, 0.004]
"""Where the right hand holds the holder, in the holder's frame."""
LOW, LEAN, SLOPE = 0.002, 0.4, 0.35
"""How far below the battery's axis the fingertips grip; how the left hand leans, and the right one slopes."""


class BatteryExpert(PressingExpert):
    """The right hand holds the holder by its tongue; the left one takes the battery from above, turns it
    along the slot and pushes it between the clips."""

    holding, pressing, part = "right", "left", BATTERY
    wide, let_go = 0.5, 0.42
    raised, over, before, touch = 0.09, 0.03, 0.05, 0.014
    press, pressed, enough = 0.08, 90, 0.0007

    def hold(self) -> tuple[Point, Rotation]:
        """See the base class."""
        holder = self.station.rotation(HOLDER)
        side = from_the_side(heading(holder.apply([0, 1, 0])), SLOPE)
        return self.station.position(HOLDER) + holder.apply(HOLD), side

    def grasp(self) -> tuple[Point, Rotation]:
        """See the base class."""
        battery = self.station.rotation(BATTERY)
        facing = from_above(heading(battery.apply([1, 0, 0])) + np.pi / 2, LEAN)
        return self.station.position(BATTERY) - up(LOW), facing

    def turn(self) -> float:
        """See the base class: the battery comes to lie along the slot."""
        slot, battery = (self.station.rotation(body).apply([1, 0, 0]) for body in (HOLDER, BATTERY))
        return heading(slot) - heading(battery)

    def seat(self) -> Point:
        """See the base class."""
        return self.station.position(HOLDER) + self.station.rotation(HOLDER).apply(SEAT)

    def into(self) -> Point:
        """See the base class."""
        return self.station.rotation(HOLDER).apply([0, -1, 0])


def _add_battery(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    battery = spec.worldbody.add_body(name=BATTERY)
    battery.add_freejoint(name=BATTERY)
    lying = [np.sqrt(0.5), 0, np.sqrt(0.5), 0]
    battery.add_geom(
        name="battery_contact", type=geometry.mjGEOM_CAPSULE, size=[RADIUS, HALF_LENGTH - RADIUS, 0],
        quat=lying, mass=BATTERY_MASS, group=COLLISION_GEOMS, condim=6, friction=[0.8, 0.01, 0.0005],
    )  # fmt: skip
    battery.add_geom(  # for the clips, which grip near the ends
        name="battery_shell", type=geometry.mjGEOM_CAPSULE, size=[RADIUS, CLIPS + CLIP_HALF, 0], quat=lying,
        mass=0, group=COLLISION_GEOMS, contype=0, conaffinity=0,
    )  # fmt: skip
    nub = 0.002
    for name, radius, start, end, colour in (
        ("battery_can", RADIUS, -HALF_LENGTH, HALF_LENGTH / 3, (0.2, 0.2, 0.22)),
        ("battery_plus", RADIUS, HALF_LENGTH / 3, HALF_LENGTH - nub, ORANGE),
        ("battery_nub", RADIUS / 3, HALF_LENGTH - nub, HALF_LENGTH, (0.8, 0.8, 0.82)),
    ):
        battery.add_geom(
            name=name, type=geometry.mjGEOM_CYLINDER, size=[radius, (end - start) / 2, 0],
            pos=[(start + end) / 2, 0, 0], quat=lying, rgba=[*colour, 1], mass=0, group=VISUAL_GEOMS,
            contype=0, conaffinity=0,
        )  # fmt: skip


HOLDER_PARTS = ("holder_plate", "holder_tongue")
ORANGE, DARK, METAL = (0.85, 0.5, 0.15), (0.12, 0.12, 0.14), (0.7, 0.7, 0.72)


def _add_holder(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    holder = spec.worldbody.add_body(name=HOLDER)
    holder.add_freejoint(name=HOLDER)

    def box(name: str, middle: Any, half: Any, colour: Any = DARK, mass: float = 0.003, **more: Any) -> None:
        holder.add_geom(
            name=name, type=geometry.mjGEOM_BOX, pos=SEAT + middle, size=list(half), mass=mass,
            group=VISUAL_GEOMS, rgba=[*colour, 1], friction=[0.6, 0.01, 0.001], **more,
        )  # fmt: skip

    stem = (SEAT[2] - TONGUE_HALF[2] - 2 * FOOT_HALF) / 2
    for name, height, half, radius, mass in (
        ("holder_foot", FOOT_HALF, FOOT_HALF, FOOT_RADIUS, FOOT_MASS),
        ("holder_stem", 2 * FOOT_HALF + stem, stem, STEM_RADIUS, 0.005),
    ):
        holder.add_geom(
            name=name, type=geometry.mjGEOM_CYLINDER, pos=[0, FOOT, height], size=[radius, half, 0],
            mass=mass, group=VISUAL_GEOMS, friction=[FOOT_FRICTION, 0.005, 0.0001], rgba=[*DARK, 1],
            priority=1,  # the table is rougher
        )  # fmt: skip
    end = HALF_LENGTH + PLAY
    box("holder_tongue", TONGUE, TONGUE_HALF)
    box("holder_plate", [0, PLATE, -0.003], [end + 0.004, 0.004, 0.006])
    for sign, pole, colour in ((1, "plus", ORANGE), (-1, "minus", DARK)):
        box(f"holder_{pole}", [sign * (end + 0.002), -0.012, 0], [0.002, 0.020, 0.009], colour)
        stop = np.array([sign * CLIPS, -RADIUS - 0.006, -0.002])
        box(f"stop_{pole}", stop, [CLIP_HALF, 0.006, 0.007])
        gap = (end - CLIPS - CLIP_HALF) / 2  # from stops and clips to the end; filled in for the eye alone
        beside, unfelt = np.array([sign * (CLIP_HALF + gap), 0, 0]), {"contype": 0, "conaffinity": 0}
        box(f"stop_{pole}_seen", stop + beside, [gap, 0.006, 0.007], mass=0, **unfelt)
        for above in (-1, 1):
            name = f"clip_{pole}_{'low' if above < 0 else 'high'}"
            middle = np.array([sign * CLIPS, -0.005, above * (RADIUS - TIGHT + 0.0012)])
            box(name, middle, [CLIP_HALF, 0.010, 0.0012], METAL, **unfelt)
            box(f"{name}_seen", middle + beside, [gap, 0.010, 0.0012], METAL, mass=0, **unfelt)
            spec.add_pair(
                geomname1="battery_shell", geomname2=name, condim=3, solref=list(TIGHT_SOLREF),
                friction=[TIGHT_FRICTION] * 2 + [0.01, 0.001, 0.001],
            )  # fmt: skip
