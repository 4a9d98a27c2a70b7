"""What the toy's models are probed on: the first of their task's test examples."""

from __future__ import annotations

import torch
from torch import Tensor

from toyflow.flow import Model, Objective
from toyflow.flow.anatomy import Moments
from toyflow.seeds import generator
from toyflow.sweep.stored import StoredTraining
from toyflow.toy.models import load_model
from toyflow.toy.task import Task
from toyflow.training import Bench


def bench_of(task: Task, examples: int, device: torch.device) -> Bench:
    """The first test examples and, as in decoding, their first noise."""
    task.prepare()
    whole = task.checked_test_set()
    noise = torch.randn(whole.target.shape, generator=generator(0, "test noise")).to(whole.target)
    part = slice(0, examples)
    test, noise = whole.part(part).to(device), noise[part].to(device)
    first = slice(0, 1)
    one = test.part(first).observation
    known = task.optimal_velocity(noise[first], noise.new_zeros(1), one) is not None

    def optimal(x: Tensor, t: Tensor, observation: object) -> Tensor:
        velocity = task.optimal_velocity(x, t, observation)
        assert velocity is not None
        return velocity

    def moments(observation: object) -> Moments:
        known = task.conditional_moments(observation)
        assert known is not None
        return known

    def load(training: StoredTraining) -> tuple[Model, Objective]:
        model, objective = load_model(task, training)
        return model.to(device), objective

    def outcome(sample: Tensor) -> Tensor:
        return task.score(sample, test)[task.metrics[0]]

    return Bench(
        test, noise, load, outcome,
        optimal=optimal if known else None,
        moments=None if task.conditional_moments(one) is None else moments,
        groups=_equal(test.observation),
        origin="validation split" if getattr(task.data, "split", "test") == "validation" else "test set",
    )  # fmt: skip


def _equal(observation: object) -> Tensor | None:
    """A number for each different observation, where some but not all are equal, such as labels of classes;
    else None."""
    if not isinstance(observation, Tensor):
        return None
    values, numbers = observation.cpu().reshape(len(observation), -1).unique(dim=0, return_inverse=True)
    return numbers if 1 < len(values) < len(numbers) else None
