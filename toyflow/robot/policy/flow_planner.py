"""A policy of toyflow as a `Planner`."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow import Decoding, FlowMatching, Known, Objective, draw_noise
from toyflow.machine import synchronise
from toyflow.networks.denoiser import Reading
from toyflow.robot.interface import Observation
from toyflow.robot.latency import MOST_SECONDS, Latency, timed
from toyflow.robot.planner import Commitment, Planner
from toyflow.robot.policy.committed import known_actions
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.sizes import ACTION_WIDTH

LOG = logging.getLogger(__name__)


FILM_SIDE = 64
"""Side in pixels of a simulator's images where the policy sees none: those of its films."""


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
        self.image_size = policy.spec.image_size or FILM_SIDE
        self.stage_seconds = defaultdict(float)
        self._warned_of_delay = False
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
        return self._answers(observations, seeds, draws)

    def check_continues(self) -> None:
        """See `Planner`; any decoding of objective `flow` will do."""
        if not self.objective.takes_known:
            raise UsageError(
                f"--handover rtc is for policies with objective flow, whose velocity it guides; this one has "
                f"{self.objective.name}. Take switch, blend or ensemble."
            )

    @torch.no_grad()  # not inference_mode, in whose tensors guidance could take no gradient
    def continue_plan(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        committed: Sequence[Commitment | None],
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`. A policy that was trained with `delay_max` is conditioned on the frozen actions, any
        other guided; see `toyflow.flow.guidance`."""
        self.check_continues()
        self._warn_of_delay(max((each.frozen for each in committed if each), default=0))
        answers = self._answers(observations, seeds, self.decoding.draws, committed)
        return answers.mean(0, dtype=np.float64).astype(np.float32)

    def _answers(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        draws: int,
        committed: Sequence[Commitment | None] | None = None,
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        decoding = replace(self.decoding, draws=draws)
        decoding.check(self.objective)
        began = time.perf_counter()
        seen = self.policy.prepare(observations)
        condition = self.policy.encode(seen)
        synchronise(str(self._device))
        encoded = time.perf_counter()
        noise = self._noise(seeds, draws)
        known = None if committed is None else self._known(committed, seen.state)
        sample = decoding.answers(self.objective, self.policy, condition, noise, known)
        actions = self.policy.actions(sample, seen.state).float().cpu().numpy()
        self.stage_seconds["condition"] += encoded - began
        self.stage_seconds["decoding"] += time.perf_counter() - encoded
        return actions

    def _warn_of_delay(self, frozen: int) -> None:
        """Say once where more actions are frozen than the policy learned to continue from."""
        longest = self.objective.delay_max if isinstance(self.objective, FlowMatching) else 0
        if 0 < longest < frozen and not self._warned_of_delay:
            self._warned_of_delay = True
            LOG.warning(
                "%d actions are decided when a plan begins; the policy was trained with --delay-max %d and "
                "sees no more of them, so that its chunk may jump after them.", frozen, longest,
            )  # fmt: skip

    def _known(self, committed: Sequence[Commitment | None], state: Float[Tensor, "batch state"]) -> Known:
        """What is committed as tokens of the network, with the weights of `soft_mask`. Actions that are
        relative are taken relative to the present `state`, not to that of the chunk they are left of."""
        actions, weight = known_actions(committed, self.horizon, self.interface.action_dim)
        return Known(self.policy.target(actions.to(self._device), state), weight.to(self._device))

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
