"""The scripted expert of LIBERO's pick-and-place tasks: it knows all poses, and the hand points down.

Positions are in metres in the world's frame, whose z axis points up. An action moves the hand by up to 5 cm
and turns it by up to half a radian per control step, at 20 Hz; a controller follows with a lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation

from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.libero.grasps import (
    FLAT,
    GRASPS,
    RELEASE_HEIGHTS,
    RIM_IN_DRAWER,
    Grasp,
)

Point = Float[np.ndarray, "xyz"]
Action = Float32[np.ndarray, "action=7"]
Steps = Generator[Action, None, None]
"""A part of a plan: yields an action, and continues once it was carried out."""

OPEN, CLOSED = -1.0, 1.0
POINTING_DOWN = Rotation.from_euler("x", math.pi)
"""The hand at yaw 0: its fingers open along y."""

HOVER = 0.08
"""Height above a grasp from which it is approached, in metres."""
CARRY = 0.22
"""How far an object is lifted, in metres."""
LOWEST_TIP = 0.012
"""Below this height the fingers would touch the floor of the suite whose floor is at 0."""
HAND_HALF_LENGTH, HAND_CLEARANCE = 0.10, 0.065
"""The hand extends so far to both sides of its middle, along the line in which its fingers open; other
objects' origins should be `HAND_CLEARANCE` from that line. In metres."""
SLIP = 0.04
"""An object that has moved further than this within the hand, in metres, was lost."""
CLOSING_STEPS, OPENING_STEPS = 12, 8
ALIGNED = 0.1
"""Largest error of the hand's orientation, in radians."""
METRES_PER_RADIAN = 0.03
STALL_STEPS, STALL = 8, 0.002
"""A hand that has come less than `STALL` metres nearer to its goal in `STALL_STEPS` steps is blocked."""


@runtime_checkable
class GroundTruth(Protocol):
    """The simulator's true state as the expert reads it; `LiberoSimulation` provides it."""

    @property
    def observation(self) -> Mapping[str, Any]:
        """robosuite's observation: `NAME_pos` (metres) and `NAME_quat` (x, y, z, w) of every object."""
        ...

    @property
    def goal(self) -> Sequence[Sequence[str]]:
        """The BDDL goal: a predicate and names of objects or regions, for each condition."""
        ...

    @property
    def start(self) -> Sequence[Sequence[str]]:
        """Where objects lie at the start, in the same form."""
        ...


