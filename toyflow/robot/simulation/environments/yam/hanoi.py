"""The tower of Hanoi: one to three discs on three pegs, moved from the left peg to the right one.

Each arm reaches two of the pegs, so that every disc passes from hand to hand over the middle one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.hands import Point
from toyflow.robot.simulation.environments.rendering import COLLISION_GEOMS, VISUAL_GEOMS, load_mujoco
from toyflow.robot.simulation.environments.yam.arm_constants import ARMS
from toyflow.robot.simulation.environments.yam.scripted_expert import ScriptedExpert, Way
from toyflow.robot.simulation.environments.yam.station import BASES, POINTING_DOWN, Station
from toyflow.robot.simulation.environments.yam.station_task import StationTask

PEGS, SPACING = 3, 0.12
PEG_RADIUS, PEG_HEIGHT = 0.006, 0.066
RADII, HALF_HEIGHT, HOLE = (0.036, 0.029, 0.022), 0.01, 0.0125
"""Of the discs from the largest, of each, and of their holes; in metres."""
DENSITY = 700.0
"""Of wood, kg / m^3."""
BOARD, BOARD_HALF = "board", (0.05, 0.19, 0.0005)
MIDDLE = np.array([0.25, -0.305])
"""Where the middle peg stands when the board is not moved: as far from either arm."""
BOARD_SHIFT, BOARD_TURN = np.array([0.02, 0.015]), 0.08
"""Largest shifts of the board along x and y, and turns in radians."""

DISC_BIT, FOOT_BIT, PEG_BIT = 2, 4, 8
"""Bits of contact. A disc is a cylinder for table, fingers and other discs; a ring of boxes for pegs, which
stand inside of the cylinder; and feet, on which it stands on other discs. A stack so has six contacts a disc
rather than a hundred."""
RING_BOXES, FEET, FOOT_RADIUS, FOOT_OUT, SECTORS = 6, 4, 0.003, 0.0003, 36

SOLVED_NEAR, SOLVED_HEIGHT, AT_REST = 0.009, 0.004, 0.02
"""A disc is in its place this near to its peg's middle and to its height, in metres, at less than this
speed."""


class Hanoi(StationTask):
    """A tower of `discs` discs."""

    def __init__(self, discs: int) -> None:
        self.discs = [f"disc{number}" for number in range(discs)]
        self.name = f"{('one', 'two', 'three')[discs - 1]}_disc{'s' if discs > 1 else ''}"
        tower = "the disc" if discs == 1 else f"the tower of {('two', 'three')[discs - 2]} discs"
        self.prompt = f"move {tower} from the left peg to the right peg"
        self.max_steps = (800, 2800, 8500)[discs - 1]
        self.objects = (BOARD, *self.discs)

    def add_bodies(self, spec: Any) -> None:
        """See the base class."""
        _add_board(spec)
        for name, radius in zip(self.discs, RADII, strict=False):
            _add_disc(spec, name, radius)

    def reset(self, station: Station, generator: np.random.Generator) -> None:
        """See the base class: the board is shifted and turned, and all colours are drawn."""
        shift = generator.uniform(-BOARD_SHIFT, BOARD_SHIFT)
        turn = Rotation.from_euler("z", generator.uniform(-BOARD_TURN, BOARD_TURN))
        station.place(BOARD, np.array([*(MIDDLE + shift), 0.0]), turn)
        shade = generator.uniform(0.25, 0.65)
        station.paint([BOARD], (shade, 0.8 * shade, 0.6 * shade))
        station.paint([f"peg{peg}" for peg in range(PEGS)], (0.6 * shade, 0.45 * shade, 0.3 * shade))
        start = station.model.body(BOARD).pos + turn.apply(_on_board(0))
        hues = generator.permutation(len(RADII)) / len(RADII) + generator.uniform(0, 1 / len(RADII))
        for level, (disc, hue) in enumerate(zip(self.discs, hues, strict=False)):
            station.place(disc, start + np.array([0, 0, _height(level) + 0.001]), turn)
            station.paint([f"{disc}_seen"], _saturated(hue))

    def solved(self, station: Station) -> bool:
        """See the base class: the discs lie on the right peg in order, at rest, and no hand touches one."""
        goal = peg_places(station)[PEGS - 1]
        return all(
            np.linalg.norm(station.position(disc)[:2] - goal[:2]) < SOLVED_NEAR
            and abs(station.position(disc)[2] - _height(level)) < SOLVED_HEIGHT
            and station.speed(disc) < AT_REST
            and not station.held(disc)
            for level, disc in enumerate(self.discs)
        )

    def expert(self, station: Station, seed: int) -> Expert:
        """See the base class. The seed has no effect."""
        return HanoiExpert(station, self.discs)


def peg_places(station: Station) -> Float[np.ndarray, "pegs=3 xyz"]:
    """Where the pegs stand, from the left."""
    board = station.data.body(BOARD)
    turned = board.xmat.reshape(3, 3)
    return np.array([board.xpos + turned @ _on_board(peg) for peg in range(PEGS)])


def next_move(pegs: Sequence[int]) -> tuple[int, int] | None:
    """The first move, as disc and peg, of the shortest way to all discs on the right peg, when a disc only
    moves to a neighbouring peg.

    Args:
        pegs: the peg of each disc from the largest.

    Returns:
        None when all are there.

    >>> next_move([0, 0]), next_move([0, 2]), next_move([2, 2])
    ((1, 1), (0, 1), None)
    """
    start, goal = tuple(pegs), (PEGS - 1,) * len(pegs)
    first: dict[tuple[int, ...], tuple[int, int] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here == goal:
            return first[here]
        for disc, peg in enumerate(here):
            for other in {max(peg - 1, 0), min(peg + 1, PEGS - 1)} - {peg, *here[disc + 1 :]}:
                there = (*here[:disc], other, *here[disc + 1 :])
                if peg not in here[disc + 1 :] and there not in first:
                    first[there] = first[here] or (disc, other)
                    waiting.append(there)
    raise AssertionError("every arrangement can be solved")


HIGH, CARRIED, GRASP = 0.105, 0.085, -0.005
"""Heights of the fingertips above the table with an empty hand, and with a disc; and above the disc's middle
when it is gripped."""
DROP = 0.006
"""How far above its place a disc is let go."""
PARKED = np.array([0.26, 0.0, 0.15])
"""Where a hand waits, from its arm's base."""
APPROACH, DOWN, GRIP, UP, ACROSS, LOWER, LEAVE, RETREAT = 45, 40, 16, 30, 45, 40, 25, 40
"""Control steps of the parts of a move."""


