"""How long a plan takes: T(K) = T_condition + K T_step, measured as a whole and by its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Objective
from toyflow.flow.samplers import euler
from toyflow.robot.interface import Observation
from toyflow.robot.policy import Policy
from toyflow.robot.spec import ACTION_WIDTH

WARM_UP = 5


@dataclass(frozen=True)
class Times:
    """Milliseconds of one kind of call."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Median and 95th percentile."""
        return cls(*(round(1000 * float(x), 4) for x in np.percentile(seconds, [50, 95])))


@dataclass(frozen=True)
class Latency:
    """Of one observation, with weights loaded and caches warm, on an otherwise idle policy."""

    condition: Times
    """From images, state and tokens on the device to the condition: T_condition."""
    step: Times
    """One model call with the condition known: T_step."""
    plan: dict[int, Times]
    """Condition and decoding together, by K."""

    def predicted_ratio(self, steps: int) -> float:
        """(T_condition + K T_step) / (T_condition + T_step), by the medians."""
        return (self.condition.p50 + steps * self.step.p50) / (self.condition.p50 + self.step.p50)


@torch.inference_mode()
def measure_latency(
    policy: Policy, objective: Objective, observation: Observation, steps: Sequence[int], repeats: int = 40
) -> Latency:
    """Time `repeats` plans for each K, interleaved, so that a busy moment falls on all alike."""
    seen = policy.prepare([observation])
    noise = torch.zeros(1, policy.spec.horizon, ACTION_WIDTH, device=seen.state.device)
    condition = policy.encode(seen)
    t = noise.new_zeros(1)

    def plan(k: int) -> Float[Tensor, "batch horizon width"]:
        return objective.decode(policy, policy.encode(seen), noise, k, euler)

    calls: dict[object, Callable[[], object]] = {
        "condition": lambda: policy.encode(seen),
        "step": lambda: policy(noise, t, condition),
        **{k: (lambda k=k: plan(k)) for k in steps},
    }
    taken: dict[object, list[float]] = {name: [] for name in calls}
    for repeat in range(WARM_UP + repeats):
        for name, call in calls.items():
            _synchronise(noise.device)
            began = time.perf_counter()
            call()
            _synchronise(noise.device)
            if repeat >= WARM_UP:
                taken[name].append(time.perf_counter() - began)
    times = {name: Times.of(seconds) for name, seconds in taken.items()}
    return Latency(times["condition"], times["step"], {k: times[k] for k in steps})


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
