"""Samples of which some tokens are known: guidance of a flow towards them, and conditioning on them.

A robot carries out one action chunk while the next is computed. Of the next, the first d actions are then
decided already, and the following ones should agree with what was planned, the less the later they come. Such
a chunk is a sample whose tokens are `Known`, wholly (weight 1) or in part. There are two ways to it:

    guidance       any model, K calls and as many backward passes: `guided_velocity`
    conditioning   a model trained with `FlowMatching(..., delay_max=D)`, K calls: `conditioned_velocity`

Guidance is that of PiGDM (Song et al. 2023, Pseudoinverse-Guided Diffusion Models) on the straight path. With
the model's estimate of the data, x1(x, t) = x + (1 - t) v(x, t), its Jacobian J by x, the known values y and
their weights W,

    v'(x, t) = v + g(t) J^T W (y - x1)
    g(t) = min(beta, (1 - t) / (t r^2)),    r^2 = (1 - t)^2 / (t^2 + (1 - t)^2)

as r^2 would be the variance of x1 given x_t for data of variance 1. J^T hands an error in the known tokens
on to those that are free.

**One step.** At t = 0, x is noise that says nothing of the data: an ideal model's x1 is E[x1 | c] whatever
x is, so J = 0, and no gain beta helps. (The exact g J^T has a limit there, the covariance of the data, which
g alone, clipped, cannot reach.) A model that is not ideal has a J of leaked noise, in which there is no
knowledge of the data either. One step is also the last one, and of the last step the limit is known: as
t -> 1, J -> I and (1 - t) g -> 1 before it is clipped, so the step ends in x1 + W (y - x1). That is what
one step does here, without a backward pass: `pulled_to`, a weighted mean of the sample and what is known.
It keeps the known tokens and fades out of them; it does not correct the free ones, as conditioning does.

Source: Black, Galliker and Levine, Real-Time Execution of Action Chunking Flow Policies, arXiv 2506.07339;
Training-Time Action Conditioning for Efficient Real-Time Chunking, arXiv 2512.05964. Their time is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toyflow.flow.path import broadcast_time
from toyflow.flow.predictions import Prediction
from toyflow.flow.samplers import Velocity

BETA = 5.0
"""The largest gain of guidance, as in arXiv 2506.07339."""

Answer = Callable[[Tensor, Tensor], Tensor]
"""A model under a fixed condition: (x, t) to what its prediction says."""


class Known(NamedTuple):
    """What is known of a batch of samples before they are drawn.

    Example: of 5 actions 1 is decided, and 2 more were planned.
        >>> import torch
        >>> from toyflow.flow.guidance import Known, soft_mask
        >>> known = Known(torch.zeros(2, 5, 7), soft_mask(1, 3, 5).expand(2, 5))
        >>> known.frozen[0].tolist()
        [True, False, False, False, False]
    """

    values: Float[Tensor, "batch tokens dim"]
    """y, finite also where its weight is 0."""
    weight: Float[Tensor, "batch tokens"]
    """How far each token is known: 1 is frozen, 0 is free."""

    @property
    def frozen(self) -> Bool[Tensor, "batch tokens"]:
        """The tokens that are certain."""
        return self.weight >= 1

    def first(self, tokens: int) -> Known:
        """What is known of the first `tokens` tokens, as if the others were free.

        Example:
            >>> Known(torch.zeros(1, 3, 1), torch.tensor([[1.0, 1.0, 0.5]])).first(1).weight.tolist()
            [[1.0, 0.0, 0.0]]
        """
        place = torch.arange(self.weight.shape[1], device=self.weight.device)
        return Known(self.values, torch.where(place < tokens, self.weight, 0.0))

    def frozen_in(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """`x` with the frozen tokens in their places."""
        return torch.where(self.frozen[..., None], self.values, x)

    def pulled_to(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """x + W (y - x): guidance in one step, see this module's docstring.

        Example:
            >>> known = Known(torch.ones(1, 3, 1), torch.tensor([[1.0, 0.5, 0.0]]))
            >>> known.pulled_to(torch.zeros(1, 3, 1)).flatten().tolist()
            [1.0, 0.5, 0.0]
        """
        return self.frozen_in(x + self.weight[..., None] * (self.values - x))


def soft_mask(frozen: int, overlap: int, tokens: int) -> Float[Tensor, "tokens"]:
    """Weights of known tokens, which decay exponentially from the frozen ones to the end of the overlap:

        W_i = 1                             i < frozen
              c_i (e^c_i - 1) / (e - 1)     frozen <= i < overlap
              0                             overlap <= i

    with c_i = (overlap - i) / (overlap - frozen + 1).

    Args:
        frozen: d, the first tokens, which are certain; at most `overlap` of them.
        overlap: how many tokens have a known value at all; H - s where a chunk of H actions is followed by
            the next after s of them.
        tokens: H.

    Source: arXiv 2506.07339, equation 5.

    Example:
        >>> from toyflow.flow.guidance import soft_mask
        >>> soft_mask(2, 5, 7)
        tensor([1.0000, 1.0000, 0.4876, 0.1888, 0.0413, 0.0000, 0.0000])
    """
    place = torch.arange(tokens)
    frozen, overlap = min(frozen, overlap), min(overlap, tokens)
    c = (overlap - place) / (overlap - frozen + 1)
    weight = torch.where(place < frozen, 1.0, c * c.expm1() / (math.e - 1))
    return torch.where(place < overlap, weight, 0.0)


def guidance_gain(t: Float[Tensor, "..."], beta: float = BETA) -> Float[Tensor, "..."]:
    """g(t) = min(beta, (t^2 + (1 - t)^2) / (t (1 - t))), which is `beta` at both ends.

    Example:
        >>> import torch
        >>> from toyflow.flow.guidance import guidance_gain
        >>> guidance_gain(torch.tensor([0.0, 0.5, 1.0]))
        tensor([5., 2., 5.])
    """
    noise = 1 - t
    return ((t.square() + noise.square()) / (t * noise).clamp(min=1e-12)).clamp(max=beta)


def guided_velocity(answer: Answer, prediction: Prediction, known: Known, beta: float = BETA) -> Velocity:
    """v'(x, t) = v + g(t) J^T W (y - x1), see this module's docstring. Each call is one call of the model and
    one backward pass through it. Weights of 0 give v.

    Args:
        answer: the model under its condition; differentiable by x, and neither made nor called in
            `torch.inference_mode`.
        prediction: what it says; any whose velocity is a function of the answer will do.
        known: y and W.
        beta: the largest g.

    Example: an ideal model of data N(0, 1), of which the first number is known to be 3.
        >>> import torch
        >>> from toyflow.flow import VelocityPrediction, euler, uniform_grid
        >>> from toyflow.flow.guidance import Known, guided_velocity
        >>> def ideal(x, t):  # E[x1 - x0 | x_t]
        ...     t = t[:, None, None]
        ...     return (2 * t - 1) * x / (t**2 + (1 - t) ** 2)
        >>> known = Known(torch.full((1, 2, 1), 3.0), torch.tensor([[1.0, 0.0]]))
        >>> noise = torch.tensor([[[1.0], [1.0]]])
        >>> velocity = guided_velocity(ideal, VelocityPrediction(), known)
        >>> euler(velocity, noise, uniform_grid(100)).round(decimals=1).flatten().tolist()
        [3.0, 1.0]
    """

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            said = answer(x, t)
            data = prediction.data(said, x, t)
            error = known.weight[..., None] * (known.values - data.detach())
            [pull] = torch.autograd.grad(data, x, error)
            plain = prediction.velocity(said, x, t)
        return plain.detach() + broadcast_time(guidance_gain(t, beta), x) * pull

    return velocity


def conditioned_velocity(answer: Answer, prediction: Prediction, known: Known) -> Velocity:
    """The velocity of a model that takes frozen tokens as data: they have time t = 1 and do not move.
    Integrate it from `known.frozen_in(noise)`. Nothing but the frozen tokens is used of `known`, which are at
    most as many as the model was trained with: see `Known.first`.

    Args:
        answer: the model under its condition; takes a time for each token.
        prediction: what it says.
        known: y, and W, of which what is 1 counts.

    Example:
        >>> import torch
        >>> from toyflow.flow import VelocityPrediction, euler, uniform_grid
        >>> from toyflow.flow.guidance import Known, conditioned_velocity
        >>> def follow(x, t):  # a model that repeats what it is told of the first token
        ...     return (t[:, :1, None] == 1) * (x[:, :1] - x)
        >>> known = Known(torch.full((1, 3, 1), 7.0), torch.tensor([[1.0, 0.0, 0.0]]))
        >>> velocity = conditioned_velocity(follow, VelocityPrediction(), known)
        >>> euler(velocity, known.frozen_in(torch.zeros(1, 3, 1)), uniform_grid(1)).flatten().tolist()
        [7.0, 7.0, 7.0]
    """
    frozen = known.frozen

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        times = torch.where(frozen, 1.0, t[:, None])
        return torch.where(frozen[..., None], 0.0, prediction.velocity(answer(x, times), x, times))

    return velocity