class HanoiExpert(ScriptedExpert):
    """Looks where the discs are, and makes the next move of the shortest solution: a hand takes a disc from
    above, lifts it, carries it to the neighbouring peg, lets go and makes room."""

    def __init__(self, station: Station, discs: Sequence[str]) -> None:
        self._discs = discs
        super().__init__(station)

    def parts(self) -> Iterator[int]:
        """See the base class: each move has four."""
        station = self.station
        while True:
            places = peg_places(station)
            pegs = [self._peg(disc, places) for disc in self._discs]
            move = next_move(pegs)
            if move is None:
                yield 1
                continue
            number, goal = move
            disc, side = self._discs[number], ARMS[0 if 0 in (pegs[number], goal) else 1]
            down = station.rotation(BOARD) * POINTING_DOWN
            x, y, _ = station.position(disc)
            yield self.go(side, Way(APPROACH, [x, y, HIGH], down, 1))
            x, y, z = station.position(disc)
            grasp = [x, y, z + GRASP]
            yield self.go(
                side, Way(DOWN, grasp, down, 1), Way(GRIP, grasp, down, 0), Way(UP, [x, y, CARRIED], down, 0)
            )
            x, y, _ = places[goal] - (station.position(disc) - station.tip(side))
            level = sum(peg == goal for peg in pegs[:number])
            above, lowered = [x, y, CARRIED], [x, y, _height(level) + DROP + GRASP]
            yield self.go(
                side, Way(ACROSS, above, down, 0), Way(LOWER, lowered, down, 0), Way(GRIP, lowered, down, 1),
                Way(LEAVE, [x, y, HIGH], down, 1),
            )  # fmt: skip
            self.go(side, Way(RETREAT, BASES[side] + PARKED, down, 1))
            yield 1

    def _peg(self, disc: str, places: Float[np.ndarray, "pegs=3 xyz"]) -> int:
        """The peg that a disc is nearest to."""
        return int(np.linalg.norm(places[:, :2] - self.station.position(disc)[:2], axis=1).argmin())


def _on_board(peg: int) -> Point:
    return np.array([0.0, SPACING * (1 - peg), 0.0])


def _height(level: int) -> float:
    return HALF_HEIGHT * (2 * level + 1)


