"""A battery is pushed between the clips of a holder, which the other hand holds: its slot juts out over
its foot, so that it tips when the slot is pressed on.

The battery is an AA cell one and a half times as large. The clips are closer together than the battery is
wide; they hold it against a pull of 5 N. The holder's plus end is orange, as the battery's is.
"""

from __future__ import annotations

from collections.abc import Iterator
from colorsys import hsv_to_rgb
from typing import Any

import numpy as np

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.hands import Point
from toyflow.robot.simulation.environments.rendering import COLLISION_GEOMS, VISUAL_GEOMS, load_mujoco
from toyflow.robot.simulation.environments.yam.grasps import from_above, from_the_side, heading, turned, up
from toyflow.robot.simulation.environments.yam.scripted_expert import ScriptedExpert, Way
from toyflow.robot.simulation.environments.yam.station import BASES, Station
from toyflow.robot.simulation.environments.yam.station_task import StationTask

HOLDER, BATTERY = "holder", "battery"
RADIUS, HALF_LENGTH, BATTERY_MASS = 0.011, 0.0375, 0.04
"""Of the battery, which lies along its x axis, plus at positive x; metres and kg."""
FLOOR = 0.030
"""Height of the slot's floor. The slot lies along the holder's x axis, plus at positive x; a tongue, to hold
it by, points along -y."""
SEAT = FLOOR + RADIUS
"""Height of the battery's axis in the slot."""
PLAY = 0.003
"""How far the battery may move to either end of the slot."""
CLIPS, TIGHT, TIGHT_SOLREF, TIGHT_FRICTION = 0.0235, 0.00015, (0.005, 1.0), 0.3
"""Distance of the clips from the slot's middle. The battery penetrates each by `TIGHT`."""
TONGUE, TONGUE_HALF = np.array([0.0, -0.052, 0.035]), (0.025, 0.026, 0.011)
FOOT, FOOT_RADIUS, FOOT_MASS = np.array([0.0, -0.048, 0.012]), 0.025, 0.12
"""Middle and half sizes of the tongue; middle, radius and mass of the foot. The holder stands with the
battery in it, and tips when about 1 N pushes on its slot."""

HOLDER_MIDDLE, HOLDER_SHIFT, HOLDER_TURN = np.array([0.34, -0.295, 0.0]), np.array([0.03, 0.03, 0.0]), 0.2
BATTERY_MIDDLE, BATTERY_SHIFT, BATTERY_TURN = np.array([0.3, -0.11, 0.0]), np.array([0.04, 0.04, 0.0]), 1.0
"""Where they lie, and largest shifts along x and y and turns in radians from where an arm's hand points."""

