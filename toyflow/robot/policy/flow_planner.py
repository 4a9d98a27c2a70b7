"""A policy of toyflow as a `Planner`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from toyflow.flow import Decoding, Objective, draw_noise
from toyflow.machine import synchronise
from toyflow.networks.denoiser import Reading
from toyflow.robot.interface import Observation
from toyflow.robot.latency import MOST_SECONDS, Latency, timed
from toyflow.robot.planner import Planner
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.sizes import ACTION_WIDTH


class FlowPlanner(Planner):
    """A `Policy` that acts: encodes each observation once, then decodes in K steps from M noises.

    Args:
        policy: on its device, in evaluation mode; see `load_policy`.
        objective: the one it was trained with.
        decoding: see `set_decoding`; by default one Euler step.
    """

    def __init__(self, policy: Policy, objective: Objective, decoding: Decoding | None = None) -> None:
        self.policy, self.objective = policy, objective
        self.interface, self.horizon = policy.spec.interface, policy.spec.horizon
        self.replan = self.horizon
        self.image_size = policy.spec.image_size
        self.stage_seconds = defaultdict(float)
        self.set_decoding(decoding or Decoding())

    @property
    def takes_noise(self) -> bool:
        """See `Planner`."""
        return self.objective.uses_noise

    def set_decoding(self, decoding: Decoding) -> None:
        """See `Planner`."""
        decoding.check(self.objective)
        self.decoding, self.model_calls = decoding, decoding.model_calls(self.objective)

    def compile(self) -> None:
        """See `Planner`; encoding and denoising step are compiled separately."""
        self.policy.encode = torch.compile(self.policy.encode)
        self.policy.compile()

    @torch.inference_mode()
    def answers(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        """See `Planner`. All draws are decoded in one batch; each observation is encoded once."""
        decoding = replace(self.decoding, draws=draws)
        decoding.check(self.objective)
        began = time.perf_counter()
        condition = self.policy.encode(self.policy.prepare(observations))
        synchronise(str(self._device))
        encoded = time.perf_counter()
        sample = decoding.answers(self.objective, self.policy, condition, self._noise(seeds, draws))
        actions = self.policy.actions(sample).float().cpu().numpy()
        self.stage_seconds["condition"] += encoded - began
        self.stage_seconds["decoding"] += time.perf_counter() - encoded
        return actions

    @torch.inference_mode()
    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        """See `Planner`. T_condition is `encode` of inputs on the device, T_step is one model call for all
        draws; these and whole plans are timed separately, in turns."""
        seen = self.policy.prepare([self.any_observation()])
        condition = self.policy.encode(seen)
        plain = Decoding()
        plans = [*decodings, *([plain] if self.objective.can_decode(1) else [])]
        calls: dict[str, Callable[[], object]] = {"condition": lambda: self.policy.encode(seen)}
        calls |= {f"step M={each.draws}": self._step_of(condition, each.draws) for each in decodings}
        calls |= {each.label: self._plan_of(seen, each) for each in plans}
        most = MOST_SECONDS * len(decodings)
        times = timed(calls, partial(synchronise, str(self._device)), most)
        return [
            Latency(
                times["condition"], times[f"step M={each.draws}"], times[each.label], times.get(plain.label)
            )
            for each in decodings
        ]

    def _step_of(self, condition: Reading, draws: int) -> Callable[[], object]:
        """A denoising step of all draws, for timing."""
        repeated = self.policy.repeat(condition, draws)
        x, t = self._noise([0], draws).flatten(0, 1), torch.zeros(1, device=self._device)
        return lambda: self.policy(x, t.expand(len(x)), repeated)

    def _plan_of(self, seen: PolicyInput, decoding: Decoding) -> Callable[[], object]:
        """A plan from inputs on the device, for timing."""
        decoding.check(self.objective)
        noise = self._noise([0], decoding.draws)

        def plan() -> object:
            return decoding.answers(self.objective, self.policy, self.policy.encode(seen), noise).mean(0)

        return plan

    def _noise(self, seeds: Sequence[int], draws: int) -> Float[Tensor, "draws batch horizon width"]:
        """The noises that plans start from, by `draw_noise`; each seed's are a function of that seed."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (self.horizon, ACTION_WIDTH)
        noise = draw_noise(
            draws, lambda: torch.stack([torch.randn(shape, generator=each) for each in generators])
        )
        return noise.reshape(draws, len(seeds), *shape).to(self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.policy.parameters()).device
