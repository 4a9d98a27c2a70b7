"""`autoregressive`: one token after the other, no noise; the baseline of the study's finding 4."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from toyflow.errors import UsageError
from toyflow.flow.objectives.base import Loss, Model, Objective, weighted_mean
from toyflow.flow.samplers import Sampler


class Autoregressive(Objective):
    """-E log p(token k | tokens before k, c), the model made causal and fed the true tokens before.

    For targets that are codes of classes, [tokens, classes] with the class at the largest element: the
    model's prediction is read as logits, and it is fed one-hot vectors. Decoding is greedy and takes one
    call per token, so K = 1 has as many function evaluations as there are tokens.
    """

    name = "autoregressive"
    source = "the study's baseline; the factorisation is the chain rule"

    def __init__(self) -> None:
        self.tokens = 1

    def attach(self, model: Model, target: tuple[int, ...]) -> None:
        super().attach(model, target)
        if len(target) != 2:
            raise UsageError(
                f"objective 'autoregressive' needs targets [tokens, classes], not {list(target)}."
            )
        model.make_causal()
        self.tokens = target[0]

    def loss(
        self,
        model: Model,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        classes = target.argmax(-1)
        before = _shifted(one_hot(classes, target.shape[-1]).to(target.dtype))
        t = target.new_zeros(len(target))
        error = cross_entropy(model(before, t, condition).transpose(1, 2), classes, reduction="none")
        return weighted_mean(error, t, None if weight is None else weight.mean(-1))

    def decode(
        self, model: Model, condition: Any, noise: Float[Tensor, "batch ..."], steps: int, sampler: Sampler
    ) -> Float[Tensor, "batch ..."]:
        t = noise.new_zeros(len(noise))
        written = torch.zeros_like(noise)
        for k in range(self.tokens):
            logits = model(_shifted(written), t, condition)[:, k]
            written[:, k] = one_hot(logits.argmax(-1), noise.shape[-1]).to(noise.dtype)
        return written

    def model_calls(self, steps: int, sampler: Sampler) -> int:
        return self.tokens


def _shifted(tokens: Float[Tensor, "batch tokens classes"]) -> Float[Tensor, "batch tokens classes"]:
    """Each token in the place of the next; the first place is empty."""
    return torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], dim=1)
