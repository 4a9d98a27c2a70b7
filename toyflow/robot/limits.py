"""Limits of a robot's actions, by dimension: bounds, largest step, velocity and jerk."""

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
"""How far an action may lie outside the training data's range, as a share of that range."""
STEP_MARGIN = 1.5
"""How far a step may exceed the training data's largest, as a factor."""
BOUND_SIGMAS, STEP_SIGMAS = 5.0, 4.0
"""Where only mean and standard deviation of the training data are known: how many standard deviations an
action may lie from the mean, and how many it may change in a step. A gripper that switches between two values
changes by 2 to 4."""
RANGE_SECONDS = 1.0
"""Where no step is known, moving through the whole range takes this many seconds."""


@dataclass(frozen=True)
class Limits:
    """Limits per dimension of the action. None means unknown, inf means unlimited.

    Attributes:
        lower, upper: bounds, in the action's units; actions are clipped to them.
        step: largest change from one action to the next; actions are clipped to it.
        velocity: units per second; a faster chunk is refused, and `step` is at most velocity / rate.
        jerk: units per second^3; a chunk with more is refused.
    """

    lower: Values | None = None
    upper: Values | None = None
    step: Values | None = None
    velocity: Values | None = None
    jerk: Values | None = None

    def or_else(self, other: Limits) -> Limits:
        """These limits, and the other's for the kinds that are unknown here."""
        pairs = zip(_parts(self), _parts(other), strict=True)
        return Limits(*(others if mine is None else mine for mine, others in pairs))

    def within(self, other: Limits) -> Limits:
        """The narrower of both, kind by kind and dimension by dimension."""
        both = self.or_else(other), other.or_else(self)
        pairs = zip(fields(self), *map(_parts, both), strict=True)
        return Limits(
            **{
                part.name: None if a is None else (np.maximum if part.name == "lower" else np.minimum)(a, b)
                for part, a, b in pairs
            }
        )

    def resampled(self, old: float, new: float) -> Limits:
        """These limits, made for `old` actions per second, for `new` ones: the same motion per second."""
        return replace(self, step=None if self.step is None else self.step * old / new)

    def completed(self, rate: float, names: Sequence[str] = ()) -> Limits:
        """Derive the kinds that are unknown, at `rate` actions per second:

            step = min((upper - lower) / (rate 1 s), velocity / rate),
            velocity = 2 step rate,   jerk = 3 step rate^3.

        A chunk that goes to and fro by the largest step has a jerk of 4 step rate^3; one that starts or stops
        at once has 1 step rate^3.

        Args:
            names: names of the dimensions, for errors; by default their indices.

        Raises:
            UsageError: lower or upper is unknown, lower is above upper, or another limit is negative.
        """
        if self.lower is None or self.upper is None:
            raise UsageError(
                "neither the robot nor the policy's training data give bounds for actions: name a file with "
                "lower and upper by --limits FILE."
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
                    f"limits of {name} contradict each other: lower {least:g} > upper {most:g}, of robot, "
                    "training data and --limits together: give both its lower and its upper in --limits FILE."
                )
        for kind, values in zip(("step", "velocity", "jerk"), changes, strict=True):
            for name, value in zip(names, values, strict=True):
                if not value >= 0:
                    raise UsageError(f"{kind} of {name} must be 0 or more, not {value:g}.")

    def as_dict(self) -> dict[str, list[float | None] | None]:
        """JSON values: None in place of a list is unknown, and in a list unlimited."""
        return {
            part.name: None if (values := getattr(self, part.name)) is None else _finite(values)
            for part in fields(self)
        }

    @classmethod
    def unlimited_between(cls, lower: float, upper: float, dims: int) -> Limits:
        """The same bounds in all dimensions, and no limit on step, velocity and jerk."""
        free = np.full(dims, math.inf)
        return cls(np.full(dims, float(lower)), np.full(dims, float(upper)), free, free, free)

    @classmethod
    def of_data(cls, details: Mapping[str, Any]) -> Limits:
        """Limits from the actions of a policy's training data.

        Args:
            details: `StoredTraining.details` of the policy: `motion` (lower, upper and largest step of the
                actions), to which a margin is added, or else `normalisation` (centre and scale). With
                neither, as for policies that LeRobot trained, nothing is known. A dimension that was constant
                stays constant.
        """
        if "motion" in details:
            motion = details["motion"]
            lower, upper, step = (np.array(motion[key], float) for key in ("lower", "upper", "step"))
            margin = MARGIN * (upper - lower)
            return cls(lower - margin, upper + margin, STEP_MARGIN * step)
        if "normalisation" in details:
            action = details["normalisation"]["action"]
            centre, scale = np.array(action["centre"], float), np.array(action["scale"], float)
            return cls(centre - BOUND_SIGMAS * scale, centre + BOUND_SIGMAS * scale, STEP_SIGMAS * scale)
        return cls()


@dataclass(frozen=True)
class Patience:
    """How long the gate waits before it intervenes, in milliseconds.

    Attributes:
        hold_after: ms without a new action until the robot is told to hold.
        stop_after: ms without a new action until the run is stopped.
        stale_after: ms without a changed bit of a camera's image (of the state, where there is no camera)
            until its observation is refused.
    """

    hold_after: float = 100.0
    stop_after: float = 2000.0
    stale_after: float = 500.0

    def as_dict(self) -> dict[str, float | None]:
        """JSON values, in which None is for ever."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def _parts(limits: Limits) -> list[Values | None]:
    return [getattr(limits, part.name) for part in fields(limits)]


def _finite(values: Values) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