ALONG, ACROSS, SEATED, AGREEING, LEVEL, AT_REST = 0.005, 0.0015, 0.0015, 0.99, 0.98, 0.02
"""Of the solved task: metres that the battery's middle may be off along, across and above the slot, cosines
between the battery's axis and the slot's and between the holder's and the vertical, and a speed."""


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
        """See the base class: the battery is at the bottom of the slot and the right way round, holder and
        battery at rest, and no hand touches either."""
        place, along = seen_from_holder(station)
        return bool(
            abs(place[0]) < ALONG
            and abs(place[1]) < ACROSS
            and abs(place[2] - SEAT) < SEATED
            and along > AGREEING
            and station.rotation(HOLDER).as_matrix()[2, 2] > LEVEL
            and all(station.speed(body) < AT_REST and not station.held(body) for body in self.objects)
        )

    def expert(self, station: Station, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return BatteryExpert(station)


def seen_from_holder(station: Station) -> tuple[Point, float]:
    """Where the battery's middle is in the holder's frame, and the cosine between the battery's axis and the
    slot's, -1 where it is the wrong way round."""
    frame = station.rotation(HOLDER).inv()
    place = frame.apply(station.position(BATTERY) - station.position(HOLDER))
    return place, float((frame * station.rotation(BATTERY)).as_matrix()[0, 0])


HOLD = np.array([0.0, -0.056, 0.039])
"""Where the right hand holds the holder, in the holder's frame."""
LOW = 0.002
"""How far below the battery's axis the fingertips grip."""
BACK, HIGH, RAISED, ABOVE, TOUCH = 0.07, 0.07, 0.09, 0.04, 0.008
"""How far a hand stays away before it grips; how far the battery is raised; and its height above its seat
before it comes down and where the press begins; in metres."""
PRESS, PRESSED, ENOUGH = 0.07, 90, 0.0007
"""The press: how far the hand aims down, against the spring that the arm is, in how many control steps; it
ends with the battery so near to its seat."""
LEAN, SLOPE, WIDE = 0.4, 0.35, 0.5
"""How the left hand leans, how the right one slopes, and how far the left one opens."""
APPROACH, NEAR, GRIP, LIFT, OVER, LOWER, RELAX, LEAVE = 60, 30, 20, 30, 60, 35, 10, 35
"""Control steps of the other parts."""


class BatteryExpert(ScriptedExpert):
    """The right hand holds the holder by its tongue; the left one takes the battery from above, turns it
    along the slot and pushes it between the clips; then both let go."""

    def parts(self) -> Iterator[int]:
        """See the base class."""
        station = self.station
        holder, battery = station.rotation(HOLDER), station.position(BATTERY)
        side = from_the_side(heading(holder.apply([0, 1, 0])), SLOPE)
        hold = station.position(HOLDER) + holder.apply(HOLD)
        back = hold - side.apply(up(BACK))
        axis = heading(station.rotation(BATTERY).apply([1, 0, 0]))
        facing, grasp = from_above(axis + np.pi / 2, LEAN), battery - up(LOW)
        self.go("right", Way(APPROACH, back, side, 1), Way(NEAR, hold, side, 1), Way(GRIP, hold, side, 0))
        yield self.go(
            "left", Way(APPROACH, grasp + up(HIGH), facing, WIDE), Way(NEAR, grasp, facing, WIDE),
            Way(GRIP, grasp, facing, 0), Way(LIFT, grasp + up(RAISED), facing, 0),
        )  # fmt: skip
        slot = station.rotation(HOLDER)
        axis = heading(station.rotation(BATTERY).apply([1, 0, 0]))
        turn = turned(heading(slot.apply([1, 0, 0])) - axis)
        facing = turn * facing
        seat = station.position(HOLDER) + slot.apply(up(SEAT))
        tip = seat + turn.apply(station.tip("left") - station.position(BATTERY))
        yield self.go("left", Way(OVER, tip + up(ABOVE), facing, 0), Way(LOWER, tip + up(TOUCH), facing, 0))
        self.go("left", Way(PRESSED, tip - up(PRESS), facing, 0))
        for _ in range(PRESSED // 2):
            yield 2
            if seen_from_holder(station)[0][2] - SEAT < ENOUGH:
                break
        tip = station.tip("left")
        yield self.go(
            "left", Way(RELAX, tip, facing, 0), Way(GRIP, tip, facing, WIDE),
            Way(LEAVE, tip + up(HIGH), facing, WIDE),
        )  # fmt: skip
        self.go("right", Way(GRIP, hold, side, 1), Way(LEAVE, back, side, 1))
        while True:
            yield 1


def _add_battery(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    battery = spec.worldbody.add_body(name=BATTERY)
    battery.add_freejoint(name=BATTERY)
    lying = [np.sqrt(0.5), 0, np.sqrt(0.5), 0]
    battery.add_geom(
        name="battery_contact", type=geometry.mjGEOM_CAPSULE, size=[RADIUS, HALF_LENGTH - RADIUS, 0],
        quat=lying, mass=BATTERY_MASS, group=COLLISION_GEOMS, condim=6, friction=[0.8, 0.01, 0.0005],
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


HOLDER_PARTS = ("holder_floor", "holder_bridge", "holder_tongue")
ORANGE, DARK = (0.85, 0.5, 0.15), (0.12, 0.12, 0.14)


def _add_holder(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    holder = spec.worldbody.add_body(name=HOLDER)
    holder.add_freejoint(name=HOLDER)

    def box(name: str, middle: Any, half: Any, colour: Any = DARK, **more: Any) -> None:
        holder.add_geom(
            name=name, type=geometry.mjGEOM_BOX, pos=list(middle), size=list(half), mass=0.002,
            group=VISUAL_GEOMS, rgba=[*colour, 1], friction=[0.6, 0.01, 0.001], **more,
        )  # fmt: skip

    holder.add_geom(
        name="holder_foot", type=geometry.mjGEOM_CYLINDER, pos=list(FOOT), size=[FOOT_RADIUS, FOOT[2], 0],
        mass=FOOT_MASS, group=VISUAL_GEOMS, friction=[0.5, 0.01, 0.001], rgba=[*DARK, 1],
    )  # fmt: skip
    end = HALF_LENGTH + PLAY
    box("holder_floor", [0, 0, FLOOR - 0.004], [end + 0.004, 0.009, 0.004])
    box("holder_bridge", [0, -0.018, FLOOR - 0.004], [0.02, 0.018, 0.004])
    box("holder_tongue", TONGUE, TONGUE_HALF)
    for sign, pole, colour in ((1, "plus", ORANGE), (-1, "minus", DARK)):
        box(f"holder_{pole}", [sign * (end + 0.002), 0, FLOOR + 0.008], [0.002, 0.013, 0.012], colour)
        for across in (-1, 1):
            name = f"clip_{pole}_{'near' if across < 0 else 'far'}"
            middle = [sign * CLIPS, across * (RADIUS - TIGHT + 0.002), FLOOR + 0.006]
            box(name, middle, [0.0035, 0.002, 0.010], (0.7, 0.7, 0.72), contype=0, conaffinity=0)
            spec.add_pair(
                geomname1="battery_contact", geomname2=name, condim=3, solref=list(TIGHT_SOLREF),
                friction=[TIGHT_FRICTION] * 2 + [0.01, 0.001, 0.001],
            )  # fmt: skip
