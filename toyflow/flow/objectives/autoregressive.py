"""`autoregressive`: one token after the other, no noise; the baseline of the paper's finding 4."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from toyflow.errors import UsageError
from toyflow.flow.model import Model, Predictor
from toyflow.flow.objectives.base import Objective
from toyflow.flow.objectives.loss import Loss, weighted_mean
from toyflow.flow.samplers import Sampler, euler


class Autoregressive(Objective):
    """-E log p(token k | tokens before k, c), the model made causal and fed the true tokens before.

    For targets that are codes of classes, [tokens, classes] with the class at the largest element: the
    model's prediction is read as logits, and it is fed one-hot vectors. Decoding is greedy and takes one
    call per token, so K = 1 has as many function evaluations as there are tokens.

    `attach` makes a `Model` causal. Any other model must be so by itself.

    Raises:
        UsageError: in `attach`, the target is not [tokens, classes] with 2 classes or more, or a `Model` has
            no causal form; in `model_calls`, nothing was attached, so that the number of tokens is not known.

    Example:
        >>> import torch
        >>> from toyflow import Autoregressive
        >>> target = torch.eye(3)[torch.tensor([[0, 2], [1, 1]])]  # 2 examples of 2 tokens of 3 classes
        >>> def sure(x, t, condition):
        ...     return 50 * condition
        >>> objective = Autoregressive()
        >>> bool(objective.loss(sure, target, target).value < 1e-6)
        True
        >>> torch.equal(objective.decode(sure, target, torch.randn(2, 2, 3)), target)
        True
    """

    name = "autoregressive"
    source = "the paper's baseline; the factorisation is the chain rule"
    uses_noise = False

    def __init__(self) -> None:
        self.tokens: int | None = None

    def attach(
        self, model: Predictor, target: tuple[int, ...], generator: torch.Generator | None = None
    ) -> None:
        super().attach(model, target, generator)
        if len(target) != 2 or target[1] < 2:
            raise UsageError(
                "objective 'autoregressive' needs targets [tokens, classes] with 2 classes or more, not "
                f"{list(target)}."
            )
        if isinstance(model, Model):
            model.make_causal()
        self.tokens = target[0]

    def loss(
        self,
        model: Predictor,
        condition: Any,
        target: Float[Tensor, "batch ..."],
        drawn: Any = None,
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> Loss:
        classes = target.argmax(-1)
        before = _shifted(one_hot(classes, target.shape[-1]).to(target.dtype))
        t = target.new_zeros(len(target))
        error = cross_entropy(model(before, t, condition).transpose(1, 2), classes, reduction="none")
        return weighted_mean(error, t, None if weight is None else weight.mean(-1))

    def decode(
        self,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "batch ..."],
        steps: int = 1,
        sampler: Sampler = euler,
    ) -> Float[Tensor, "batch ..."]:
        t = noise.new_zeros(len(noise))
        written = torch.zeros_like(noise)
        for k in range(noise.shape[1]):
            logits = model(_shifted(written), t, condition)[:, k]
            written[:, k] = one_hot(logits.argmax(-1), noise.shape[-1]).to(noise.dtype)
        return written

    def model_calls(self, steps: int = 1, sampler: Sampler = euler) -> int:
        if self.tokens is None:
            raise UsageError(
                "objective 'autoregressive' makes a model call per token: call its `attach` with the model "
                "and the target's shape first."
            )
        return self.tokens


def _shifted(tokens: Float[Tensor, "batch tokens classes"]) -> Float[Tensor, "batch tokens classes"]:
    """Each token in the place of the next; the first place is empty."""
    return torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], dim=1)
