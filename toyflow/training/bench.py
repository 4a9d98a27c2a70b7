"""What a probe needs: examples, the noise to start from, and the models that answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Model, Objective
from toyflow.training.batch import Batch

OptimalVelocity = Callable[[Tensor, Tensor, Any], Tensor]
"""(x, t, observation) to E[x1 - x0 | x_t, c]."""


@dataclass(frozen=True)
class Bench:
    """The examples on which models of one setting are probed. `test` and `noise` are on the device."""

    test: Batch
    noise: Float[Tensor, "examples ..."]
    load: Callable[[Any], tuple[Model, Objective]]
    """A stored training to its model, on the device, and its objective."""
    outcome: Callable[[Tensor], Float[Tensor, "examples"]]
    """Samples of all examples to what is made of each, to tell whether more steps change it."""
    optimal: OptimalVelocity | None = None
    """Where it is known in closed form."""
