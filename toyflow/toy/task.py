"""What a task is: data, a model that reads it, and a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.flow import Model


class Batch(NamedTuple):
    """Observations (a tensor, or whatever the model's `encode` takes) and their targets."""

    observation: Any
    target: Float[Tensor, "batch ..."]

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(_move(self.observation, device), self.target.to(device))


class Task(ABC):
    """A study's subject. Subclass it in one file and declare it under the entry point group
    `toyflow.tasks`, or hand an instance to `toyflow.run_study`.

    Everything random comes from the generator that is passed in; the test set is the same each time.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """What `score` returns, the headline first; the headline is 0 or 1 for each example."""
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The model's options by name, each with its values, the default first."""

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


def _move(observation: Any, device: torch.device) -> Any:
    if isinstance(observation, Tensor):
        return observation.to(device)
    if isinstance(observation, Mapping):
        return {key: _move(value, device) for key, value in observation.items()}
    if isinstance(observation, tuple):
        moved = (_move(value, device) for value in observation)
        return type(observation)(*moved) if hasattr(observation, "_fields") else tuple(moved)
    return observation
