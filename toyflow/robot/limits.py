"""Limits of a robot's actions, by dimension: bounds, largest step, velocity, acceleration and jerk."""

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
NAMES_SHOWN = 4
"""Most dimensions that an error lists."""
MOTION = ("lower", "upper", "step")
"""What is known of the training data's actions, see `DataSet.motion`."""
RANGE_SECONDS = 1.0
"""Where no step is known, moving through the whole range takes this many seconds."""


@dataclass(frozen=True)
class Limits:
    """Limits per dimension of the action. None means unknown, nan unknown in that dimension, inf unlimited.

    Attributes:
        lower, upper: bounds, in the action's units; actions are clipped to them.
        step: largest change from one action to the next; actions are clipped to it.
        velocity: units per second; a faster chunk is refused, and `step` is at most velocity / rate.
        jerk: units per second^3; a chunk with more is refused.
        acceleration: units per second^2, for what is sent; unlimited where unknown.

    >>> motors = Limits(lower=np.array([-100.0, np.nan]), upper=np.array([100.0, np.nan]))
    >>> data = Limits(lower=np.array([-30.0, -0.2]), upper=np.array([130.0, 0.2]))
    >>> motors.within(data).upper
    array([100. ,   0.2])
    """

    lower: Values | None = None
    upper: Values | None = None
    step: Values | None = None
    velocity: Values | None = None
    jerk: Values | None = None
    acceleration: Values | None = None

    def or_else(self, other: Limits) -> Limits:
        """These limits, and the other's where they are unknown here."""
        pairs = zip(_parts(self), _parts(other), strict=True)
        return Limits(*(_first_known(mine, others) for mine, others in pairs))

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
            raise _unbounded(names)
        names = names or [str(place) for place in range(len(self.lower))]
        unknown = np.isnan(self.lower) | np.isnan(self.upper)
        if unknown.any():
            raise _unbounded([name for name, is_unknown in zip(names, unknown, strict=True) if is_unknown])
        _check_order(names, np.asarray(self.lower, float), np.asarray(self.upper, float))
        step = _first_known(self.step, (self.upper - self.lower) / (rate * RANGE_SECONDS))
        assert step is not None
        if self.velocity is not None:
            step = np.fmin(step, self.velocity / rate)
        derived = Limits(step=step, velocity=2 * step * rate, jerk=3 * step * rate**3)
        limits = replace(self, step=step).or_else(derived)
        limits._check(names)
        return limits

    def _check(self, names: Sequence[str]) -> None:
        for kind in ("step", "velocity", "jerk", "acceleration"):
            values = getattr(self, kind)
            for name, value in zip(names, () if values is None else np.asarray(values, float), strict=False):
                if not value >= 0:
                    raise UsageError(f"{kind} of {name} must be 0 or more, not {value:g}.")

    def as_dict(self) -> dict[str, list[float | None] | None]:
        """JSON values: None in place of a list is unknown, and in a list unlimited. Acceleration is left out
        where it is unknown."""
        return {
            part.name: None if (values := getattr(self, part.name)) is None else _finite(values)
            for part in fields(self)
            if part.name != "acceleration" or self.acceleration is not None
        }

    @classmethod
    def unlimited_between(cls, lower: Values, upper: Values) -> Limits:
        """These bounds, and no limit on step, velocity and jerk."""
        free = np.full(len(lower), math.inf)
        return cls(lower, upper, free, free, free)

    @classmethod
    def of_data(cls, details: Mapping[str, Any]) -> Limits:
        """Limits from the actions of training data.

        Args:
            details: `StoredTraining.details` of a policy, of which this reads the first there is of `motion`
                (lower, upper and largest step of the actions), to which a margin is added; `statistics` (min
                and max of the actions), likewise, where no step is known; `normalisation` (centre and scale),
                unless it is of relative actions. With none of them nothing is known. A dimension that was
                constant stays constant.
        """
        known = data_range(details)
        if known is not None:
            lower, upper = known
            margin = MARGIN * (upper - lower)
            step = STEP_MARGIN * np.array(details["motion"]["step"], float) if "motion" in details else None
            return cls(lower - margin, upper + margin, step)
        if is_guess(details):
            action = details["normalisation"]["action"]
            centre, scale = np.array(action["centre"], float), np.array(action["scale"], float)
            return cls(centre - BOUND_SIGMAS * scale, centre + BOUND_SIGMAS * scale, STEP_SIGMAS * scale)
        return cls()


