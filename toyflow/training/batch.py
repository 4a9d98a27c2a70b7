"""Examples: what a model sees, and what it is to make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError


class Batch(NamedTuple):
    """Observations and their targets. An observation is a tensor with the batch first, or a mapping or
    tuple of such."""

    observation: Any
    target: Float[Tensor, "batch ..."]

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(_mapped(self.observation, lambda tensor: tensor.to(device)), self.target.to(device))

    def part(self, samples: slice) -> Batch:
        """Some of its samples."""
        return Batch(_mapped(self.observation, lambda tensor: tensor[samples]), self.target[samples])


def _mapped(observation: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(observation, Tensor):
        return function(observation)
    if isinstance(observation, Mapping):
        return {key: _mapped(value, function) for key, value in observation.items()}
    if isinstance(observation, tuple):
        mapped = (_mapped(value, function) for value in observation)
        return type(observation)(*mapped) if hasattr(observation, "_fields") else tuple(mapped)
    raise UsageError(
        f"an observation is tensors, or mappings and tuples of them, not {type(observation).__name__}."
    )
