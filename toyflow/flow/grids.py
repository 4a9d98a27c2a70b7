"""Grids: the times at which a sampler asks for a velocity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow.samplers import uniform_grid
from toyflow.flow.schedules import Schedule, Uniform, parse_schedule
from toyflow.flow.schedules.base import plain

EDGE = 1e-6
"""How far the ends of a schedule's grid may be from 0 and 1."""


@dataclass(frozen=True)
class TimeGrid:
    """Times from 0, noise, to 1, data: of a schedule, or named one by one.

    Args:
        schedule: its quantiles at 0, 1/K, ..., 1 are the times of K steps; `Uniform` for equal steps.
        times: in place of a schedule's; they fix K.

    Raises:
        ValueError: times that do not rise from 0 to 1.

    Example:
        >>> from toyflow import TimeGrid, Shift
        >>> TimeGrid(Shift(3)).points(2)  # the first step is short, as t = 1/4 is near the noise
        tensor([0.0000, 0.2500, 1.0000])
        >>> TimeGrid(times=(0, 0.9, 1)).points(2)
        tensor([0.0000, 0.9000, 1.0000])
    """

    schedule: Schedule = Uniform()  # noqa: RUF009, which is frozen
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.times:
            object.__setattr__(self, "times", tuple(t + 0.0 for t in self.times))  # -0.0 is 0
            rises = all(a < b for a, b in pairwise(self.times))
            if not (rises and self.times[0] == 0 and self.times[-1] == 1):
                raise ValueError("times must rise from 0 to 1")

    @property
    def name(self) -> str:
        """`uniform`, `shift:3` or `0:0.9:1`; `parse_grid` takes it back."""
        return ":".join(map(plain, self.times)) if self.times else self.schedule.name

    def name_at(self, steps: int) -> str | None:
        """The name for K steps; None where the times are those of equal steps, as always for K = 1.

        Raises:
            UsageError: as `points`.

        Example:
            >>> from toyflow import parse_grid
            >>> parse_grid("shift:3").name_at(1), parse_grid("shift:3").name_at(2)
            (None, 'shift:3')
        """
        return None if torch.equal(self.points(steps), uniform_grid(steps)) else self.name

    @property
    def steps(self) -> int | None:
        """K, where the times are named one by one."""
        return len(self.times) - 1 if self.times else None

    def points(self, steps: int, device: torch.device | str | None = None) -> Float[Tensor, "points"]:
        """The K + 1 times of K steps.

        Raises:
            UsageError: named times make another number of steps, K is no whole number of 1 or more, or two
                of a schedule's times are equal.
        """
        if self.steps not in (None, steps):
            raise UsageError(f"grid {self.name} makes {self.steps} steps, not {steps}.")
        uniform = uniform_grid(steps, device)
        if self.times:
            points = torch.tensor(self.times, device=device)
        elif self.schedule == Uniform():
            return uniform
        else:
            points = self.schedule.icdf(uniform.double()).float()
            points[0], points[-1] = 0.0, 1.0
        if not bool((points.diff() > 0).all()):
            raise UsageError(f"grid {self.name} names a time twice in {steps} steps; take fewer steps.")
        return points


def parse_grid(name: str) -> TimeGrid:
    """The grid that `name` stands for: a schedule's name, or times joined by colons.

    Raises:
        UsageError: there is none, or it does not run from 0 to 1.

    Example:
        >>> from toyflow import parse_grid
        >>> parse_grid("0:0.25:0.5:1").steps, parse_grid("shift:3").steps
        (3, None)
    """
    words = name.strip().split(":")
    try:
        times = tuple(float(word) for word in words)
    except ValueError:
        times = ()
    try:
        if times:
            return TimeGrid(times=times)
        schedule = parse_schedule(name)
    except ValueError as error:
        raise UsageError(f"grid {name!r}: {error}, as in 0:0.5:1.") from error
    ends = schedule.icdf(torch.tensor([0.0, 1.0], dtype=torch.float64))
    if not (abs(float(ends[0])) <= EDGE and abs(float(ends[1]) - 1) <= EDGE):
        raise UsageError(
            f"grid {name!r} runs from {float(ends[0]):g} to {float(ends[1]):g}; a grid runs from 0 to 1, as "
            "uniform, shift:3 and 0:0.5:1 do."
        )
    return TimeGrid(schedule)
