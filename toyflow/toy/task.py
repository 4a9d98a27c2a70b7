"""What a task is: data, a model that reads it, and a score."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Number:
    """The values of a numeric option."""

    default: float
    low: float
    high: float
    whole: bool = False

    def parse(self, option: str, value: str) -> str:
        """`value` as it is recorded. Raises UsageError outside of the range."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high or (self.whole and number != round(number)):
            kind = "whole number" if self.whole else "number"
            raise UsageError(f"{option} must be a {kind} from {self.low:g} to {self.high:g}, got {value!r}.")
        return f"{number:g}"


class Choice:
    """The values of an option that is one of several names, the default first."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.default = names[0]

    def parse(self, option: str, value: str) -> str:
        """`value` itself. Raises UsageError where it is none of the names."""
        if value not in self.names:
            raise unknown(option, value, self.names)
        return value


Values = Mapping[str, Number | Choice]
"""Options by name."""


class Task(ABC):
    """A study's subject. Subclass it in one file and declare it under the entry point group
    `toyflow.tasks`, or hand an instance to `toyflow.run_study`.

    Everything random comes from the generator that is passed in; the test set is the same each time.

    Args:
        data: values of the knobs; those left out are at their default.
        data_dir: where data sets that toyflow does not carry are, or may be downloaded to.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when a change of the task changes what its results mean: older ones are then not reused."""
    metrics: ClassVar[tuple[str, ...]]
    """What `score` returns, the headline first; the headline is 0 or 1 for each example, 1 being good. The
    others are shares too, unless `lower_is_better` names them."""
    set_metrics: ClassVar[tuple[str, ...]] = ()
    """What `score_set` returns."""
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    """Those of both for which it is so, distances for one; never the headline."""
    options: ClassVar[Values] = {}
    """The model's options."""
    knobs: ClassVar[Values] = {}
    """The data's options."""

    def __init_subclass__(cls) -> None:
        if getattr(cls, "metrics", ("",))[0] in cls.lower_is_better:
            raise UsageError(f"task {cls.__name__}: the headline metric must be better when higher.")

    def __init__(self, data: Mapping[str, str] | None = None, data_dir: str | None = None) -> None:
        self.data = _complete(self.knobs, data or {})
        self.data_dir = data_dir

    @classmethod
    def identity(cls) -> str:
        """How records name the task."""
        return cls.name if cls.version == 1 else f"{cls.name}-v{cls.version}"

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target."""
        return tuple(self.train_batch(1, torch.Generator().manual_seed(0)).target.shape[1:])

    def prepare(self) -> None:  # noqa: B027
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
    def score(self, sample: Float[Tensor, "batch ..."], test: Batch) -> dict[str, Float[Tensor, "batch"]]:
        """Each of `metrics` for each example of the test set."""

    def score_set(self, sample: Float[Tensor, "batch ..."], test: Batch) -> dict[str, float]:
        """Each of `set_metrics`, which only a set of samples has, such as a distance of distributions."""
        return {}

    def optimal_velocity(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], observation: Any
    ) -> Float[Tensor, "batch ..."] | None:
        """E[x1 - x0 | x_t, c], where it is known in closed form."""
        return None

    @classmethod
    def choose(cls, options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """(the data's, the model's) options, completed with defaults. Raises UsageError for what does not
        exist."""
        every = {**cls.knobs, **cls.options}
        for name in options:
            if name not in every:
                raise unknown(f"option of task {cls.name}", name, every or ("none",))
        return _complete(cls.knobs, options), _complete(cls.options, options)


def make_task(name: str, data: Mapping[str, str] | None = None, data_dir: str | None = None) -> Task:
    """The task called `name`. Raises UsageError with what exists."""
    task = plugins.load("tasks", name)
    return task(data, data_dir) if task.knobs else task()


def _complete(values: Values, chosen: Mapping[str, str]) -> dict[str, str]:
    return {name: of.parse(name, chosen.get(name, str(of.default))) for name, of in values.items()}


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
