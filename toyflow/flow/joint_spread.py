"""Is the spread of samples joint? Whether what differs between two samples hangs together over the target.

Where one hidden variable moves several tokens of a target at once, the mean of the targets, which an ideal
one-step answer is, is no possible target. Where each token varies on its own, the mean of each may still be
read as its likeliest value.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError


class SquaredCovariance(NamedTuple):
    """Squared covariances of samples under each condition, summed; unbiased, so that small ones may be
    below 0."""

    all: Float[Tensor, "conditions"]
    """Over all pairs of elements: the squared Frobenius norm of the covariance matrix."""
    between: Float[Tensor, "conditions"]
    """Over pairs of elements of different tokens."""


def squared_covariance(samples: Float[Tensor, "samples conditions tokens ..."]) -> SquaredCovariance:
    """Sums of squared covariances, from independent samples of each condition.

    With A and B the covariance matrices of two disjoint halves of the samples, the expectation of
    sum_ij A_ij B_ij is sum_ij Cov_ij^2. For deviations a and b of the halves it is the mean of (a . b)^2 over
    pairs, so that no matrix is made.

    Args:
        samples: four or more; the first axis of the target is its tokens (of a vector: its elements).

    Raises:
        UsageError: fewer than four samples, or a target without an axis.
    """
    if len(samples) < 4 or samples.ndim < 3:
        raise UsageError(
            f"4 samples or more of a target with an axis are needed, got {tuple(samples.shape)}."
        )
    tokens = samples.double().flatten(3) if samples.ndim > 3 else samples.double()[..., None]
    half = len(tokens) // 2
    first, second = (part - part.mean(0) for part in (tokens[:half], tokens[half : 2 * half]))
    products = torch.einsum("anti,bnti->abnt", first, second)
    whole = products.sum(-1).square()
    factor = 1 / (half - 1) ** 2
    return SquaredCovariance(
        factor * whole.sum((0, 1)), factor * (whole - products.square().sum(-1)).sum((0, 1))
    )


def joint_share(samples: Float[Tensor, "samples conditions tokens ..."]) -> float:
    """Which share of the squared covariance is between tokens, over that where one hidden variable moves all
    tokens alike: near 0 where every token varies on its own, 1 under one hidden variable. NaN where samples
    do not vary, or there is one token.

    Args:
        samples: see `squared_covariance`.

    Example: a fair coin that moves four tokens, and a coin for each.
        >>> import torch
        >>> from toyflow.flow.joint_spread import joint_share
        >>> generator = torch.Generator().manual_seed(0)
        >>> one = torch.randint(2, (8, 500, 1), generator=generator).expand(8, 500, 4)
        >>> each = torch.randint(2, (8, 500, 4), generator=generator)
        >>> round(joint_share(one.float()), 2), abs(round(joint_share(each.float()), 1))
        (1.0, 0.0)
    """
    found, tokens = squared_covariance(samples), samples.shape[2]
    whole = float(found.all.mean())
    if tokens < 2 or not whole > 0:
        return float("nan")
    return float(found.between.mean()) / whole / (1 - 1 / tokens)
