"""Slow motions without a policy: to where an episode begins, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext, suppress

import numpy as np
from jaxtyping import Float

from toyflow.robot.limits import Limits
from toyflow.robot.runtime.control.clock import RealClock
from toyflow.robot.runtime.control.log import RunLog
from toyflow.robot.runtime.control.safety import Gate, Sent
from toyflow.robot.runtime.control.signals import StopSignals

RANGE_SHARE, STEP_SHARE = 0.05, 0.25
"""Speed: in a second a joint moves by at most this share of its range, and in a step by at most this share of
its largest step."""
ARRIVED = 0.05
"""How far a joint may be from where it was sent, as a share of its range."""
LEAST_SPAN = 0.1
"""A joint of a smaller range, or none, is paced and judged as if it had this share of the median range."""
SETTLE_SECONDS = 10.0
"""How long the robot may take to arrive after the last step of the way."""

Pose = Float[np.ndarray, "action"]

OnSent = Callable[[int, float, Pose, Sent], object]
"""Called with (step, seconds by the clock, what was asked for, what became of it)."""


def unlogged(step: int, at: float, asked: Pose, sent: Sent) -> None:
    """Writes nothing."""


def logged(log: RunLog, phase: str) -> OnSent:
    """Writes each step of a motion to a log, as a line of kind `motion` with this phase: `start` or `park`. A
    log that cannot be written stops a start, and does not keep a robot from being parked."""
    tolerant = suppress(OSError) if phase == "park" else nullcontext()

    def write(step: int, at: float, asked: Pose, sent: Sent) -> None:
        with tolerant:
            log.write(
                "motion", phase=phase, step=step, t=at, asked=asked, sent=sent.action, changes=sent.changes
            )

    return write


class SlowMotion:
    """Moves a robot in a straight line of its joints. It sees no obstacles.

    What is sent passes a gate of its own, whose bounds reach from where the robot is to where it goes: folded
    arms often lie outside of what a policy's limits allow.

    Args:
        gate: of the connected robot and its policy.
        signals: entered as a context; one that comes on the way stops the motion.
        clock: paces what is sent; `start` has been called.
        on_sent: called after each action of the way; not while the robot is held until it arrives.
    """

    def __init__(
        self,
        gate: Gate,
        signals: StopSignals,
        clock: RealClock,
        on_sent: OnSent = unlogged,
    ) -> None:
        self.gate, self.signals, self.clock, self.on_sent = gate, signals, clock, on_sent

    def seconds(self, target: Pose) -> float:
        """How long the way takes from where the robot was last observed; nan where that is not known."""
        here = self.gate.robot.still()
        return math.nan if here is None else self._steps(here, target) / self.clock.rate

    def move(self, target: Pose) -> str:
        """Go to `target`. Returns why the robot is not there; empty where it is.

        Raises:
            Exception: what the robot raised.
        """
        signals, here = self.signals.count, self._here()
        if here is None or not np.isfinite([target, here]).all():
            return "where it is or should be is not known"
        steps, step = self._steps(here, target), -1
        gate = self._gate(here, target)
        gate.begin(here, self.clock.now())
        for k in range(1, steps + 1):
            if self.signals.count > signals:
                return f"stopped by {self.signals.name}"
            asked, now = here + (target - here) * k / steps, self.clock.now()
            self.on_sent(k - 1, now, asked, gate.send(asked, now))
            step, _ = self.clock.next_step(step)
        until, near = self.clock.now() + SETTLE_SECONDS, ARRIVED * _judged_by(gate.upper - gate.lower)
        while True:
            gate.hold()
            if (here := self._here()) is None:
                return "where it is is not known"
            away = np.abs(target - here) / near
            if (away <= 1).all():
                return ""
            if self.signals.count > signals:
                return f"stopped by {self.signals.name}"
            if self.clock.now() > until:
                return f"{gate.names[int(np.argmax(away))]} does not get there"
            step, _ = self.clock.next_step(step)

    def _gate(self, here: Pose, target: Pose) -> Gate:
        gate = self.gate
        free = np.full(len(here), math.inf)
        lower, upper = np.fmin(gate.lower, np.fmin(here, target)), np.fmax(gate.upper, np.fmax(here, target))
        limits = Limits(lower, upper, np.fmax(gate.step, self._pace(here, target)), free, free)
        return Gate(gate.robot, limits, gate.patience, gate.rate, gate.names, gate.moves)

    def _here(self) -> Pose | None:
        self.gate.robot.observe()
        return self.gate.robot.still()

    def _steps(self, here: Pose, target: Pose) -> int:
        way, pace = np.abs(target - here), self._pace(here, target)
        return math.ceil(np.max(way[way > 0] / pace[way > 0], initial=0))

    def _pace(self, here: Pose, target: Pose) -> Pose:
        """The most that each joint moves in a step. A joint that never moved in training has no step of its
        own."""
        gate = self.gate
        span = np.fmax(gate.upper, np.fmax(here, target)) - np.fmin(gate.lower, np.fmin(here, target))
        by_range = RANGE_SHARE * _judged_by(span) / self.clock.rate
        return np.where(gate.step > 0, np.fmin(STEP_SHARE * gate.step, by_range), by_range)


def _judged_by(span: Pose) -> Pose:
    """A joint's range, but no less than `LEAST_SPAN` of the usual one."""
    finite = span[np.isfinite(span) & (span > 0)]
    return np.fmax(span, LEAST_SPAN * (np.median(finite) if len(finite) else 1.0))
