"""Samplers: fixed-grid integrators of dx/dt = v(x, t) from t = 0, noise, to t = 1, a sample.

A sampler is a step function and what it costs. The grid is built apart (`uniform_grid`), so any
sampler runs on any grid. To add one, write its step and declare the `Sampler` under the entry point group
`toyflow.samplers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError

Velocity = Callable[[Tensor, Tensor], Tensor]
"""A velocity field v(x, t): maps x of shape [batch, ...] and t of shape [batch] to dx/dt of x's shape."""

Step = Callable[[Velocity, Tensor, Tensor, Tensor], Tensor]
"""Maps (v, x, t, h) to x at t + h; t and h are tensors without axes."""


@dataclass(frozen=True)
class Sampler:
    """An integrator of dx/dt = v(x, t) on a grid of times.

    Args:
        name: under which it is declared.
        step: (v, x, t, h) to x at t + h.
        order: global order of convergence: the error is O(h^order).
        calls_per_step: calls of v in each step.
        source: who published it.

    Example: dx/dt = x from 1 has x(1) = e = 2.718.
        >>> import torch
        >>> from toyflow import Sampler, euler, uniform_grid
        >>> def ralston_step(velocity, x, t, h):
        ...     first = velocity(x, t)
        ...     return x + h / 4 * (first + 3 * velocity(x + 2 / 3 * h * first, t + 2 / 3 * h))
        >>> ralston = Sampler("ralston", ralston_step, order=2, calls_per_step=2, source="Ralston 1962")
        >>> for sampler in (euler, ralston):
        ...     print(sampler(lambda x, t: x, torch.ones(1, 1), uniform_grid(10)))
        tensor([[2.5937]])
        tensor([[2.7141]])
    """

    name: str
    step: Step
    order: int
    calls_per_step: int
    source: str

    @cached_property
    def asks_end(self) -> bool:
        """Whether a step from t calls v at t + h, as one step along a field that takes notes shows."""
        asked: list[float] = []

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            asked.append(float(t))
            return torch.zeros_like(x)

        self.step(velocity, torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
        return max(asked, default=0.0) >= 1

    def __call__(
        self,
        velocity: Velocity,
        x: Float[Tensor, "batch ..."],
        grid: Float[Tensor, "points"],
        open_end: bool = False,
    ) -> Float[Tensor, "batch ..."]:
        """Carry `x` from time `grid[0]` to `grid[-1]`.

        Args:
            velocity: v(x, t), t of shape [batch].
            x: the start, noise where the grid begins at 0.
            grid: increasing times, of which K + 1 make K steps.
            open_end: `velocity` has no value at `grid[-1]`. A sampler that would ask for it there ends with
                an Euler step.
        """

        def at(x: Tensor, t: Tensor) -> Tensor:
            return velocity(x, t.expand(x.shape[0]))

        grid = grid.to(torch.promote_types(grid.dtype, x.dtype))  # a float64 model has float64 times
        starts, lengths = grid[:-1], grid.diff()
        for k, (t, h) in enumerate(zip(starts, lengths, strict=True), 1):
            step = _euler if open_end and self.asks_end and k == len(lengths) else self.step
            x = step(at, x, t, h)
        return x

    def calls(self, steps: int, open_end: bool = False) -> int:
        """Calls of v in K steps; see `__call__`.

        Example:
            >>> from toyflow import heun
            >>> heun.calls(10), heun.calls(10, open_end=True)
            (20, 19)
        """
        euler_end = open_end and self.asks_end
        return steps * self.calls_per_step - (self.calls_per_step - 1 if euler_end else 0)


def uniform_grid(steps: int, device: torch.device | str | None = None) -> Float[Tensor, "points"]:
    """The times 0, 1/K, ..., 1 of K equal steps; integers divided by K, so that no rounding accumulates.

    Raises:
        UsageError: `steps`, K, is not a whole number of 1 or more.

    Example:
        >>> from toyflow import uniform_grid
        >>> uniform_grid(4)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if steps != int(steps) or steps < 1:
        raise UsageError(f"steps must be a whole number of 1 or more, got {steps}.")
    return torch.arange(int(steps) + 1, device=device) / steps


def _euler(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    return x + h * velocity(x, t)


def _midpoint(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    return x + h * velocity(x + h / 2 * velocity(x, t), t + h / 2)


def _heun(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    first = velocity(x, t)
    return x + h / 2 * (first + velocity(x + h * first, t + h))


euler = Sampler(
    "euler", _euler, order=1, calls_per_step=1, source="Euler's method; pi0, GR00T and the paper use it"
)
midpoint = Sampler(
    "midpoint", _midpoint, order=2, calls_per_step=2, source="explicit midpoint rule (Runge, 1895)"
)
heun = Sampler(
    "heun",
    _heun,
    order=2,
    calls_per_step=2,
    source="explicit trapezoid (Heun, 1900); EDM uses it",
)


def parse_sampler(name: str) -> Sampler:
    """The sampler called `name`. Raises UsageError with what exists.

    Example:
        >>> from toyflow import parse_sampler
        >>> parse_sampler("heun").calls_per_step
        2
    """
    return plugins.load("samplers", name)
