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

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.control.joint_motion import JointMotion

Action = Float[np.ndarray, "action"]
ROOM = 1 - 1e-9
"""Share of each limit that trajectories use, as sums round."""


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
            JointMotion(ruckig, dt, *map(float, each))
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
