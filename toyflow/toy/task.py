"""What a task is: data, a model that reads it, and a score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Model
from toyflow.flow.anatomy import Moments
from toyflow.flow.samplers import euler, uniform_grid
from toyflow.seeds import generator
from toyflow.sweep.subject import Subject, check_current
from toyflow.tensors import one_thread
from toyflow.training import Batch, OneCycle
from toyflow.training.batch import as_batch


class Task(Subject):
    """A toy problem: examples of (observation, target), a model that reads an observation, and a score.

    A subclass gives `name`, `metrics`, `train_batch`, `test_set`, `build_model` and `score`. It may also give
    `data_options` and `model_options` (dataclasses of options, see `toyflow/optionset.py`), `set_metrics`
    with `score_set`, `prepare`, `optimal_velocity` and `conditional_moments`. Hand an instance to
    `toyflow.run_study`, or declare the class under the entry point group `toyflow.tasks` for `toyflow sweep
    --task NAME`.

    Results are kept by the task's name, version and options. Raise `version` when you change what the numbers
    mean; a sweep warns where the code has changed and the version has not.

    Args:
        data: `data_options` as text by name; those left out are at their default.
        data_dir: where data sets that toyflow does not carry are, or may be downloaded to.

    Attributes:
        data: the values of `data_options`, an instance of it.

    Raises:
        UsageError: an option that does not exist, or a value out of its range; for a subclass, on its
            definition, no metrics, or a headline metric that `lower_is_better` names.

    >>> from toyflow.networks import VectorModel
    >>> class Copy(Task):
    ...     'Copy a point of the plane.'
    ...     name = "copy"
    ...     metrics = ("close",)
    ...     def train_batch(self, size, generator):
    ...         point = torch.randn(size, 2, generator=generator)
    ...         return Batch(observation=point, target=point)
    ...     def test_set(self):
    ...         return self.train_batch(100, torch.Generator().manual_seed(0))
    ...     def build_model(self, options):
    ...         return VectorModel(observation=2, target=2, width=32, depth=1)
    ...     def score(self, sample, test):
    ...         return {"close": ((sample - test.target).norm(dim=1) < 0.5).float()}
    >>> Copy().target_shape
    (2,)
    """

    runner = "toy"

    def __init_subclass__(cls) -> None:
        metrics = getattr(cls, "metrics", ("",))
        if isinstance(metrics, str) or not metrics:
            raise UsageError(
                f"task {cls.__name__}: metrics must be names of scores, the headline first, such as "
                f'("close",); it is {metrics!r}.'
            )
        if metrics[0] in cls.lower_is_better:
            raise UsageError(f"task {cls.__name__}: the headline metric must be better when higher.")

    def __init__(self, data: Mapping[str, str] | None = None, data_dir: str | None = None) -> None:
        check_current(type(self))
        self.data: Any = self.data_options.parse(data or {})
        self.data_dir = data_dir

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target, without the batch. Taken from a batch of one; give it where that is costly."""
        return tuple(self.checked_batch(1, torch.Generator().manual_seed(0)).target.shape[1:])

    def checked_batch(self, size: int, generator: torch.Generator) -> Batch:
        """A `train_batch`. Raises UsageError where it is no batch."""
        return as_batch(self.train_batch(size, generator), f"task {self.name!r}: train_batch")

    def checked_test_set(self) -> Batch:
        """The `test_set`. Raises UsageError where it is no batch."""
        return as_batch(self.test_set(), f"task {self.name!r}: test_set")

    def prepare(self) -> None:
        """Unpack or fetch what the task needs, once, before any cell starts."""

    @abstractmethod
    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` training examples. What is random in them comes from `generator` alone, so that a seed gives
        the same batches to every schedule. An observation is a tensor of shape (size, ...), or a mapping or
        tuple of such; targets are floats of shape (size, *target_shape), finite, and best of mean 0 and
        variance 1."""

    @abstractmethod
    def test_set(self) -> Batch:
        """The test examples as one batch, the same at every call."""

    @abstractmethod
    def build_model(self, options: Any) -> Model:
        """A fresh model; `options` is an instance of `model_options`. Its `encode(observation)` gives a
        condition, and `forward(x, t, condition, r=None)` answers for `x` of shape (batch, *target_shape) at
        the times `t` of shape (batch,) in [0, 1], where 0 is noise and 1 is data. The global random state is
        seeded, and put back, around this call."""

    @abstractmethod
    def score(self, sample: Float[Tensor, "batch ..."], test: Batch) -> dict[str, Float[Tensor, "batch"]]:
        """Each of `metrics` for each example: tensors of shape (examples,) by name, in the order of metrics.
        The first is 0 or 1, and 1 is good. `sample` holds an answer to each observation of `test`."""

    def score_set(self, sample: Float[Tensor, "batch ..."], test: Batch) -> dict[str, float]:
        """Each of `set_metrics`, computed on all samples together, such as the Fréchet distance: floats by
        name."""
        return {}

    def optimal_velocity(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"], observation: Any
    ) -> Float[Tensor, "batch ..."] | None:
        """The velocity of a perfect model, E[x1 - x0 | x_t, c], for x_t of shape (batch, *target_shape) and t
        of shape (batch,), where it is known in closed form; else None. `toyflow probe` compares with it."""
        return None

    def conditional_moments(self, observation: Any) -> Moments | None:
        """E[x1 | c] and Var[x1 | c], element by element and of the targets' shape, where they are known; else
        None. With them `toyflow probe` tells a model's bias from the task's own spread."""
        return None

    @classmethod
    def recipe(cls, model: Mapping[str, str], changes: Mapping[str, float]) -> Mapping[str, float]:
        """See `Subject`: a one-cycle recipe, the same for all models."""
        return vars(replace(OneCycle(), **changes))

    @classmethod
    @torch.inference_mode()
    def ideal_scores(cls, data: Mapping[str, str], steps: int) -> dict[str, float] | None:
        """See `Subject`: from the noise that every decoding starts from."""
        if cls.optimal_velocity is Task.optimal_velocity:
            return None
        task = cls(data) if fields(cls.data_options) else cls()
        test = task.test_set()
        noise = torch.randn(test.target.shape, generator=generator(0, "test noise"))
        if task.optimal_velocity(noise[:1], noise.new_zeros(1), test.part(slice(0, 1)).observation) is None:
            return None

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            optimal = task.optimal_velocity(x, t, test.observation)
            assert optimal is not None
            return optimal

        with one_thread():
            sample = euler(velocity, noise, uniform_grid(steps))
            scores = {name: float(values.mean()) for name, values in task.score(sample, test).items()}
            return {**scores, **task.score_set(sample, test)}


def make_task(name: str, data: Mapping[str, str] | None = None, data_dir: str | None = None) -> Task:
    """The task called `name`. Raises UsageError with what exists."""
    task = plugins.load("tasks", name)
    return task(data, data_dir) if fields(task.data_options) else task()
