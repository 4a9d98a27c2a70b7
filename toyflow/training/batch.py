"""Batches of examples: observations and their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError


class Batch(NamedTuple):
    """Observations and their targets.

    Example:
        >>> import torch
        >>> from toyflow import Batch
        >>> batch = Batch({"image": torch.zeros(4, 1, 28, 28)}, target=torch.zeros(4, 10))
        >>> batch.part(slice(2)).observation["image"].shape
        torch.Size([2, 1, 28, 28])
    """

    observation: Any
    """A tensor with the batch first, or a mapping or tuple of such."""
    target: Float[Tensor, "batch ..."]

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(_mapped(self.observation, lambda tensor: tensor.to(device)), self.target.to(device))

    def part(self, samples: slice) -> Batch:
        """The batch of some of these samples."""
        return Batch(part_of(self.observation, samples), self.target[samples])


def part_of(batch: Any, samples: slice) -> Any:
    """Some samples of tensors with the batch first, or of mappings and tuples of such.

    Example:
        >>> import torch
        >>> from toyflow.training.batch import part_of
        >>> part_of({"state": torch.arange(4)}, slice(1, 3))
        {'state': tensor([1, 2])}
    """
    return _mapped(batch, lambda tensor: tensor[samples])


class DataCheck:
    """Records whether batches are finite, without a device sync until asked.

    Example:
        >>> import torch
        >>> from toyflow.training.batch import DataCheck
        >>> check = DataCheck()
        >>> check.add(1, observation={"state": torch.zeros(2)}, target=torch.ones(2))
        >>> check.add(2, observation={"state": torch.tensor([0.0, float("nan")])}, target=torch.ones(2))
        >>> check.first_fault()
        "observation['state'] of iteration 2"
    """

    def __init__(self) -> None:
        self._sums: list[tuple[int, str, Tensor]] = []

    def add(self, iteration: int, **parts: Any) -> None:
        """Keep each tensor's sum, which is not finite where an element is not, and costs one pass over it."""
        for what, part in parts.items():
            for name, tensor in named_tensors(part, what):
                if tensor.is_floating_point():
                    self._sums.append((iteration, name, tensor.detach().sum(dtype=_widened(tensor.dtype))))

    def first_fault(self) -> str | None:
        """The first part of a batch that is not finite, in words."""
        faults = (f"{name} of iteration {i}" for i, name, total in self._sums if not total.isfinite())
        return next(faults, None)


def named_tensors(batch: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of `batch`, each with its place: observation['image'], observation[0]. None has none."""
    if isinstance(batch, Tensor):
        yield name, batch
    elif isinstance(batch, Mapping):
        for key, value in batch.items():
            yield from named_tensors(value, f"{name}[{key!r}]")
    elif isinstance(batch, tuple):
        fields = getattr(batch, "_fields", None)
        for i, value in enumerate(batch):
            yield from named_tensors(value, f"{name}.{fields[i]}" if fields else f"{name}[{i}]")


def _mapped(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple):
        mapped = (_mapped(value, function) for value in batch)
        return type(batch)(*mapped) if hasattr(batch, "_fields") else tuple(mapped)
    raise UsageError(f"a batch is tensors, or mappings and tuples of them, not {type(batch).__name__}.")


def _widened(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize < 4 else dtype
