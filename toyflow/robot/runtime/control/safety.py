"""The safety gate: every action passes it on its way to the robot, and everything unsafe stops there.

What happens to ...

- a nan or inf in an action: the action is not sent, and the step counts as one without an action;
- a nan or inf in a chunk, or a chunk of the wrong width: the whole chunk is refused, another plan asked for;
- an action out of bounds, or too far from the one before: it is clipped, and sent;
- an action that jumps, where limits of acceleration or jerk were asked for: what is sent follows within them;
- a chunk that is too fast or jerks: the whole chunk is refused;
- a camera (or a state, where there is no camera) that freezes: its observation is not planned from;
- no action for a while, whatever the reason: the robot holds, then the run stops with `SafetyStop`.

Every such intervention is counted (`Gate.counts`) and written to the run's log.
"""

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
from toyflow.robot.runtime.control.log import STATE_PART
from toyflow.robot.runtime.control.smoothing import Smoother
from toyflow.robot.runtime.robots.base import Robot, display_name

TOLERANCE = 1e-5
"""Share of max(1, limit) by which a limit may be exceeded, since float32 rounds."""

Action = Float[np.ndarray, "action"]

PLAN_LOST = "plan lost"
"""The kind of intervention of a plan that will not come, see `Planner` and `PlanLost`."""


class SafetyStop(ToyflowError):
    """The gate has stopped the run: there was no action that could be sent for too long.

    Attributes:
        by_policy: whether the policy's last chunk was refused, rather than that none came.
    """

    by_policy = False


class Sent(NamedTuple):
    """What became of an action.

    Attributes:
        action: what was sent; None where nothing was.
        changes: reasons why it differs from what was asked: `bounds`, `change`, `smooth`, `not-finite` or
            `shape`; `brake` where nothing that could be sent was asked for, and the robot is coming to rest;
            empty if it does not differ.
    """

    action: Action | None
    changes: tuple[str, ...]


