"""What an objective trains: any callable, or a `Model`, which also encodes its condition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from toyflow.errors import UsageError

Predictor = Callable[..., Tensor]
"""A model as any callable: `model(x, t, condition)` returns a tensor of `x`'s shape [batch, ...], for times
`t` [batch]; what it predicts is the objective's business. Objectives with `uses_second_time` call
`model(x, t, condition, r)`. The condition is passed through as it is: encode what is costly before, once for
all K calls of a decoding."""


class Model(nn.Module, ABC):
    """A network that toyflow trains: it encodes an observation once, then predicts any number of times.

    Objectives take any callable (`Predictor`); the training loop and the sweeps need a `Model`.

    Example:
        >>> import torch
        >>> from toyflow import Model
        >>> class Halfway(Model):
        ...     def encode(self, observation):
        ...         return observation.mean(dim=1, keepdim=True)
        ...
        ...     def forward(self, x, t, condition, r=None):
        ...         return (condition - x) / 2
        >>> model = Halfway()
        >>> condition = model.encode(torch.tensor([[1.0, 3.0]]))
        >>> model(torch.zeros(1, 1), torch.zeros(1), condition)
        tensor([[1.]])
    """

    def encode(self, observation: Any) -> Any:
        """The condition: whatever `forward` takes back, computed once per sample. Here: the observation."""
        return observation

    def repeat(self, condition: Any, times: int) -> Any:
        """The condition of a batch, for the batch repeated as a whole `times` times. Here: every tensor of
        the condition is repeated along its first axis, see `repeat_condition`."""
        return repeat_condition(condition, times)

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, "batch"],
        condition: Any,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """A prediction of `x`'s shape; what it means is the objective's business. `r` is a second time,
        t <= r <= 1, for objectives that jump from t to r; None is r = t, and a model that is never
        trained on one of these may leave the argument out."""

    def make_causal(self) -> None:
        """Let a target token see only itself and those before it. Raises UsageError where it cannot."""
        raise UsageError(f"{type(self).__name__} has no causal form, which `autoregressive` needs.")


def repeat_condition(condition: Any, times: int) -> Any:
    """Every tensor of `condition` (a tensor, or tuples, lists and dictionaries of such), repeated `times`
    times along its first axis, the batch. A batch of one, and one repeated once, are not copied.

    Example:
        >>> import torch
        >>> from toyflow.flow.model import repeat_condition
        >>> repeat_condition({"image": torch.tensor([[1], [2]])}, 2)["image"].flatten().tolist()
        [1, 2, 1, 2]
    """

    def repeated(part: Any) -> Any:
        if not isinstance(part, Tensor) or part.ndim == 0:
            return part
        shape = part.shape[1:]
        return part.expand(times, *shape) if len(part) == 1 else part.repeat(times, *(1,) * len(shape))

    return condition if times == 1 else tree_map(repeated, condition)
