"""Motion that keeps limits of velocity, acceleration and jerk whatever is asked for: a filter of actions.

A chunk is checked as a whole (`safety`), but two smooth chunks that disagree make a jump where one follows
the other, and a plan that does not come makes a halt in mid-motion. This filter follows what is asked as
closely as the limits allow, and comes to rest within them where nothing is asked.

Trajectories are those of Ruckig (Berscheid and Kroeger 2021, Jerk-limited Real-time Trajectory Generation
with Arbitrary Target States, RSS): time-optimal between two states (position, velocity, acceleration),
computed anew at each control step from the state that the last one led to. It was taken, rather than written
here, as a time-optimal third-order profile from any state has dozens of cases; it is a wheel without
dependencies, and takes some microseconds a joint and step. What it leaves open is decided here: bounds of
positions, and with which velocity to arrive.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.limits import Limits

Action = Float[np.ndarray, "action"]
ROOM = 1 - 1e-9
"""Share of each limit that trajectories use, as sums round."""
SLACK = 1e-9
"""Share of max(1, |bound|) by which a stop may pass a bound: rounding."""


class Smoother:
    """Follows actions within the limits, one control step at a time.

    What it returns are samples, dt = 1 / rate apart, of a curve whose velocity, acceleration and jerk keep to
    their limits; so do the differences of the samples, as each is a mean of the derivative:

        |x_(i+1) - x_i| / dt <= velocity,   |x_(i+3) - 3 x_(i+2) + 3 x_(i+1) - x_i| / dt^3 <= jerk.

    An action that can be reached in a step, with the velocity and acceleration that its neighbours give it,
    is returned as it is. Else the curve is the time-optimal one to where the actions will be. From any state
    it can come to rest within the bounds: a step after which it could not is replaced by one that brakes.

    Args:
        limits: complete; `step` x rate bounds the velocity, too.
        rate: actions per second.

    Raises:
        UsageError: Ruckig is not installed.

    >>> limits = Limits(np.zeros(1), np.ones(1), np.ones(1), np.full(1, 10.0), np.full(1, 500.0))
    >>> smoother = Smoother(limits, rate=10)
    >>> smoother.begin(np.zeros(1))
    >>> [round(float(smoother.follow(np.ones(1))[0]), 3) for _ in range(5)]
    [0.083, 0.5, 0.917, 1.0, 1.0]
    """

    def __init__(self, limits: Limits, rate: float) -> None:
        try:
            import ruckig  # optional: only for limits of acceleration and jerk
        except ImportError as error:
            raise UsageError(
                f"limits of acceleration or jerk need Ruckig ({error}): pip install 'toyflow[robot]'."
            ) from error
        assert limits.lower is not None and limits.upper is not None and limits.step is not None
        self._dt = 1 / rate
        self._lower, self._upper = np.asarray(limits.lower, float), np.asarray(limits.upper, float)
        fastest = (
            limits.step * rate if limits.velocity is None else np.fmin(limits.step * rate, limits.velocity)
        )
        dims = len(self._lower)
        unlimited = np.full(dims, math.inf)
        self._speed, self._push, self._jerk = (
            ROOM * np.asarray(values, float)
            for values in (
                fastest,
                unlimited if limits.acceleration is None else limits.acceleration,
                unlimited if limits.jerk is None else limits.jerk,
            )
        )
        dt, self._free = self._dt, np.isinf(self._push) & np.isinf(self._jerk)
        # How a state goes on without jerk; and how far from there jerk can bring it in a step.
        self._coasting = np.array([[1, 0, 0], [dt, 1, 0], [dt**2 / 2, dt, 1]])
        self._reach = self._jerk[:, None] * (dt**3 / 6, dt**2 / 2, dt) * (1 + 1e-6) + 1e-12
        self._joints = [
            _Joint(ruckig, dt, *map(float, each))
            for each in zip(self._speed, self._push, self._jerk, strict=True)
        ]
        self.begin(None)

    def begin(self, still: Action | None) -> None:
        """Rest at this action; nan, or None for all, where it is not known: there the first action that is
        followed is where it rests."""
        dims = len(self._lower)
        self.position = np.full(dims, math.nan) if still is None else np.array(still, float)
        self._velocity, self._acceleration = np.zeros(dims), np.zeros(dims)
        self._asked: list[Action] = []

    @property
    def is_moving(self) -> bool:
        """Whether any dimension changes."""
        return bool(self._velocity.any() or self._acceleration.any())

    def is_at_rest(self, rest: Action | None = None) -> bool:
        """Whether nothing is left to `brake`; so it is, too, as long as a position is not known."""
        if rest is None or self.is_moving or np.isnan(self.position).any():
            return not self.is_moving
        return not ((self._speed > 0) & (np.abs(self.position - rest) > 0)).any()

    def follow(self, asked: Action, ahead: Action | None = None) -> Action:
        """The action to send for `asked`.

        Args:
            asked: within the bounds.
            ahead: what will be asked for next, if that is known: it tells the velocity on arrival.
        """
        unknown = np.isnan(self.position)
        self.position = np.where(unknown, asked, self.position)
        target = np.clip(asked, self._lower, self._upper)
        velocity, acceleration = self._on_arrival(target, ahead)
        self._asked = [*self._asked[-1:], target]
        self._move(target, velocity, acceleration)
        return self.position.copy()

    def brake(self, rest: Action | None = None) -> Action:
        """The action to send where none is asked for: a step nearer to rest.

        Args:
            rest: values that mean rest in dimensions that are velocities, such as 0; nan in others, which
                rest anywhere. None is nan for all.
        """
        self._asked = []
        target = np.full(len(self.position), math.nan) if rest is None else np.asarray(rest, float)
        still = np.zeros(len(target))
        self._move(target, still, still)
        return self.position.copy()

    def _on_arrival(self, target: Action, ahead: Action | None) -> tuple[Action, Action]:
        """Velocity and acceleration that the actions before and after give the target: central differences;
        zero acceleration and the velocity ahead where the actions jump; both 0 where nothing is known."""
        dt, before = self._dt, self._asked[-1] if self._asked else None
        zeros = np.zeros(len(target))
        if before is None and ahead is None:
            return zeros, zeros
        if before is None or ahead is None:
            velocity, acceleration = ((target - before) if ahead is None else (ahead - target)) / dt, zeros
        else:
            velocity, acceleration = (ahead - before) / (2 * dt), (ahead - 2 * target + before) / dt**2
            if len(self._asked) > 1:
                third = np.abs(ahead - 3 * target + 3 * before - self._asked[-2]) / dt**3
                jump = (third > 2 * self._jerk) | (np.abs(acceleration) > self._push)
                velocity = np.where(jump, (ahead - target) / dt, velocity)
                acceleration = np.where(jump, 0, acceleration)
        velocity = np.clip(velocity, -self._speed, self._speed)
        # A state from which the speed could not be kept while the acceleration is reduced is no target.
        with np.errstate(over="ignore", invalid="ignore"):
            most = np.fmin(self._push, np.sqrt(2 * self._jerk * (self._speed - np.abs(velocity))))
        return velocity, np.clip(acceleration, -most, most)

    def _move(self, target: Action, velocity: Action, acceleration: Action) -> None:
        low, high = np.fmin(self._lower, self.position), np.fmax(self._upper, self.position)
        states = np.stack([self.position, self._velocity, self._acceleration], 1)
        wanted = np.stack([target, velocity, acceleration], 1)
        most = self._speed * self._dt
        free = np.clip(target, self.position - most, self.position + most)  # where only velocity is bounded
        states[self._free & ~np.isnan(free), 0] = free[self._free & ~np.isnan(free)]
        idle = (
            (states == wanted).all(1) & (velocity == 0) & (acceleration == 0)
            | (self._speed <= 0)
            | self._free
        )
        near = np.all(np.abs(wanted - states @ self._coasting) <= self._reach, axis=1)
        rows = zip(states.tolist(), wanted.tolist(), low.tolist(), high.tolist(), strict=True)
        for dim, (state, goal, least, most) in enumerate(rows):
            if not idle[dim]:
                states[dim] = self._joints[dim].moved(tuple(state), tuple(goal), least, most, bool(near[dim]))
        self.position, self._velocity, self._acceleration = states.T.copy()


def smoother_of(file: Limits, complete: Limits, rate: float) -> Smoother | None:
    """The filter that a user's limits ask for: None unless they bound acceleration or jerk.

    Args:
        file: the user's limits, see `limits_file.read_limits`.
        complete: the limits of the run, in which a jerk that nobody asked for is derived.
        rate: actions per second.
    """
    if file.acceleration is None and file.jerk is None:
        return None
    return Smoother(replace(complete, acceleration=file.acceleration, jerk=file.jerk), rate)


State = tuple[float, float, float]
"""Position, velocity, acceleration."""
REST: State = (0.0, 0.0, 0.0)
FORESEEN = 0.5
"""Seconds for which a target is thought to keep its velocity. With less the lag is longer, with more it
overshoots."""
CHASED = 0.95
"""Share of the limit of velocity at which a target is thought to move at most, so that it can be caught up
with."""


class _Joint:
    """One dimension: its trajectories by Ruckig. It counts in a unit of about its own speed, as Ruckig finds
    no halt for some states of large numbers, such as degrees; a power of two, so that nothing is rounded."""

    def __init__(self, ruckig: Any, dt: float, speed: float, push: float, jerk: float) -> None:
        self._unit = 2.0 ** math.frexp(speed)[1] if 0 < speed < math.inf else 1.0
        speed, push, jerk = speed / self._unit, push / self._unit, jerk / self._unit
        self._dt, self._speed, self._push, self._jerk = dt, speed, push, jerk
        self._ruckig = ruckig
        self._found = (ruckig.Result.Working, ruckig.Result.Finished)
        self._generator = ruckig.Ruckig(1, dt)
        self._path = ruckig.Trajectory(1)
        self._reach, self._chase, self._halt = (ruckig.InputParameter(1) for _ in range(3))
        for inputs in (self._reach, self._chase, self._halt):
            inputs.max_velocity, inputs.max_acceleration, inputs.max_jerk = [speed], [push], [jerk]
        self._reach.minimum_duration = dt
        self._halt.control_interface = ruckig.ControlInterface.Velocity

    def moved(self, state: State, target: State, low: float, high: float, is_near: bool) -> State:
        """The state a step later. It is the first of these after which the joint can stop between `low` and
        `high`: the target itself, if it can be reached in a step; a point of the fastest way to where the
        target will be, if it keeps its velocity; of the fastest way to rest at the target; of the fastest way
        to rest anywhere. `is_near` is false where the target is out of a step's reach."""
        unit = self._unit
        x, v, a = self._moved(
            (state[0] / unit, state[1] / unit, state[2] / unit),
            (target[0] / unit, target[1] / unit, target[2] / unit),
            low / unit, high / unit, is_near,
        )  # fmt: skip
        return x * unit, v * unit, a * unit

    def _moved(self, state: State, target: State, low: float, high: float, is_near: bool) -> State:
        position = target[0]
        if position == position:
            ways = (self._reached, self._chased, self._rested)
            for way in ways if is_near else ways[1:]:
                after = way(state, target)
                if after is not None and self._stops_within(after, low, high):
                    return after
        return self._solved(self._halt, state, REST) or self._slowed(state)

    def _slowed(self, state: State) -> State:
        """A step nearer to rest, for a state for which Ruckig finds no halt: as much deceleration as the
        limits of acceleration and jerk allow."""
        dt, (x, v, a) = self._dt, state
        a = max(a - self._jerk * dt, -self._push, min(a + self._jerk * dt, self._push, -v / dt))
        return x + (v + a * dt) * dt, v + a * dt, a

    def _reached(self, state: State, target: State) -> State | None:
        after = self._solved(self._reach, state, target)
        return target if after is not None and self._path.duration <= self._dt * (1 + 1e-9) else None

    def _chased(self, state: State, target: State) -> State | None:
        """Seen from a point that moves as the target does, the target rests."""
        (x, v, a), (goal, along, _), chase = state, target, self._chase
        along = max(-CHASED * self._speed, min(CHASED * self._speed, along))
        if not along:
            return None
        chase.min_velocity, chase.max_velocity = [-self._speed - along], [self._speed - along]
        after = self._solved(chase, (x - goal + along * self._dt, v - along, a), REST)
        if after is None or self._path.duration > FORESEEN:
            return None
        return after[0] + goal, after[1] + along, after[2]

    def _rested(self, state: State, target: State) -> State | None:
        return self._solved(self._reach, state, (target[0], 0.0, 0.0))

    def _solved(self, inputs: Any, state: State, target: State) -> State | None:
        """The state a step later on the fastest way between two states; None where Ruckig finds none."""
        inputs.current_position, inputs.current_velocity, inputs.current_acceleration = (
            [state[0]], [state[1]], [state[2]]
        )  # fmt: skip
        inputs.target_position, inputs.target_velocity, inputs.target_acceleration = (
            [target[0]], [target[1]], [target[2]]
        )  # fmt: skip
        try:
            if self._generator.calculate(inputs, self._path) not in self._found:
                return None
        except self._ruckig.RuckigError:
            return None
        (x,), (v,), (a,) = self._path.at_time(self._dt)
        if self._path.duration <= self._dt and target[1:] == (0.0, 0.0):  # it rests, without rounding
            return (x if inputs is self._halt else target[0]), 0.0, 0.0
        return x, v, a

    def _stops_within(self, state: State, low: float, high: float) -> bool:
        """Whether the fastest halt from this state ends within the bounds."""
        x, v, a = state
        slack = SLACK * max(1 / self._unit, abs(x))
        if not low - slack <= x <= high + slack:
            return False
        if self._farthest(v, a) < min(x - low, high - x):
            return True
        if self._solved(self._halt, state, REST) is None:
            return False
        [ends] = self._path.position_extrema
        return low - slack <= ends.min and ends.max <= high + slack

    def _farthest(self, velocity: float, acceleration: float) -> float:
        """A distance that no halt exceeds: as if acceleration, whatever its direction, first had to be
        reduced to 0, and then velocity."""
        v, a = abs(velocity), abs(acceleration)
        if self._jerk == math.inf:
            return v * v / (2 * self._push)
        reduced = v * a / self._jerk + a**3 / (3 * self._jerk**2)
        v += a * a / (2 * self._jerk)
        ramp = self._push / self._jerk
        return reduced + (
            v / 2 * (v / self._push + ramp) if v > self._push * ramp else v * math.sqrt(v / self._jerk)
        )
