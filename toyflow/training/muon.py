"""Muon for convolution kernels: momentum whose update has all singular values near one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal before each step: W -= lr U V^T, where U S V^T is the singular value
    decomposition of the momentum, a kernel [out, in, height, width] flattened to [out, in * height * width].

    Every direction of a kernel then learns at the same speed, also those with small gradients, which
    saves iterations. torch.optim.Muon takes matrices alone, and is slow on CPUs without bfloat16 units.

    Args:
        kernels: parameters of 2 or more axes.
        lr: length of a step in each singular direction.
        momentum: from 0 to 1.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon.

    Example:
        >>> import torch
        >>> from toyflow.training.muon import Muon
        >>> kernel = torch.nn.Parameter(torch.zeros(2, 2))
        >>> kernel.grad = torch.diag(torch.tensor([1.0, 0.2]))
        >>> Muon([kernel], lr=0.1, momentum=0.9).step()
        >>> moved = -kernel.detach().diagonal()  # about lr in both directions
        >>> bool((moved > 0.06).all() and (moved < 0.13).all())
        True
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every kernel that has a gradient by `lr` in each singular direction."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if "mean" not in state:
                    state["mean"] = torch.zeros_like(kernel)
                mean = state["mean"]
                mean.lerp_(kernel.grad, 1 - group["momentum"])
                ahead = kernel.grad.lerp(mean, group["momentum"])
                kernel.sub_(orthogonal(ahead.flatten(1)).view_as(kernel), alpha=group["lr"])


def orthogonal(matrix: Float[Tensor, "rows columns"], iterations: int = 5) -> Float[Tensor, "rows columns"]:
    """About U V^T of the singular value decomposition, by Newton-Schulz iteration: singular values come to
    lie between about 0.7 and 1.2.

    Example:
        >>> import torch
        >>> from toyflow.training.muon import orthogonal
        >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([5.0, 1.0, 0.5]))))
        >>> bool((values > 0.6).all() and (values < 1.3).all())
        True
    """
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        factor = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, factor, x, beta=3.4445)  # 3.4445 x + (-4.7750 s + 2.0315 s^2) x with s = x x^T
    return x
