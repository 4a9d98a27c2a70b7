"""The scripted expert of tasks in which one hand holds a body and the other presses a part into its seat."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environments.hands import Point
from toyflow.robot.simulation.environments.yam.grasps import turned, up
from toyflow.robot.simulation.environments.yam.scripted_expert import ScriptedExpert, Way

BACK, HIGH = 0.07, 0.07
"""How far the holding hand stays back before it grips, and how far above the pressing one stays; metres."""
APPROACH, NEAR, SETTLE, GRIP, LIFT, ACROSS, LOWER, RELAX, LEAVE = 60, 30, 10, 20, 35, 60, 30, 10, 35
"""Control steps of the parts of the task, except for the press."""
STUCK = 0.5
"""The joints' friction holds a hand off by some millimetres, unless noise shakes it loose: it is sent on by
this share of them before it grips a part."""
TRIES = 3
"""How often it presses: noise and friction may hold a part up for good, until the hand relaxes."""


class PressingExpert(ScriptedExpert):
    """One hand grips a body and holds it. The other takes the part, carries it before its seat, looks where
    it is and corrects that, and presses until the part is seated; then both let go.

    Attributes:
        holding, pressing: sides of the two hands.
        part: name of the body that is pressed.
        wide, let_go: how far the pressing hand opens to grip and to let go, 0 closed and 1 open.
        raised: metres by which the part is raised.
        over, before: how far above and before its seat it arrives, metres.
        touch: how far before its seat the press begins, metres.
        press, pressed: how far the hand aims beyond, metres, against the spring that the arm is, in how many
            control steps.
        enough: a part this near to its seat is seated, metres.
    """

    noise_scale = 0.4 * ScriptedExpert.noise_scale  # a seat is missed by less than a peg
    holding: str
    pressing: str
    part: str
    wide: float
    let_go: float
    raised: float
    over: float
    before: float
    touch: float
    press: float
    pressed: int
    enough: float

    @abstractmethod
    def hold(self) -> tuple[Point, Rotation]:
        """Fingertips and orientation of the hand that holds."""

    @abstractmethod
    def grasp(self) -> tuple[Point, Rotation]:
        """Fingertips and orientation of the hand that takes the part."""

    @abstractmethod
    def turn(self) -> float:
        """By how much the hand turns about the vertical with the lifted part, in radians."""

    @abstractmethod
    def seat(self) -> Point:
        """Where the part's origin is when the part is seated."""

    @abstractmethod
    def into(self) -> Point:
        """The direction in which the part is pressed, of length 1."""

    def parts(self) -> Iterator[int]:
        """See the base class."""
        station, hand, part = self.station, self.pressing, self.part
        hold, side = self.hold()
        back = hold - side.apply(up(BACK))
        grasp, facing = self.grasp()
        self.go(
            self.holding, Way(APPROACH, back, side, 1), Way(NEAR, hold, side, 1), Way(GRIP, hold, side, 0)
        )
        yield self.go(
            hand, Way(APPROACH, grasp + up(HIGH), facing, self.wide), Way(NEAR, grasp, facing, self.wide),
            Way(SETTLE, grasp, facing, self.wide),
        )  # fmt: skip
        grasp = grasp + STUCK * (grasp - station.tip(hand))
        yield self.go(
            hand, Way(SETTLE, grasp, facing, self.wide), Way(GRIP, grasp, facing, 0),
            Way(LIFT, grasp + up(self.raised), facing, 0),
        )  # fmt: skip
        turn, into = turned(self.turn()), self.into()
        facing = turn * facing
        there = self.seat() - self.before * into
        tip = there + turn.apply(station.tip(hand) - station.position(part))
        yield self.go(hand, Way(ACROSS, tip + up(self.over), facing, 0), Way(LOWER, tip, facing, 0))
        tip -= station.position(part) - there
        yield self.go(hand, Way(LOWER, tip + (self.before - self.touch) * into, facing, 0))
        for _ in range(TRIES):
            self.go(hand, Way(self.pressed, station.tip(hand) + self.press * into, facing, 0))
            for _ in range(self.pressed // 2):
                yield 2
                if (self.seat() - station.position(part)) @ into < self.enough:
                    break
            else:
                yield self.go(hand, Way(RELAX, station.tip(hand), facing, 0))
                continue
            break
        tip = station.tip(hand)
        yield self.go(
            hand, Way(RELAX, tip, facing, 0), Way(GRIP, tip, facing, self.let_go),
            Way(LEAVE, tip + up(HIGH), facing, self.let_go),
        )  # fmt: skip
        self.go(self.holding, Way(GRIP, hold, side, 1), Way(LEAVE, back, side, 1))
        while True:
            yield 1