class Gate:
    """Sends a robot's actions, made safe, and brings the robot to rest. Nothing else calls the robot's
    `send`, `hold` and `stop`.

    - `send` refuses an action that is not finite or has the wrong length. It clips others to `lower` and
      `upper`, then to within `step` of what was sent last (by `send` or by holding), or, for the first, of
      where the robot is. With a `smoother` that follows the action instead, within `step`, velocity,
      acceleration and jerk; and a robot that moves comes to rest within them before it is held or stopped.
    - `check_chunk` refuses a chunk that is not finite or has the wrong width, or in which, with actions a_i
      and dt = 1 / rate,

          |a_(i+1) - a_i| / dt > velocity   or   |a_(i+3) - 3 a_(i+2) + 3 a_(i+1) - a_i| / dt^3 > jerk.

    - `is_fresh` refuses an observation of which a part, such as a camera, has not changed by a bit for
      `stale_after`. A state rightly stays the same until the robot is told to move.
    - `no_action` holds after `hold_after` without an action that was sent, and raises after `stop_after`.

    Args:
        robot: connected.
        limits: complete; see `Limits.completed`.
        patience: the times above.
        rate: actions per second.
        names: names of the action's dimensions, for messages.
        moves: False in a dry run, in which everything is checked and nothing is sent.
        smoother: keeps what is sent within limits of acceleration and jerk; None where none were asked for.
        on_intervention: called with (kind, detail) at every intervention but the clipping of actions, which
            `send` returns.

    Attributes:
        counts: interventions so far, by kind.
        checked: actions given to `send` so far.
    """

    def __init__(
        self,
        robot: Robot,
        limits: Limits,
        patience: Patience,
        rate: float,
        names: Sequence[str] = (),
        moves: bool = True,
        smoother: Smoother | None = None,
        on_intervention: Callable[[str, str], None] = lambda kind, detail: None,
    ) -> None:
        self.robot, self.patience, self.rate, self.moves = robot, patience, rate, moves
        self.on_intervention, self.smoother = on_intervention, smoother
        self.names = [display_name(name) for name in names or map(str, range(len(_known(limits.lower))))]
        self.lower, self.upper = _known(limits.lower), _known(limits.upper)
        self.step, self.velocity, self.jerk = map(_known, (limits.step, limits.velocity, limits.jerk))
        self.counts: Counter[str] = Counter()
        self._refused: tuple[str, str] | None = None
        self.checked = 0
        self._before: Action | None = None
        self._fresh_at: float | None = None
        self._holding = False
        self._seen: dict[str, tuple[str, float]] = {}
        self._told_to_move = False

    def begin(self, still: Action | None, now: float) -> None:
        """Start an episode.

        Args:
            still: the action that would leave the robot where it is, nan in dimensions where that is not
                known; None where nothing is known.
            now: seconds on any clock, the same for all methods.
        """
        self._before = None if still is None else np.asarray(still, float)
        if self.smoother is not None:
            self.smoother.begin(still)
        self._fresh_at, self._holding, self._seen, self._refused = now, False, {}, None
        self._told_to_move = False

    def is_fresh(self, digests: Mapping[str, str], now: float) -> bool:
        """Whether an observation may be planned from: none of its parts has been the same for too long.

        Args:
            digests: a hash of each part, by its name, such as a camera's.
        """
        for part, digest in digests.items():
            changed = part not in self._seen or self._seen[part][0] != digest
            if changed and part == STATE_PART:
                self._told_to_move = False
            if changed or (part == STATE_PART and not self._told_to_move):
                self._seen[part] = (digest, now)
        stalest = min(digests, key=lambda part: self._seen[part][1])
        same_for = 1000 * (now - self._seen[stalest][1])
        if same_for <= self.patience.stale_after:
            return True
        self._tell("stale", f"{stalest} has not changed for {same_for:.0f} ms")
        return False

    def check_chunk(self, chunk: Float[np.ndarray, "horizon action"]) -> bool:
        """Whether a chunk may be executed."""
        refused = self._refusal(chunk)
        self._refused = refused
        if refused is not None:
            self._tell(*refused)
        return refused is None

    def send(self, asked: Action, now: float, ahead: Action | None = None) -> Sent:
        """Send an action, made safe. One that cannot be made safe counts as none: see `no_action`.

        Args:
            ahead: the action after this one, as far as it is known, for the smoother.

        Raises:
            SafetyStop: as `no_action`.
        """
        self.checked += 1
        fault = self._fault(asked)
        if fault is not None:
            self.counts[fault] += 1
            instead = self.no_action(now)
            return Sent(instead.action, (fault, *instead.changes))
        action = np.clip(asked.astype(float), self.lower, self.upper)
        changes = ["bounds"] if differing(action, asked).any() else []
        if self.smoother is not None:
            followed = self.smoother.follow(action, None if ahead is None or self._fault(ahead) else ahead)
            followed = self._barred(followed)
            changes += ["smooth"] if differing(followed, action).any() else []
            action = followed
        elif self._before is not None:
            before = np.where(np.isnan(self._before), action, self._before)
            near = np.clip(action, before - self.step, before + self.step)
            changes += ["change"] if differing(near, action).any() else []
            action = near
        self.counts.update(changes)
        self._carry_out(action)
        self._fresh_at, self._holding = now, False
        return Sent(action, tuple(changes))

    def no_action(self, now: float) -> Sent:
        """A step has no action: brake, where there is a smoother; and hold at rest, if that has lasted for
        `hold_after`.

        Raises:
            SafetyStop: it has lasted for longer than `stop_after`.
        """
        if self._fresh_at is None:
            self._fresh_at = now
        waited = 1000 * (now - self._fresh_at)
        if waited > self.patience.stop_after:
            message = f"no fresh action for {waited:.0f} ms"
            self._tell("stop", message)
            stop = SafetyStop(
                f"the robot was stopped: {message}. Refused so far: {self.refusals() or 'nothing'}."
                f"{self._why_refused()}"
            )
            stop.by_policy = self._refused is not None and self._refused[0] != PLAN_LOST
            raise stop
        if waited >= self.patience.hold_after:
            if not self._holding:
                self._tell("hold", f"no fresh action for {waited:.0f} ms")
                self._holding = True
            if not self.is_moving:
                self.hold()
                return Sent(None, ())
        braked = self.brake()
        return Sent(braked, () if braked is None else ("brake",))

    def _barred(self, followed: Action) -> Action:
        """What the smoother answers, whatever that is, within `step` of the last action and the bounds; where
        the last action lies outside of these, no farther out."""
        before = (
            followed if self._before is None else np.where(np.isnan(self._before), followed, self._before)
        )
        near = np.clip(followed, before - self.step, before + self.step)
        return np.clip(near, np.fmin(self.lower, before), np.fmax(self.upper, before))

    @property
    def is_moving(self) -> bool:
        """Whether there is something to `brake`; never without a smoother."""
        return self.smoother is not None and not self.smoother.is_at_rest(self.robot.resting)

    def brake(self) -> Action | None:
        """Send an action that brings a moving robot nearer to rest within the limits; None where it rests."""
        if self.smoother is None or not self.is_moving:
            return None
        action = self._barred(self.smoother.brake(self.robot.resting))
        self.counts["brake"] += 1
        self._carry_out(action)
        return action

    def _carry_out(self, action: Action) -> None:
        """Send an action that is safe, unless this is a dry run."""
        if self.moves:
            self._told_to_move |= self._before is None or not np.array_equal(action, self._before)
            self.robot.send(action)
        self._before = action

    def hold(self) -> None:
        """Tell the robot to stay where it is. The next action's step is measured from there."""
        held = self._held() if self.moves else None
        if held is not None:
            before = held if self._before is None else self._before
            self._before = np.where(np.isnan(held), before, held)
            if self.smoother is not None:
                self.smoother.begin(self._before)

    def _held(self) -> Action | None:
        """Hold; a simulator by the last action, since its own way to hold may be a jump."""
        if self.smoother is None or not self.robot.stepped or np.isnan(self.smoother.position).any():
            return self.robot.hold()
        self.robot.send(self.smoother.position.copy())
        return None

    def plan_lost(self, why: str) -> None:
        """Count a plan that was asked for and will not come; a later stop says why."""
        self._refused = PLAN_LOST, why
        self._tell(PLAN_LOST, why)

    def stop(self) -> None:
        """Bring the robot to rest for good: hold, then stop, also if holding fails.

        Raises:
            Exception: what the robot's `stop` raised.
        """
        if self.moves:
            with suppress(Exception):
                if self.smoother is None or not self.robot.stepped:  # a simulator's time stands still
                    self.robot.hold()
            self.robot.stop()

    def refusals(self) -> str:
        """Interventions so far but for holds and stops, as `3 x velocity, 1 x stale`; empty if none."""
        refused = [each for each in self.counts.most_common() if each[0] not in ("hold", "stop")]
        return ", ".join(f"{count} x {kind}" for kind, count in refused)

    def _why_refused(self) -> str:
        """A sentence on the last chunk, if it was refused."""
        if self._refused is None:
            return ""
        kind, detail = self._refused
        if kind == PLAN_LOST:
            return f" The last plan was lost: {detail.rstrip('.')}."
        hint = "; --limits FILE changes limits" if kind in ("velocity", "jerk") else ""
        return f" The last chunk was refused: {detail}{hint}."

    def _refusal(self, chunk: Float[np.ndarray, "horizon action"]) -> tuple[str, str] | None:
        fault = self._fault(chunk)
        if fault is not None:
            unusable = int((~np.isfinite(chunk)).sum())
            return fault, f"it has shape {chunk.shape}, and {unusable} numbers that are not finite"
        for kind, limit, order in (("velocity", self.velocity, 1), ("jerk", self.jerk, 3)):
            if len(chunk) > order:
                most = np.abs(np.diff(chunk.astype(float), n=order, axis=0)).max(0) * self.rate**order
                beyond = most > limit + TOLERANCE * np.maximum(1, limit)
                if beyond.any():
                    worst = int(np.argmax(np.where(beyond, most, -math.inf)))
                    name, found = self.names[worst], most[worst]
                    return kind, f"{kind} of {name} {found:.3g}, limit {limit[worst]:.3g}"
        return None

    def _fault(self, numbers: Float[np.ndarray, "*rows action"]) -> str | None:
        if numbers.shape[-1:] != self.lower.shape or not numbers.size:
            return "shape"
        return None if np.isfinite(numbers).all() else "not-finite"

    def _tell(self, kind: str, detail: str) -> None:
        self.counts[kind] += 1
        self.on_intervention(kind, detail)


def _known(values: Float[np.ndarray, "action"] | None) -> Float[np.ndarray, "action"]:
    assert values is not None, "Limits.completed comes first"
    return np.asarray(values, float)


def differing(a: Float[np.ndarray, "*rows action"], b: Float[np.ndarray, "*rows action"]) -> np.ndarray:
    """Where two actions differ by more than rounding."""
    return np.abs(a - b) > TOLERANCE * np.maximum(1, np.abs(b))
