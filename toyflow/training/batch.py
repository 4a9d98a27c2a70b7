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
        return Batch(part_of(self.observation, samples), self.target[samples])


def part_of(batch: Any, samples: slice) -> Any:
    """Some samples of tensors with the batch first, or of mappings and tuples of such."""
    return _mapped(batch, lambda tensor: tensor[samples])


def _mapped(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple):
        mapped = (_mapped(value, function) for value in batch)
        return type(batch)(*mapped) if hasattr(batch, "_fields") else tuple(mapped)
    raise UsageError(f"a batch is tensors, or mappings and tuples of them, not {type(batch).__name__}.")
