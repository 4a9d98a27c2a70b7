"""The continuous code of a digit.

It is the one-hot vector of length 10, shifted and scaled to mean 0 and variance 1 over the digits: 3 at its
own place and -1/3 elsewhere. The ten codes are equally far from each other, so no confusion is cheaper than
another; the conditional mean of a code is an affine function of the digit's probabilities, so the code
nearest to an ideal one-step answer is the likeliest digit; and target and noise have equal mean and
variance, so that a network starts where its answer is neither trivial nor offset. (With the plain +-1
code, whose mean is -0.8, objectives without noise in their input spent hundreds of iterations on that
offset alone.)
"""

from __future__ import annotations

import torch

CLASSES = 10
CODES = (torch.eye(CLASSES) - 0.1) / 0.3
"""Codes of the digits, [digit, element]. All have one length, so the nearest to a vector is its largest
element's."""
