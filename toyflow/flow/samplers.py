"""From noise to a sample: fixed-grid integrators of dx/dt = v(x, t) from t = 0 to t = 1.

A sampler is a step function and what it costs. The grid is built apart (`uniform_grid`), so any
sampler runs on any grid. To add one, write its step and declare it under `toyflow.samplers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins

Velocity = Callable[[Tensor, Tensor], Tensor]
"""v(x, t): x of shape [batch, ...] and t of shape [batch] to dx/dt of x's shape."""

Step = Callable[[Velocity, Tensor, Tensor, Tensor], Tensor]
"""(v, x, t, h) to x at t + h; t and h are tensors without axes."""


@dataclass(frozen=True)
class Sampler:
    """An integrator. `order` is its global order of convergence, `calls_per_step` its price."""

    name: str
    step: Step
    order: int
    calls_per_step: int
    source: str

    def __call__(
        self, velocity: Velocity, x: Float[Tensor, "batch ..."], grid: Float[Tensor, "points"]
    ) -> Float[Tensor, "batch ..."]:
        """Carry `x` from time `grid[0]` to `grid[-1]` with `calls_per_step` model calls per interval."""

        def at(x: Tensor, t: Tensor) -> Tensor:
            return velocity(x, t.expand(x.shape[0]))

        for t, h in zip(grid[:-1], grid.diff(), strict=True):
            x = self.step(at, x, t, h)
        return x


def uniform_grid(steps: int, device: torch.device | str | None = None) -> Float[Tensor, "points"]:
    """The times 0, 1/K, ..., 1 of K equal steps; integer division by K, so nothing accumulates."""
    return torch.arange(steps + 1, device=device) / steps


def _euler(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    return x + h * velocity(x, t)


def _midpoint(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    return x + h * velocity(x + h / 2 * velocity(x, t), t + h / 2)


def _heun(velocity: Velocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    first = velocity(x, t)
    return x + h / 2 * (first + velocity(x + h * first, t + h))


euler = Sampler(
    "euler", _euler, order=1, calls_per_step=1, source="Euler's method; pi0, GR00T and the study use it"
)
midpoint = Sampler(
    "midpoint", _midpoint, order=2, calls_per_step=2, source="explicit midpoint rule (Runge, 1895)"
)
heun = Sampler(
    "heun", _heun, order=2, calls_per_step=2, source="explicit trapezoid (Heun, 1900); EDM uses it"
)


def parse_sampler(name: str) -> Sampler:
    """The sampler called `name`. Raises UsageError with what exists."""
    return plugins.load("samplers", name)
