"""Linear maps that several draws of one policy share: on a processor, by oneDNN where that is faster.

PyTorch multiplies float32 matrices by MKL, which on an AMD processor is half as fast as oneDNN for the 80
rows of eight draws (105 against 190 GFLOP/s for 192 x 768, one thread), and no slower for few rows. The two
differ in rounding, so one draw is left to MKL: its answers stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

ROWS = 40
"""Fewest rows for which oneDNN is taken."""

# The operator that code of torch.compile calls, and the one way to oneDNN for tensors of the usual layout.
_onednn = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
)
_by_onednn = False  # a plain variable, which torch.compile can follow


@contextmanager
def many_rows(rows: int) -> Iterator[None]:
    """Let `Linear` use oneDNN inside, if there are enough rows and this build of PyTorch has it."""
    global _by_onednn
    before, _by_onednn = _by_onednn, rows >= ROWS and _onednn is not None
    try:
        yield
    finally:
        _by_onednn = before


class Linear(nn.Linear):
    """`torch.nn.Linear`, which inside of `many_rows` multiplies by oneDNN: on a processor, in float32,
    without gradients.

    Example:
        >>> import torch
        >>> from toyflow.networks.linear import Linear, many_rows
        >>> linear, x = Linear(8, 3), torch.randn(64, 8)
        >>> with torch.no_grad(), many_rows(64):
        ...     fast = linear(x)
        >>> torch.allclose(fast, linear(x), atol=1e-6)
        True
    """

    def forward(self, input: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """`input` W^T + b."""
        if (
            _onednn is None
            or not _by_onednn
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or (input.device.type, input.dtype) != ("cpu", torch.float32)
        ):
            return super().forward(input)
        return _onednn(input, self.weight, self.bias, "none", [], "")
