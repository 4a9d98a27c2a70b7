"""Checks of what a task gives: its test set and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from toyflow.errors import ToyflowError
from toyflow.toy.task import Task
from toyflow.training import Batch
from toyflow.training.batch import named_tensors


def check_test_set(task: Task, batch: Batch) -> Batch:
    """`batch`, the test set of a task.

    Raises:
        ToyflowError: a target is nan or infinite, or an observation is nan. (It may be infinite, as a mask.)
        UsageError: an observation is not made of tensors.
    """
    if bad := _count(~batch.target.isfinite()):
        raise ToyflowError(
            f"task {task.name!r}: test_set gave targets that are nan or infinite, in {bad} of "
            f"{len(batch.target)} examples."
        )
    for name, tensor in named_tensors(batch.observation, "observation"):
        if bad := _count(tensor.isnan()):
            raise ToyflowError(
                f"task {task.name!r}: test_set gave {name} with nan, in {bad} of {len(tensor)} examples."
            )
    return batch


def check_scores(task: Task, scores: Any, examples: int) -> None:
    """Raise ToyflowError unless there is a number for each of `examples`, under the names of the task's
    metrics in their order, and the first metric is 0 or 1."""
    _check_mapping(task, scores, "score")
    if list(scores) != list(task.metrics):
        raise ToyflowError(
            f"task {task.name!r}: score must return {', '.join(task.metrics)}, in this order; it returned "
            f"{', '.join(scores) or 'nothing'}."
        )
    for name, values in scores.items():
        if not isinstance(values, Tensor):
            raise ToyflowError(
                f"task {task.name!r}: score must give {name} as a tensor, a number for each of {examples} "
                f"examples, not as {type(values).__name__}."
            )
        if values.shape != (examples,):
            raise ToyflowError(
                f"task {task.name!r}: score must give one {name} for each of {examples} examples, not a "
                f"tensor of shape {tuple(values.shape)}."
            )
        if bad := int(values.isnan().sum()):
            raise ToyflowError(
                f"task {task.name!r}: the score {name} is nan for {bad} of {examples} examples."
            )
    headline = task.metrics[0]
    values = scores[headline]
    if len(other := values[(values != 0) & (values != 1)]):
        raise ToyflowError(
            f"task {task.name!r}: the first metric, {headline}, must be 0 or 1; score gave {other[0]:g} for "
            f"one of {len(other)} examples where it is not."
        )


def check_set_scores(task: Task, scores: Any) -> None:
    """Raise ToyflowError unless there is a number under the name of each of the task's set metrics."""
    _check_mapping(task, scores, "score_set")
    if not set(task.set_metrics) <= set(scores):
        raise ToyflowError(
            f"task {task.name!r}: score_set must return {', '.join(task.set_metrics)}; it returned "
            f"{', '.join(scores) or 'nothing'}."
        )
    for name, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ToyflowError(
                f"task {task.name!r}: score_set must give {name} as a float, not as {type(value).__name__}."
            )
        if value != value:
            raise ToyflowError(f"task {task.name!r}: the score {name} of the test set is nan.")


def _check_mapping(task: Task, scores: object, method: str) -> None:
    if not isinstance(scores, Mapping):
        raise ToyflowError(
            f"task {task.name!r}: {method} must return a dictionary of scores by name, not "
            f"{type(scores).__name__}."
        )


def _count(bad: Bool[Tensor, "batch ..."]) -> int:
    """Number of examples in which any number is bad."""
    return int(bad.reshape(len(bad), -1).any(1).sum())
