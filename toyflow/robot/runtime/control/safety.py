"""The one place that everything passes on its way to the robot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from toyflow.errors import ToyflowError
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.robots.base import Robot, shown

TOLERANCE = 1e-5
"""Share of max(1, limit) by which a limit may be passed before it counts: float32 rounds."""

Action = Float[np.ndarray, "action"]


class SafetyStop(ToyflowError):
    """The gate has stopped the run."""


class Sent(NamedTuple):
    """What became of an action."""

    action: Action | None
    """None where nothing was sent."""
    changes: tuple[str, ...]
    """Why it is not what was asked for: bounds, change, not-finite, shape; empty where it is."""


class Gate:
    """Sends actions to a robot, each made safe, and brings it to rest. The robot's `send`, `hold` and `stop`
    are called from here alone.

    An action: refused where it is not finite or of another length; then brought between `lower` and `upper`;
    then to within `step` of the one sent before, a hold's included, or at first of where the robot is. A
    chunk: refused where it is not finite or of another width, or where with dt = 1 / rate and a_i its actions

        |a_(i+1) - a_i| / dt > velocity   or   |a_(i+3) - 3 a_(i+2) + 3 a_(i+1) - a_i| / dt^3 > jerk.

    An observation: no longer believed when a part of it, such as a camera, has been the same to the last bit
    for `stale_after`. Without a fresh action the robot is told to hold after `hold_after`, and the run is
    stopped after `stop_after`.

    Args:
        limits: complete; see `Limits.completed`.
        rate: actions per second.
        names: of the numbers of an action, for what is told.
        moves: whether anything is sent; False for a dry run, in which all checks are made.
        on_intervention: told (kind, detail) of everything but changes of single actions, which `send`
        returns.

    Attributes:
        counts: interventions so far, by kind.
        checked: actions that have passed, changed or refused.
    """

    def __init__(
        self,
        robot: Robot,
        limits: Limits,
        patience: Patience,
        rate: float,
        names: Sequence[str] = (),
        moves: bool = True,
        on_intervention: Callable[[str, str], None] = lambda kind, detail: None,
    ) -> None:
        self.robot, self.patience, self.rate, self.moves = robot, patience, rate, moves
        self.on_intervention = on_intervention
        self.names = [shown(name) for name in names or map(str, range(len(_known(limits.lower))))]
        self.lower, self.upper = _known(limits.lower), _known(limits.upper)
        self.step, self.velocity, self.jerk = map(_known, (limits.step, limits.velocity, limits.jerk))
        self.counts: Counter[str] = Counter()
        self._refused: tuple[str, str] | None = None
        self.checked = 0
        self._before: Action | None = None
        self._fresh_at: float | None = None
        self._holding = False
        self._seen: dict[str, tuple[str, float]] = {}

    def begin(self, still: Action | None, now: float) -> None:
        """An episode begins with the robot where `still` would leave it, or nowhere known. `now` in
        seconds."""
        self._before = None if still is None else np.asarray(still, float)
        self._fresh_at, self._holding, self._seen, self._refused = now, False, {}, None

    def believes(self, digests: Mapping[str, str], now: float) -> bool:
        """Whether an observation whose parts, such as cameras, have these digests may be acted upon."""
        for part, digest in digests.items():
            if part not in self._seen or self._seen[part][0] != digest:
                self._seen[part] = (digest, now)
        stalest = min(digests, key=lambda part: self._seen[part][1])
        same_for = 1000 * (now - self._seen[stalest][1])
        if same_for <= self.patience.stale_after:
            return True
        self._tell("stale", f"{stalest} has not changed for {same_for:.0f} ms")
        return False

    def admits(self, chunk: Float[np.ndarray, "horizon action"]) -> bool:
        """Whether a chunk may be executed at all."""
        refused = self._refusal(chunk)
        self._refused = refused
        if refused is not None:
            self._tell(*refused)
        return refused is None

    def send(self, asked: Action, now: float) -> Sent:
        """Send an action, made safe. One that cannot be counts as no action; see `nothing`.

        Raises:
            SafetyStop: as `nothing`.
        """
        self.checked += 1
        fault = self._fault(asked)
        if fault is not None:
            self.counts[fault] += 1
            self.nothing(now)
            return Sent(None, (fault,))
        action = np.clip(asked.astype(float), self.lower, self.upper)
        changes = ["bounds"] if differing(action, asked).any() else []
        if self._before is not None:
            before = np.where(np.isnan(self._before), action, self._before)
            near = np.clip(action, before - self.step, before + self.step)
            changes += ["change"] if differing(near, action).any() else []
            action = near
        self.counts.update(changes)
        if self.moves:
            self.robot.send(action)
        self._before, self._fresh_at, self._holding = action, now, False
        return Sent(action, tuple(changes))

    def nothing(self, now: float) -> None:
        """There is no action at this step: hold, when it has lasted.

        Raises:
            SafetyStop: it has lasted too long.
        """
        if self._fresh_at is None:
            self._fresh_at = now
        waited = 1000 * (now - self._fresh_at)
        if waited > self.patience.stop_after:
            message = f"no fresh action for {waited:.0f} ms"
            self._tell("stop", message)
            raise SafetyStop(
                f"the robot was stopped: {message}. Refused so far: {self.refusals() or 'nothing'}."
                f"{self._why_refused()}"
            )
        if waited >= self.patience.hold_after:
            if not self._holding:
                self._tell("hold", f"no fresh action for {waited:.0f} ms")
                self._holding = True
            self.hold()

    def hold(self) -> None:
        """Stay; the next action's change is measured from there."""
        held = self.robot.hold() if self.moves else None
        if held is not None:
            before = held if self._before is None else self._before
            self._before = np.where(np.isnan(held), before, held)

    def stop(self) -> None:
        """Bring the robot to rest for good: hold, then stop. Both are tried, whatever the first does.

        Raises:
            Exception: what the robot's `stop` raised.
        """
        if self.moves:
            with suppress(Exception):
                self.robot.hold()
            self.robot.stop()

    def refusals(self) -> str:
        """What was not let through so far, in words: `3 x velocity, 1 x stale`."""
        refused = [each for each in self.counts.most_common() if each[0] not in ("hold", "stop")]
        return ", ".join(f"{count} x {kind}" for kind, count in refused)

    def _why_refused(self) -> str:
        """Of the last chunk, where it is that which is missing."""
        if self._refused is None:
            return ""
        mend = "; --limits FILE sets others" if self._refused[0] in ("velocity", "jerk") else ""
        return f" The last chunk: {', '.join(self._refused)}{mend}."

    def _refusal(self, chunk: Float[np.ndarray, "horizon action"]) -> tuple[str, str] | None:
        fault = self._fault(chunk)
        if fault is not None:
            return (
                fault,
                f"a chunk of shape {chunk.shape}, with {int((~np.isfinite(chunk)).sum())} not finite",
            )
        for kind, limit, order in (("velocity", self.velocity, 1), ("jerk", self.jerk, 3)):
            if len(chunk) > order:
                most = np.abs(np.diff(chunk.astype(float), n=order, axis=0)).max(0) * self.rate**order
                beyond = most > limit + TOLERANCE * np.maximum(1, limit)
                if beyond.any():
                    worst = int(np.argmax(np.where(beyond, most, -math.inf)))
                    return kind, f"{most[worst]:.3g} in {self.names[worst]}, of at most {limit[worst]:.3g}"
        return None

    def _fault(self, numbers: Float[np.ndarray, "*rows action"]) -> str | None:
        if numbers.shape[-1:] != self.lower.shape or not numbers.size:
            return "shape"
        return None if np.isfinite(numbers).all() else "not-finite"

    def _tell(self, kind: str, detail: str) -> None:
        self.counts[kind] += 1
        self.on_intervention(kind, detail)


def _known(values: Float[np.ndarray, "action"] | None) -> Float[np.ndarray, "action"]:
    assert values is not None, "limits are completed before the gate is made"
    return np.asarray(values, float)


def differing(a: Float[np.ndarray, "*rows action"], b: Float[np.ndarray, "*rows action"]) -> np.ndarray:
    """Where two actions are not the same, but for rounding."""
    return np.abs(a - b) > TOLERANCE * np.maximum(1, np.abs(b))
