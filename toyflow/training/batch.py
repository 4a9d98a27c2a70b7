"""Batches of examples: observations and their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toyflow.errors import UsageError

ALL = slice(0, None, 1)
"""All samples of a batch."""


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


def as_batch(given: Any, origin: str) -> Batch:
    """`given`, which has to be a batch. Raises UsageError, which begins with `origin`, where it is none.

    Example:
        >>> import torch
        >>> from toyflow.training.batch import as_batch
        >>> as_batch((torch.zeros(2), torch.zeros(2)), "train_batch")
        Traceback (most recent call last):
            ...
        toyflow.errors.UsageError: train_batch must give a toyflow.Batch(observation, target), not a tuple.
    """
    if not isinstance(given, Batch):
        kind = type(given).__name__
        raise UsageError(f"{origin} must give a toyflow.Batch(observation, target), not a {kind}.")
    if not isinstance(given.target, Tensor):
        raise UsageError(
            f"{origin} must give a target that is a tensor, not a {type(given.target).__name__}."
        )
    return given


def part_of(batch: Any, samples: slice) -> Any:
    """Some samples of tensors with the batch first, or of mappings and tuples of such.

    Example:
        >>> import torch
        >>> from toyflow.training.batch import part_of
        >>> part_of({"state": torch.arange(4)}, slice(1, 3))
        {'state': tensor([1, 2])}
    """
    if samples == ALL:
        return batch
    return _mapped(batch, lambda tensor: tensor[samples])


class DataCheck:
    """Which batches can be trained on: no NaN in observations (infinity may be a mask), and nothing but
    finite numbers in targets and weights. Nothing is read back from the device until `first_fault` is asked.

    Example:
        >>> import torch
        >>> from toyflow.training.batch import DataCheck
        >>> check = DataCheck()
        >>> check.add(1, observation={"mask": torch.tensor([0.0, -float("inf")])}, target=torch.ones(2))
        >>> check.add(2, observation={"state": torch.tensor([0.0, float("nan")])}, target=torch.ones(2))
        >>> check.first_fault()
        "observation['state'] of iteration 2 contains NaN"
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._faults: list[Bool[Tensor, ""]] = []

    def add(
        self,
        iteration: int,
        observation: Any,
        target: Float[Tensor, "batch ..."],
        weight: Float[Tensor, "batch ..."] | None = None,
    ) -> None:
        """Check a batch, on its device."""
        for name, tensor in named_tensors(observation, "observation"):
            if tensor.is_floating_point():
                self._keep(f"{name} of iteration {iteration} contains NaN", tensor.isnan().any())
        for name, tensor in (("target", target), ("weight", weight)):
            if tensor is not None and tensor.is_floating_point():
                words = f"{name} of iteration {iteration} contains NaN or infinity"
                self._keep(words, (tensor - tensor).any())  # NaN, which counts as true, where not finite

    def first_fault(self) -> str | None:
        """The first part of a batch that cannot be trained on, in words."""
        if not self._faults:
            return None
        device = self._faults[-1].device
        faults = torch.stack([fault.to(device) for fault in self._faults]).tolist()
        return next((name for name, fault in zip(self._names, faults, strict=True) if fault), None)

    def _keep(self, name: str, fault: Bool[Tensor, ""]) -> None:
        self._names.append(name)
        self._faults.append(fault)


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
