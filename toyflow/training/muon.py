"""Muon for convolution kernels: momentum whose update has all singular values near one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal before each step.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon.
    Every direction of a kernel then learns at the same speed, also those with small gradients, which
    saves iterations. torch.optim.Muon takes matrices alone, and is slow on CPUs without bfloat16 units.
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every kernel by `lr` in each singular direction."""
        for group in self.param_groups:
            for kernel in group["params"]:
                mean = self.state[kernel].setdefault("mean", torch.zeros_like(kernel))
                mean.lerp_(kernel.grad, 1 - group["momentum"])
                ahead = kernel.grad.lerp(mean, group["momentum"])
                kernel.sub_(orthogonal(ahead.flatten(1)).view_as(kernel), alpha=group["lr"])


def orthogonal(matrix: Float[Tensor, "rows columns"], iterations: int = 5) -> Float[Tensor, "rows columns"]:
    """About U V^T of the singular value decomposition, by Newton-Schulz iteration."""
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x
