"""Codes of the digits: how a target writes them, by name.

    one-hot   ten numbers: 3 at the digit's own place and -1/3 elsewhere
    scalar    one number: the digit itself, shifted and scaled

Both have mean 0 and variance 1 over the digits, as the noise has, so that a network starts where its answer
is neither trivial nor offset. (With the plain +-1 code, whose mean is -0.8, objectives without noise in their
input spent hundreds of iterations on that offset alone.)

The one-hot codes are equally far from each other, 4.7 apart, so no confusion is cheaper than another; and the
conditional mean of a code is an affine function of the digit's probabilities, so the code nearest to an ideal
one-step answer is the likeliest digit. Scalars lie 0.35 apart: noise that a one-hot code swallows changes the
digit that is read, as it moves a robot's joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

CLASSES = 10


@dataclass(frozen=True)
class DigitCode:
    """A code of the digits.

    >>> ONE_HOT.read(ONE_HOT.write(torch.tensor([3, 8])))
    tensor([3, 8])
    >>> SCALAR.write(torch.tensor([0, 9]))
    tensor([[-1.5667],
            [ 1.5667]])
    """

    codes: Float[Tensor, "digit length"]

    @property
    def length(self) -> int:
        """Numbers that write a digit."""
        return self.codes.shape[1]

    def write(self, digits: Int64[Tensor, "..."]) -> Float[Tensor, "... length"]:
        """The code of each digit."""
        return self.codes[digits]

    def read(self, vectors: Float[Tensor, "... length"]) -> Int64[Tensor, "..."]:
        """The digit whose code is nearest to each vector."""
        if self.length == CLASSES:  # one-hot: codes of one length, so the nearest is the largest element's
            return vectors.argmax(-1)
        return (vectors[..., None, :] - self.codes.to(vectors)).square().sum(-1).argmin(-1)


ONE_HOT = DigitCode((torch.eye(CLASSES) - 0.1) / 0.3)
SCALAR = DigitCode(((torch.arange(CLASSES) - 4.5) / 8.25**0.5)[:, None])
DIGIT_CODES = {"one-hot": ONE_HOT, "scalar": SCALAR}
