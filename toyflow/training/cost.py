"""What a model costs in floating point operations, so that objectives can be read at equal cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from toyflow.flow import Model, Objective


@dataclass(frozen=True)
class Cost:
    """Floating point operations for one example; a multiply-add counts as two. Elementwise work and norms
    are left out.

    Example:
        >>> from toyflow.training import Cost
        >>> Cost(encode_flops=100, call_flops=10, training_flops=330.0).call_flops
        10
    """

    encode_flops: int
    """FLOPs of encoding the condition."""
    call_flops: int
    """FLOPs of one model call with the condition known: one function evaluation."""
    training_flops: float
    """FLOPs of one training step: 3 encode + (forward + 2 backward) call, a backward pass costing two forward
    ones."""


@torch.no_grad()
def measure_cost(model: Model, objective: Objective, example: tuple[Any, Float[Tensor, "one ..."]]) -> Cost:
    """Count one encoding and one call.

    Args:
        example: a batch of one (observation, target).

    Example: a model of one 5 x 2 matrix.
        >>> import torch
        >>> from toyflow import FlowMatching, Uniform, VectorModel
        >>> from toyflow.training import measure_cost
        >>> model = VectorModel(observation=1, target=2, depth=0)  # of x, t, r - t and the observation
        >>> example = torch.zeros(1, 1), torch.zeros(1, 2)
        >>> measure_cost(model, FlowMatching(Uniform()), example)
        Cost(encode_flops=0, call_flops=20, training_flops=60)
    """
    training, observation, target = model.training, *example
    model.eval()
    with FlopCounterMode(display=False) as encoding:
        condition = model.encode(observation)
    with FlopCounterMode(display=False) as call:
        model(target, target.new_zeros(len(target)), condition)
    model.train(training)
    encode, once, passes = encoding.get_total_flops(), call.get_total_flops(), objective.training_passes
    return Cost(encode, once, 3 * encode + (passes.forward + 2 * passes.backward) * once)
