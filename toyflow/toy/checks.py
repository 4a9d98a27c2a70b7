"""Checks of what a task gives: its batches and its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from toyflow.errors import ToyflowError
from toyflow.toy.task import Task
from toyflow.training import Batch


def check_batch(task: Task, batch: Batch, source: str) -> Batch:
    """`batch`, which the method `source` of a task gave.

    Raises:
        ToyflowError: a target is nan or infinite, or an observation is nan. (It may be infinite, as a mask.)
    """
    if bad := _count(~batch.target.isfinite()):
        raise ToyflowError(
            f"task {task.name!r}: {source} gave targets that are nan or infinite, in {bad} of "
            f"{len(batch.target)} examples."
        )
    for observation in _tensors(batch.observation):
        if bad := _count(observation.isnan()):
            raise ToyflowError(
                f"task {task.name!r}: {source} gave observations that are nan, in {bad} of "
                f"{len(observation)} examples."
            )
    return batch


def check_scores(task: Task, scores: Mapping[str, Tensor], examples: int) -> None:
    """Raise ToyflowError unless there is a number for each of `examples`, under the names of the task's
    metrics in their order, and the first metric is 0 or 1."""
    if list(scores) != list(task.metrics):
        raise ToyflowError(
            f"task {task.name!r}: score must return {', '.join(task.metrics)}, in this order; it returned "
            f"{', '.join(scores) or 'nothing'}."
        )
    for name, values in scores.items():
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


def check_set_scores(task: Task, scores: Mapping[str, float]) -> None:
    """Raise ToyflowError unless there is a number under the name of each of the task's set metrics."""
    if set(scores) != set(task.set_metrics):
        raise ToyflowError(
            f"task {task.name!r}: score_set must return {', '.join(task.set_metrics) or 'nothing'}; it "
            f"returned {', '.join(scores) or 'nothing'}."
        )
    for name, value in scores.items():
        if value != value:
            raise ToyflowError(f"task {task.name!r}: the score {name} of the test set is nan.")


def _count(bad: Bool[Tensor, "batch ..."]) -> int:
    """Number of examples in which any number is bad."""
    return int(bad.reshape(len(bad), -1).any(1).sum())


def _tensors(observation: Any) -> Iterator[Tensor]:
    """The tensors of an observation."""
    if isinstance(observation, Tensor):
        yield observation
    else:
        parts = observation.values() if isinstance(observation, Mapping) else observation
        for part in parts:
            yield from _tensors(part)