def _saturated(hue: float) -> tuple[float, float, float]:
    red, green, blue = (0.15 + 0.7 * np.clip(abs((6 * hue + k) % 6 - 3) - 1, 0, 1) for k in (0, 4, 2))
    return float(red), float(green), float(blue)


def _add_board(spec: Any) -> None:
    geometry = load_mujoco().mjtGeom
    board = spec.worldbody.add_body(name=BOARD, pos=[*MIDDLE, 0])
    board.add_geom(
        name=BOARD, type=geometry.mjGEOM_BOX, size=list(BOARD_HALF), pos=[0, 0, BOARD_HALF[2]],
        group=VISUAL_GEOMS, contype=0, conaffinity=0,
    )  # fmt: skip
    for peg in range(PEGS):
        board.add_geom(
            name=f"peg{peg}", type=geometry.mjGEOM_CAPSULE, size=[PEG_RADIUS, PEG_HEIGHT / 2, 0],
            pos=_on_board(peg) + np.array([0, 0, PEG_HEIGHT / 2 - PEG_RADIUS]), group=VISUAL_GEOMS,
            contype=PEG_BIT, conaffinity=1, friction=[0.2, 0.005, 0.0001],
        )  # fmt: skip


def _add_disc(spec: Any, name: str, radius: float) -> None:
    geometry = load_mujoco().mjtGeom
    disc = spec.worldbody.add_body(name=name)
    disc.add_freejoint(name=name)
    disc.add_geom(
        type=geometry.mjGEOM_CYLINDER, size=[radius, HALF_HEIGHT, 0], density=DENSITY, group=COLLISION_GEOMS,
        contype=DISC_BIT, conaffinity=1 | DISC_BIT | FOOT_BIT, condim=4, friction=[0.8, 0.01, 0.0001],
    )  # fmt: skip
    outer, half = radius * np.cos(np.pi / RING_BOXES), radius * np.sin(np.pi / RING_BOXES)
    for box in range(RING_BOXES):
        turn = Rotation.from_euler("z", 2 * np.pi * box / RING_BOXES)
        disc.add_geom(
            type=geometry.mjGEOM_BOX, size=[(outer - HOLE) / 2, half, HALF_HEIGHT],
            pos=turn.apply([(outer + HOLE) / 2, 0, 0]), quat=turn.as_quat()[[3, 0, 1, 2]], mass=0,
            group=COLLISION_GEOMS, contype=0, conaffinity=PEG_BIT,
        )  # fmt: skip
    for foot in range(FEET):
        turn = Rotation.from_euler("z", 2 * np.pi * (foot + 0.5) / FEET)
        down = HALF_HEIGHT + FOOT_OUT - FOOT_RADIUS
        disc.add_geom(
            type=geometry.mjGEOM_SPHERE, size=[FOOT_RADIUS, 0, 0], pos=turn.apply([radius - 0.004, 0, -down]),
            mass=0, group=COLLISION_GEOMS, contype=FOOT_BIT, conaffinity=0, friction=[0.8, 0.01, 0.0001],
        )  # fmt: skip
    corners, triangles = washer(radius)
    spec.add_mesh(name=f"{name}_mesh", uservert=corners.ravel(), userface=triangles.ravel())
    disc.add_geom(
        name=f"{name}_seen", type=geometry.mjGEOM_MESH, meshname=f"{name}_mesh", group=VISUAL_GEOMS, mass=0,
        contype=0, conaffinity=0, rgba=[0.8, 0.2, 0.2, 1],
    )  # fmt: skip


def washer(radius: float) -> tuple[Float[np.ndarray, "corners 3"], np.ndarray]:
    """Corners and triangles of a disc with a hole, as it is seen."""
    angles = 2 * np.pi * np.arange(SECTORS) / SECTORS
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(SECTORS)], 1)
    up = np.array([0, 0, HALF_HEIGHT])
    corners = np.concatenate(
        [ring * r + z for r, z in ((radius, -up), (radius, up), (HOLE, up), (HOLE, -up))]
    )
    here, there = np.arange(SECTORS), (np.arange(SECTORS) + 1) % SECTORS
    faces = []
    for side in range(4):  # outside, top, hole, bottom
        a, b = side * SECTORS, (side + 1) % 4 * SECTORS
        faces += [np.stack([a + here, a + there, b + there], 1), np.stack([a + here, b + there, b + here], 1)]
    return corners, np.concatenate(faces)
