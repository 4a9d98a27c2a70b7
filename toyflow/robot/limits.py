"""What a robot's actions may be: told by the robot, taken from the training data, or from a file
(limits_file)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError

Values = Float[np.ndarray, "action"]

MARGIN = 0.1
"""Share of the range of the training data's actions by which one may lie outside it."""
STEP_MARGIN = 1.5
"""How much more than the largest step of the training data one may be."""
SPREADS, SPREADS_OF_A_STEP = 5.0, 4.0
"""Where only mean and spread of the data are known: standard deviations from the mean, and in one step, as a
gripper that switches between two values moves by 2 to 4."""
RANGE_SECONDS = 1.0
"""Where nobody says how far an action may change in a step, its whole range takes this long."""


@dataclass(frozen=True)
class Limits:
    """Per dimension of the action; None where nothing is known, inf where there is no limit.

    Attributes:
        lower, upper: in the action's units.
        step: largest change from one action to the next.
        velocity: units per second; a chunk that is faster anywhere is refused as a whole, and no step is
            larger than it allows.
        jerk: units per second^3; likewise.
    """

    lower: Values | None = None
    upper: Values | None = None
    step: Values | None = None
    velocity: Values | None = None
    jerk: Values | None = None

    def or_else(self, other: Limits) -> Limits:
        """These, and the other's where these say nothing."""
        pairs = zip(_parts(self), _parts(other), strict=True)
        return Limits(*(others if mine is None else mine for mine, others in pairs))

    def within(self, other: Limits) -> Limits:
        """The narrower of both, dimension by dimension."""
        both = self.or_else(other), other.or_else(self)
        pairs = zip(fields(self), *map(_parts, both), strict=True)
        return Limits(
            **{
                part.name: None if a is None else (np.maximum if part.name == "lower" else np.minimum)(a, b)
                for part, a, b in pairs
            }
        )

    def resampled(self, old: float, new: float) -> Limits:
        """The same motion per second by `new` actions per second, where these are for `old`."""
        return replace(self, step=None if self.step is None else self.step * old / new)

    def completed(self, rate: float, names: Sequence[str] = ()) -> Limits:
        """With what follows from the rest, at `rate` actions per second: the step is range / (rate 1 s), and
        never more than the velocity allows; where no velocity is given it is twice what the step allows, and
        the jerk three times step rate^3; a chunk that shakes by the largest step reaches four, one that
        starts or stops at once reaches one.

        Args:
            names: of the dimensions, for errors; by default their numbers.

        Raises:
            UsageError: lower or upper are not known, or lower is above upper, or a change is below 0.
        """
        if self.lower is None or self.upper is None:
            raise UsageError(
                "neither the robot nor the policy's data say how far actions may go: name a file with lower "
                "and upper by --limits FILE."
            )
        step = (self.upper - self.lower) / (rate * RANGE_SECONDS) if self.step is None else self.step
        if self.velocity is not None:
            step = np.minimum(step, self.velocity / rate)
        derived = Limits(step=step, velocity=2 * step * rate, jerk=3 * step * rate**3)
        limits = replace(self, step=step).or_else(derived)
        limits._check(names or [str(place) for place in range(len(self.lower))])
        return limits

    def _check(self, names: Sequence[str]) -> None:
        lower, upper, *changes = (np.asarray(part, float) for part in _parts(self))
        for name, least, most in zip(names, lower, upper, strict=True):
            if not least <= most:
                raise UsageError(
                    f"{name} would have to stay between {least:g} and {most:g}, as robot, data and --limits "
                    "say together: name both its lower and its upper by --limits FILE."
                )
        for kind, values in zip(("step", "velocity", "jerk"), changes, strict=True):
            for name, value in zip(names, values, strict=True):
                if not value >= 0:
                    raise UsageError(f"{kind} of {name} must be 0 or more, not {value:g}.")

    def as_dict(self) -> dict[str, list[float | None] | None]:
        """JSON values, in which None is no limit."""
        return {
            part.name: None if (values := getattr(self, part.name)) is None else _finite(values)
            for part in fields(self)
        }

    @classmethod
    def unlimited_between(cls, lower: float, upper: float, dims: int) -> Limits:
        """Bounds alone: a change may be as large and as quick as they allow."""
        free = np.full(dims, math.inf)
        return cls(np.full(dims, float(lower)), np.full(dims, float(upper)), free, free, free)

    @classmethod
    def of_data(cls, details: Mapping[str, Any]) -> Limits:
        """From what a trained policy's record says of the actions that it learned from: how far they went
        (`motion`), with a margin, or else their mean and spread (`normalisation`). A dimension that was
        constant stays so. Nothing where it says nothing, as of a policy that LeRobot trained."""
        if "motion" in details:
            motion = details["motion"]
            lower, upper, step = (np.array(motion[key], float) for key in ("lower", "upper", "step"))
            margin = MARGIN * (upper - lower)
            return cls(lower - margin, upper + margin, STEP_MARGIN * step)
        if "normalisation" in details:
            action = details["normalisation"]["action"]
            centre, scale = np.array(action["centre"], float), np.array(action["scale"], float)
            return cls(centre - SPREADS * scale, centre + SPREADS * scale, SPREADS_OF_A_STEP * scale)
        return cls()


@dataclass(frozen=True)
class Patience:
    """How long what may be. Milliseconds.

    Attributes:
        hold_after: without a fresh action, until the robot is told to hold.
        stop_after: without a fresh action, until the run is stopped.
        stale_after: for which a camera, or the state where there is none, may be the same to the last bit,
            until the observation is no longer believed.
    """

    hold_after: float = 100.0
    stop_after: float = 2000.0
    stale_after: float = 500.0

    def as_dict(self) -> dict[str, float | None]:
        """JSON values, in which None is forever."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def _parts(limits: Limits) -> list[Values | None]:
    return [getattr(limits, part.name) for part in fields(limits)]


def _finite(values: Values) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