def data_range(details: Mapping[str, Any]) -> tuple[Values, Values] | None:
    """The least and the largest action of training data, by dimension, as `Limits.of_data` reads them; None
    where they are not known."""
    if "motion" in details:
        ends = (details["motion"][key] for key in ("lower", "upper"))
    elif "statistics" in details:
        ends = (details["statistics"][key] for key in ("min", "max"))
    else:
        return None
    lower, upper = (np.array(end, float) for end in ends)
    return lower, upper


def is_guess(details: Mapping[str, Any]) -> bool:
    """Whether all that is known of the range of training data's actions is how they were normalised; that of
    relative actions does not tell it."""
    if {"motion", "statistics"} & details.keys():
        return False
    return "normalisation" in details and not details.get("policy", {}).get("relative")


def checked_motion(motion: Mapping[str, Any], dims: int, prefix: str) -> dict[str, list[float]]:
    """A motion, see `MOTION`, that came from elsewhere: finite numbers, lower <= upper and step >= 0.

    Args:
        prefix: what stands before the parts' names in messages.

    Raises:
        TypeError, KeyError: a part is missing or no list.
        ValueError: the numbers make no sense; in one line.
    """
    lower, upper, step = parts = [list(motion[key]) for key in MOTION]
    if any(len(part) != dims or not all(map(_is_finite, part)) for part in parts):
        raise ValueError(f"{prefix}lower, {prefix}upper and {prefix}step are not {dims} finite numbers each")
    if any(low > high for low, high in zip(lower, upper, strict=True)) or min(step, default=0) < 0:
        raise ValueError(f"a {prefix}lower is above its {prefix}upper, or a {prefix}step below 0")
    return {key: list(map(float, part)) for key, part in zip(MOTION, parts, strict=True)}


def data_rule(details: Mapping[str, Any]) -> str | None:
    """How `Limits.of_data` makes limits of these details, in words; None where they say nothing."""
    if "motion" in details:
        return f"the actions' range and {MARGIN:.0%} of it, {STEP_MARGIN:g} x their largest step"
    if "statistics" in details:
        return f"the actions' range and {MARGIN:.0%} of it, to move through which takes {RANGE_SECONDS:g} s"
    if is_guess(details):
        return f"a guess: the actions' mean +- {BOUND_SIGMAS:g} standard deviations, {STEP_SIGMAS:g} a step"
    return None


@dataclass(frozen=True)
class Patience:
    """How long the gate waits before it intervenes, in milliseconds.

    Attributes:
        hold_after: ms without a new action until the robot is told to hold.
        stop_after: ms without a new action until the run is stopped.
        stale_after: ms without a changed bit of a camera's image until its observation is refused; where
            there is no camera, of the state of a robot that was told to move.
    """

    hold_after: float = 100.0
    stop_after: float = 2000.0
    stale_after: float = 500.0

    def as_dict(self) -> dict[str, float | None]:
        """JSON values, in which None is for ever."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def _first_known(one: Values | None, other: Values | None) -> Values | None:
    """`one`, and `other` where it is unknown."""
    if one is None or other is None:
        return other if one is None else one
    return np.where(np.isnan(one), other, one)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_order(names: Sequence[str], lower: Values, upper: Values) -> None:
    for name, least, most in zip(names, lower, upper, strict=True):
        if not least <= most:
            raise UsageError(
                f"limits of {name} contradict each other: lower {least:g} > upper {most:g}, of robot, "
                "training data and --limits together: give both its lower and its upper in --limits FILE."
            )


def _unbounded(names: Sequence[str]) -> UsageError:
    """The error where the bounds of the dimensions `names` (of all, if empty) are unknown."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    which = ", ".join(names[:NAMES_SHOWN]) + more if names else "its action"
    return UsageError(
        f"neither the robot nor the policy says between which values {which} may move, or in which units: "
        "name demonstrations on this robot by --limits-from DATASET, or give lower and upper by --limits "
        "FILE, which `toyflow robot-limits DATASET` writes."
    )


def _parts(limits: Limits) -> list[Values | None]:
    return [getattr(limits, part.name) for part in fields(limits)]


def _finite(values: Values) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
