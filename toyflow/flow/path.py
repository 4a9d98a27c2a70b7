"""The straight path between noise and data, and the one place that converts other conventions of time."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def broadcast_time(
    t: Float[Tensor, "batch *tokens"], x: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch ..."]:
    """`t` with trailing axes of size 1, so that it broadcasts to `x`. It has a time for each sample, or for
    each of a sample's tokens.

    Example:
        >>> import torch
        >>> from toyflow.flow import broadcast_time
        >>> [list(broadcast_time(torch.zeros(t), torch.zeros(5, 4, 3)).shape) for t in ((5,), (5, 4))]
        [[5, 1, 1], [5, 4, 1]]
    """
    return t.reshape(*(t.shape or (1,)), *(1,) * (x.ndim - max(t.ndim, 1)))


def interpolate(
    x0: Float[Tensor, "batch ..."], x1: Float[Tensor, "batch ..."], t: Float[Tensor, "batch *tokens"]
) -> Float[Tensor, "batch ..."]:
    """Point on the path, x_t = t x1 + (1 - t) x0: noise x0 at t = 0, data x1 at t = 1.

    Source: the rectified flow of Liu et al. 2209.03003, the conditional optimal-transport path with
    sigma_min = 0 of Lipman et al. 2210.02747.

    Example:
        >>> import torch
        >>> from toyflow.flow import interpolate
        >>> interpolate(torch.zeros(2, 1), torch.full((2, 1), 8.0), torch.tensor([0.25, 1.0])).tolist()
        [[2.0], [8.0]]
    """
    t = broadcast_time(t, x1)
    return t * x1 + (1 - t) * x0


def path_velocity(
    x0: Float[Tensor, "batch ..."], x1: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch ..."]:
    """Velocity of the path, dx_t / dt = x1 - x0, the same at every t.

    Example:
        >>> import torch
        >>> from toyflow.flow import path_velocity
        >>> path_velocity(torch.tensor([[1.0]]), torch.tensor([[4.0]]))
        tensor([[3.]])
    """
    return x1 - x0


def noise_level(t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """s = 1 - t, the time of openpi, pi0, SmolVLA, SD3 (1 = noise). Its own inverse.

    Example:
        >>> import torch
        >>> from toyflow.flow import noise_level
        >>> noise_level(torch.tensor([0.0, 0.75]))
        tensor([1.0000, 0.2500])
    """
    return 1 - t
