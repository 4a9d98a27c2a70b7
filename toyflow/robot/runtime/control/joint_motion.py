"""One joint's motion within limits of velocity, acceleration and jerk, step by step, by Ruckig."""

from __future__ import annotations

import math
from typing import Any

State = tuple[float, float, float]
"""Position, velocity, acceleration."""
REST: State = (0.0, 0.0, 0.0)
FORESEEN = 0.5
"""Seconds for which a target is thought to keep its velocity. With less the lag is longer, with more it
overshoots."""
SLACK = 1e-9
"""Share of max(1, |bound|) by which a stop may pass a bound: rounding."""
CHASED = 0.95
"""Share of the limit of velocity at which a target is thought to move at most, so that it can be caught up
with."""


class JointMotion:
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
