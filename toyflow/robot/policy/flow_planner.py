"""A policy of toyflow as a `Planner`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow import Objective
from toyflow.flow.samplers import parse_sampler
from toyflow.machine import synchronise
from toyflow.robot.interface import Observation
from toyflow.robot.latency import Latency, timed
from toyflow.robot.planner import Planner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.sizes import ACTION_WIDTH


class FlowPlanner(Planner):
    """A `Policy` that acts: encodes each observation once, then decodes in K steps.

    Args:
        policy: on its device, in evaluation mode; see `load_policy`.
        objective: the one it was trained with.
        steps: K; see `set_num_steps`.
    """

    def __init__(self, policy: Policy, objective: Objective, steps: int = 1) -> None:
        self.policy, self.objective = policy, objective
        self.interface, self.horizon = policy.spec.interface, policy.spec.horizon
        self.replan = self.horizon
        self.image_size = policy.spec.image_size
        self.stage_seconds = defaultdict(float)
        self.set_num_steps(steps)

    def set_num_steps(self, steps: int, sampler: str | None = None) -> None:
        """See `Planner`."""
        if not self.objective.can_decode(steps):
            raise UsageError(f"a policy trained by {self.objective.name} cannot decode in {steps} steps.")
        self.steps, self.sampler = steps, parse_sampler(sampler or "euler")
        self.model_calls = self.objective.model_calls(steps, self.sampler)

    def compile(self) -> None:
        """See `Planner`; encoding and denoising step are compiled separately."""
        self.policy.encode = torch.compile(self.policy.encode)
        self.policy.compile()

    @torch.inference_mode()
    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`."""
        began = time.perf_counter()
        condition = self.policy.encode(self.policy.prepare(observations))
        synchronise(str(self._device))
        encoded = time.perf_counter()
        shape = (self.horizon, ACTION_WIDTH)
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        start = torch.stack(noise).to(self._device)
        sample = self.objective.decode(self.policy, condition, start, self.steps, self.sampler)
        actions = self.policy.actions(sample).float().cpu().numpy()
        self.stage_seconds["condition"] += encoded - began
        self.stage_seconds["decoding"] += time.perf_counter() - encoded
        return actions

    @torch.inference_mode()
    def latency(self) -> Latency:
        """See `Planner`. T_condition is `encode` of inputs on the device, T_step is one model call; both and
        a whole plan are timed separately, in turns."""
        seen = self.policy.prepare([self.any_observation()])
        noise = torch.zeros(1, self.horizon, ACTION_WIDTH, device=self._device)
        condition = self.policy.encode(seen)
        t = noise.new_zeros(1)

        def plan() -> Float[Tensor, "batch horizon width"]:
            return self.objective.decode(
                self.policy, self.policy.encode(seen), noise, self.steps, self.sampler
            )

        calls: dict[str, Callable[[], object]] = {
            "condition": lambda: self.policy.encode(seen),
            "step": lambda: self.policy(noise, t, condition),
            "plan": plan,
        }
        times = timed(calls, partial(synchronise, str(self._device)))
        return Latency(times["condition"], times["step"], {self.steps: times["plan"]})

    @property
    def _device(self) -> torch.device:
        return next(self.policy.parameters()).device
