"""Whether a policy was trained by the conventions of the simulator that it is to act in.

Counts of numbers may agree where their meaning does not: roll, pitch and yaw where a simulator's state is an
axis times an angle, a gripper of 0..1 where its action is -1..1, degrees where it has radians. Names and
ranges tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toyflow.robot.interface import Observation
from toyflow.robot.simulation.environment import Environment

FAR = 6.0
"""Standard deviations from the training's mean at which a first observation contradicts the training."""
BEYOND = 1.5
"""How far beyond the simulator's bounds, -1 and 1 scaled by this about their middle, training actions reach
where they are of other units, and not only clipped."""
ONE_SIDED = 0.05
"""What is above minus this share of its largest value has one sign."""
_EULER = re.compile(r"(^|[_. ])(roll|pitch|yaw|rpy|euler)", re.IGNORECASE)
_AXIS_ANGLE = re.compile(r"axis.?ang|ang.?axis|rotvec|^r[xyz]$", re.IGNORECASE)


@dataclass(frozen=True)
class Ranges:
    """What is known of a state or action in a policy's training data, number by number.

    Attributes:
        names: empty where they are not known, as are all others.
        mean, std: how its numbers are spread.
        low, high: the least and the largest values.
    """

    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def action_doubts(environment: type[Environment], trained: Ranges) -> list[str]:
    """Where the training's actions contradict the simulator's `action_names`, by the same names in another
    order, or its `action_bounds`: one line each.

    >>> from toyflow.robot.interface import Interface
    >>> class Arm(Environment):
    ...     name, action_names, two_sided = "arm", ("x", "gripper"), ("gripper",)
    ...     interface = Interface(cameras=(), state_dim=2, action_dim=2, fps=10)
    >>> action_doubts(Arm, Ranges(low=(-1, 0), high=(1, 1)))
    ["action gripper: 0 to 1 in the policy's training data; arm takes -1 to 1, both signs."]
    """
    doubts: list[str] = []
    if len(trained.low) != environment.interface.action_dim:  # unknown
        return doubts
    own = environment.action_names
    if trained.names != own and sorted(trained.names) == sorted(own):
        doubts.append(
            f"action: in the order {', '.join(trained.names)} in the policy's training data; "
            f"{environment.name} takes {', '.join(own)}."
        )
    least, most = (np.broadcast_to(bound, len(trained.low)) for bound in environment.action_bounds)
    for place, (low, high) in enumerate(zip(trained.low, trained.high, strict=True)):
        name = _named(environment.action_names, place)
        told = f"action {name}: {low:.3g} to {high:.3g} in the policy's training data; {environment.name}"
        middle, half = (least[place] + most[place]) / 2, (most[place] - least[place]) / 2
        if max(middle - low, high - middle) > BEYOND * half:
            doubts.append(f"{told} takes {least[place]:.3g} to {most[place]:.3g} and clips what is beyond.")
        elif name in environment.two_sided and low > -ONE_SIDED * high > -math.inf and high > 0.5:
            doubts.append(f"{told} takes -1 to 1, both signs.")
    return doubts


def state_doubts(environment: type[Environment], trained: Ranges, first: Observation | None) -> list[str]:
    """Where the training's states contradict the simulator's: one line each.

    Args:
        first: an observation at the start of an episode; None if there is none yet.
    """
    doubts = _names(environment.name, environment.state_names, trained.names)
    for place, (low, high) in enumerate(zip(trained.low, trained.high, strict=True)):
        name = _named(environment.state_names, place)
        wraps = low < -3 and high > 3 and max(-low, high) < math.pi + 1e-3
        if wraps and _AXIS_ANGLE.search(name) and not doubts:
            doubts.append(
                f"state {name}: {low:.3g} to {high:.3g} in the policy's training data, as roll, pitch and "
                f"yaw, which jump at pi; {environment.name} gives an axis times an angle, which does not."
            )
    if first is None or not trained.mean or len(trained.mean) != len(first.state):
        return doubts
    mean, std = np.array(trained.mean), np.array(trained.std)
    away = np.abs(first.state - mean) > FAR * std
    for place in np.flatnonzero(away & (std > 0)):
        doubts.append(
            f"state {_named(environment.state_names, int(place))}: {mean[place]:.3g} +- {std[place]:.2g} in "
            f"the policy's training data; {environment.name} began with {first.state[place]:.3g}."
        )
    return doubts


def _names(where: str, simulators: Sequence[str], policys: Sequence[str]) -> list[str]:
    """A line where one side's names speak of roll, pitch and yaw and the other's of axis times angle."""
    for theirs, ours, said in (
        (_EULER, _AXIS_ANGLE, ("roll, pitch and yaw", "an axis times an angle")),
        (_AXIS_ANGLE, _EULER, ("an axis times an angle", "roll, pitch and yaw")),
    ):
        found = [name for name in policys if theirs.search(name)]
        has = [name for name in simulators if ours.search(name)]
        if found and has:
            return [
                f"state: {', '.join(found)} in the policy's training data, {said[0]}; {where} has "
                f"{', '.join(has)}, {said[1]}."
            ]
    return []


def _named(names: Sequence[str], place: int) -> str:
    return names[place] if place < len(names) else str(place)