class PickAndPlace(Expert):
    """Grasps an object, carries it over a target and releases it; tries the next grasp where that failed."""

    noise_scale = np.array([1, 1, 1, 0, 0, 0, 0], np.float32)

    def __init__(self, simulation: GroundTruth, item: str, target: str, like: Callable[[str], str]) -> None:
        """`item` and `target` are names of objects whose kinds, by `like`, are in `GRASPS` and
        `RELEASE_HEIGHTS`."""
        self._simulation, self._like = simulation, like
        self._item, self._target = item, target
        self._start_height = self._hand[2]
        self._yaw = 0.0
        self._plan = self._pick_and_place()

    def act(self) -> Action:
        """See `Expert`."""
        return next(self._plan)

    def _pick_and_place(self) -> Steps:
        for grasp in self._grasps():
            self._yaw = grasp.yaw
            height = self._position(self._item)[2] + CARRY
            yield from self._approach(grasp)
            yield from self._close(self._tip(grasp))
            held = self._hand - self._position(self._item)
            yield from self._rise(height, CLOSED)
            if self._holds(held):
                yield from self._carry(held, height)
            if self._holds(held):
                yield from self._place(held)
            yield from self._rise(height, OPEN)

    def _approach(self, grasp: Grasp) -> Steps:
        yield from self._reach(lambda: self._above(grasp), OPEN, within=0.02)
        yield from self._reach(lambda: self._tip(grasp), OPEN, within=0.008, speed=0.7)

    def _close(self, place: Point) -> Steps:
        for _ in range(CLOSING_STEPS):
            yield self._towards(place, CLOSED)

    def _rise(self, height: float, gripper: float) -> Steps:
        x, y, _ = self._hand
        yield from self._reach(lambda: np.array([x, y, height]), gripper, within=0.03)

    def _carry(self, held: Point, height: float) -> Steps:
        yield from self._reach(lambda: self._over_target(held, height), CLOSED, within=0.02)

    def _place(self, held: Point) -> Steps:
        kind = self._kind(self._target)
        above = RELEASE_HEIGHTS[kind] + max(held[2], 0.0)
        yield from self._reach(
            lambda: self._over_target(held, self._position(self._target)[2] + above),
            CLOSED,
            within=0.015,
            speed=0.8,
        )
        for _ in range(OPENING_STEPS):
            yield self._towards(self._hand, OPEN)

    def _reach(self, goal: Callable[[], Point], gripper: float, within: float, speed: float = 1.0) -> Steps:
        """Move to `goal`, which may move, until the hand is `within` metres of it and aligned, or blocked."""
        best, since = math.inf, 0
        while since < STALL_STEPS:
            yield self._towards(goal(), gripper, speed, effort=1 + since / 2)
            distance, angle = np.linalg.norm(goal() - self._hand), np.linalg.norm(self._turn())
            if distance < within and angle < ALIGNED:
                return
            left = float(distance + METRES_PER_RADIAN * angle)
            since = 0 if left < best - STALL else since + 1
            best = min(best, left)

    def _towards(self, goal: Point, gripper: float, speed: float = 1.0, effort: float = 1.0) -> Action:
        move = np.clip(20 * effort * (goal - self._hand), -speed, speed)
        return np.array([*move, *np.clip(2 * self._turn(), -1, 1), gripper], np.float32)

    def _turn(self) -> Float[np.ndarray, "xyz"]:
        """The rotation vector from the present to the wanted orientation, or to the same with fingers
        swapped."""
        hand = Rotation.from_quat(self._simulation.observation["robot0_eef_quat"])
        alike = (Rotation.from_euler("z", yaw) * POINTING_DOWN for yaw in (self._yaw, self._yaw + math.pi))
        return min(((wanted * hand.inv()).as_rotvec() for wanted in alike), key=np.linalg.norm)

    def _grasps(self) -> Iterator[Grasp]:
        """The grasps, cyclically: those with most clearance first, and among equals the better ones."""
        places = {condition[-1] for condition in self._simulation.start if self._item in condition}
        in_drawer = any("cabinet" in place and place.endswith("top_region") for place in places)
        grasps = RIM_IN_DRAWER if in_drawer else GRASPS[self._kind(self._item)]
        clear = [min(self._clearance(grasp), HAND_CLEARANCE) for grasp in grasps]
        return cycle(sorted(grasps, key=lambda grasp: -clear[grasps.index(grasp)]))

    def _clearance(self, grasp: Grasp) -> float:
        """Horizontal distance of the nearest other object from the line along which the hand opens."""
        tip, across = self._tip(grasp), np.array([-math.sin(grasp.yaw), math.cos(grasp.yaw)])
        distances = [math.inf]
        for other in self._neighbours():
            aside = (self._position(other) - tip)[:2]
            along = np.clip(aside @ across, -HAND_HALF_LENGTH, HAND_HALF_LENGTH)
            distances.append(float(np.linalg.norm(aside - along * across)))
        return min(distances)

    def _neighbours(self) -> list[str]:
        """Objects that may be in the hand's way: not flat, and no lower than the item."""
        names = [key.removesuffix("_pos") for key in self._simulation.observation if key.endswith("_pos")]
        return [
            name
            for name in names
            if not name.startswith("robot0")
            and not name.endswith("robot0_eef")
            and name not in (self._item, self._target)
            and self._kind(name) not in FLAT
            and self._position(name)[2] > self._position(self._item)[2] - 0.01
        ]

    def _tip(self, grasp: Grasp) -> Point:
        item = self._position(self._item)
        return np.array([item[0], item[1], max(item[2], LOWEST_TIP)]) + grasp.offset

    def _above(self, grasp: Grasp) -> Point:
        """A point above a grasp. From far away it is as high as the hand started, so that the hand passes
        above other objects; near by it is lower, as an arm stretched upwards is hard to move."""
        x, y, z = self._tip(grasp)
        away = float(np.linalg.norm((self._tip(grasp) - self._hand)[:2]))
        return np.array([x, y, max(z + HOVER, min(z + HOVER + away, self._start_height))])

    def _over_target(self, held: Point, height: float) -> Point:
        x, y, _ = self._position(self._target) + held
        return np.array([x, y, height])

    def _holds(self, held: Point) -> bool:
        return bool(np.linalg.norm(self._hand - self._position(self._item) - held) < SLIP)

    def _kind(self, name: str) -> str:
        return self._like(_kind(name))

    @property
    def _hand(self) -> Point:
        return np.array(self._simulation.observation["robot0_eef_pos"])

    def _position(self, name: str) -> Point:
        return np.array(self._simulation.observation[f"{name}_pos"])


def make_expert(
    simulation: GroundTruth, prompt: str, like: Callable[[str], str] = lambda kind: kind
) -> PickAndPlace:
    """The expert for the episode that has just begun in `simulation`.

    Args:
        like: the kind in `GRASPS` and `RELEASE_HEIGHTS` that objects of a kind are handled as.

    Raises:
        UsageError: the task is not to put one object, of a kind it can grasp, into a basket or on a plate.
    """
    (_, item, *region), *more = simulation.goal
    target = "".join(region).removesuffix("_contain_region")
    if more or like(_kind(item)) not in GRASPS or like(_kind(target)) not in RELEASE_HEIGHTS:
        raise UsageError(
            f"the scripted expert does not know how to {prompt!r}: it puts one object, "
            f"{', '.join(sorted(GRASPS))}, into or on a {' or '.join(sorted(RELEASE_HEIGHTS))}."
        )
    return PickAndPlace(simulation, item, target, like)


def _kind(name: str) -> str:
    """`milk` of `milk_1`."""
    return name.rpartition("_")[0]
