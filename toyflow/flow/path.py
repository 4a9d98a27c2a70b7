"""The straight path between noise and data, and the one place where foreign time is converted."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def broadcast_time(t: Float[Tensor, "batch"], x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """`t` with as many trailing axes of size 1 as `x` has."""
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def interpolate(
    x0: Float[Tensor, "batch ..."], x1: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"]
) -> Float[Tensor, "batch ..."]:
    """Point on the path, x_t = t x1 + (1 - t) x0: noise x0 at t = 0, data x1 at t = 1."""
    t = broadcast_time(t, x1)
    return t * x1 + (1 - t) * x0


def path_velocity(
    x0: Float[Tensor, "batch ..."], x1: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch ..."]:
    """Velocity of the path, dx_t / dt = x1 - x0, the same at every t."""
    return x1 - x0


def noise_level(t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """s = 1 - t, the time of openpi, pi0, SmolVLA, SD3 (1 = noise). Its own inverse."""
    return 1 - t
