"""What a task is: data, a model that reads it, and a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.flow import Model


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


class Task(ABC):
    """A study's subject. Subclass it in one file and declare it under the entry point group
    `toyflow.tasks`, or hand an instance to `toyflow.run_study`.

    Everything random comes from the generator that is passed in; the test set is the same each time.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when a change of the task changes what its results mean: older ones are then not reused."""
    metrics: ClassVar[tuple[str, ...]]
    """What `score` returns, the headline first; the headline is 0 or 1 for each example."""
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The model's options by name, each with its values, the default first."""

    @classmethod
    def identity(cls) -> str:
        """How records name the task."""
        return cls.name if cls.version == 1 else f"{cls.name}-v{cls.version}"

    @classmethod  # noqa: B027
    def prepare(cls) -> None:
        """Unpack or fetch what the task needs, once, before any cell starts."""

    @abstractmethod
    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` training examples."""

    @abstractmethod
    def test_set(self) -> Batch:
        """The test examples, the same at every call."""

    @abstractmethod
    def build_model(self, options: Mapping[str, str]) -> Model:
        """A fresh model. The global random state is seeded, and put back, around this call."""

    @abstractmethod
    def score(
        self, sample: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]
    ) -> dict[str, Float[Tensor, "batch"]]:
        """Each metric for each example, between 0 and 1."""

    @classmethod
    def complete_options(cls, options: Mapping[str, str]) -> dict[str, str]:
        """`options` completed with the defaults. Raises UsageError for what does not exist."""
        for key, value in options.items():
            if key not in cls.options:
                has = ", ".join(cls.options) or "none"
                raise UsageError(f"task {cls.name!r} has no model option {key!r}; it has: {has}.")
            if value not in cls.options[key]:
                raise unknown(key, value, cls.options[key])
        return {key: options.get(key, values[0]) for key, values in cls.options.items()}


def make_task(name: str) -> Task:
    """The task called `name`. Raises UsageError with what exists."""
    return plugins.load("tasks", name)()


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
