"""Slow motions without a policy: to where an episode begins, and back."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from toyflow.robot.limits import Limits
from toyflow.robot.runtime.control.clock import RealClock
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals

RANGE_SHARE, STEP_SHARE = 0.05, 0.25
"""Speed: in a second a joint moves by at most this share of its range, and in a step by at most this share of
its largest step."""
ARRIVED = 0.05
"""How far a joint may be from where it was sent, as a share of its range."""
SETTLE_SECONDS = 10.0
"""How long the robot may take to arrive after the last step of the way."""

Pose = Float[np.ndarray, "action"]


class SlowMotion:
    """Moves a robot in a straight line of its joints. It sees no obstacles.

    What is sent passes a gate of its own, whose bounds reach from where the robot is to where it goes: folded
    arms often lie outside of what a policy's limits allow.

    Args:
        gate: of the connected robot and its policy.
        signals: entered as a context; one that comes on the way stops the motion.
        clock: paces what is sent; `start` has been called.
    """

    def __init__(self, gate: Gate, signals: StopSignals, clock: RealClock) -> None:
        self.gate, self.signals, self.clock = gate, signals, clock

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
            gate.send(here + (target - here) * k / steps, self.clock.now())
            step, _ = self.clock.next_step(step)
        until, span = self.clock.now() + SETTLE_SECONDS, self.gate.upper - self.gate.lower
        while True:
            gate.hold()
            here = self._here()
            away = np.abs(target - (math.nan if here is None else here)) / span
            if (away <= ARRIVED).all() or not np.isfinite(span).all():
                return ""
            if self.signals.count > signals:
                return f"stopped by {self.signals.name}"
            if self.clock.now() > until:
                return f"{gate.names[int(np.nanargmax(away))]} does not get there"
            step, _ = self.clock.next_step(step)

    def _gate(self, here: Pose, target: Pose) -> Gate:
        gate = self.gate
        free = np.full(len(here), math.inf)
        lower, upper = np.fmin(gate.lower, np.fmin(here, target)), np.fmax(gate.upper, np.fmax(here, target))
        limits = Limits(lower, upper, gate.step, free, free)
        return Gate(gate.robot, limits, gate.patience, gate.rate, gate.names, gate.moves)

    def _here(self) -> Pose | None:
        self.gate.robot.observe()
        return self.gate.robot.still()

    def _steps(self, here: Pose, target: Pose) -> int:
        gate = self.gate
        pace = np.fmin(STEP_SHARE * gate.step, RANGE_SHARE * (gate.upper - gate.lower) / self.clock.rate)
        return math.ceil(np.nanmax(np.abs(target - here) / pace, initial=0))
