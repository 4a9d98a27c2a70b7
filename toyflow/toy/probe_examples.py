"""What the toy's models are probed on: the first of their task's test examples."""

from __future__ import annotations

import torch
from torch import Tensor

from toyflow.flow import Model, Objective
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
    known = task.optimal_velocity(noise[first], noise.new_zeros(1), test.part(first).observation) is not None

    def optimal(x: Tensor, t: Tensor, observation: object) -> Tensor:
        velocity = task.optimal_velocity(x, t, observation)
        assert velocity is not None
        return velocity

    def load(training: StoredTraining) -> tuple[Model, Objective]:
        model, objective = load_model(task, training)
        return model.to(device), objective

    def outcome(sample: Tensor) -> Tensor:
        return task.score(sample, test)[task.metrics[0]]

    return Bench(test, noise, load, outcome, optimal if known else None)
