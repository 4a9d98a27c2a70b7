"""A policy that LeRobot trained as a `Planner`.

Over 300 lines, as how observations, noise and draws become rows of a batch decides all of its answers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from toyflow.errors import UsageError, first_line
from toyflow.flow import Decoding, Known
from toyflow.machine import synchronise
from toyflow.parsing import renaming_hint
from toyflow.robot.data.features import ACTION, CAMERA, STATE
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import MOST_SECONDS, Latency, Times, timed
from toyflow.robot.lerobot.adapt import set_steps, steps_at
from toyflow.robot.lerobot.flow_policies import FLOW_POLICIES, flow_policy
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.policy_guidance import guided
from toyflow.robot.lerobot.policy_noise import SeededNoise, encode_once
from toyflow.robot.planner import Commitment, Planner
from toyflow.robot.policy.committed import known_actions

SEEDS = range(4)
"""Seeds whose plans tell whether a policy without normal noise is random. Two may draw the same code."""


class LeRobotPlanner(Planner):
    """A LeRobot policy with its pre- and postprocessor.

    Types of policy that toyflow knows to take noise (pi0, pi05, smolvla, diffusion) plan for all observations
    and all draws in one batch, and encode each observation once. Others plan for one observation after the
    other, with all draws of it in one batch, and encode it once for each. Either way, different K and M start
    from the same noise.

    Averaging where the policy samples with noise of its own in every step (diffusion with DDPM and K > 1):
    what is averaged is whole samples, and the second of a pair has the first's noise negated in every step.
    With DDIM, and with flow policies, a sample is a function of its first noise alone.

    Args:
        cameras: {policy camera: robot camera}, where the names differ.

    Attributes:
        cameras: {policy camera: robot camera}, for all cameras.
        parameters: number of weights.

    Raises:
        UsageError: it cannot be loaded, would use a camera twice, or its type cannot plan here.
    """

    def __init__(
        self,
        checkpoint: LeRobotCheckpoint,
        device: torch.device,
        cameras: Mapping[str, str] | None = None,
    ) -> None:
        self.checkpoint, self.device = checkpoint, device
        self._type = flow_policy(checkpoint.kind)
        if self._type.no_plan:
            raise UsageError(
                f"toyflow cannot plan with a LeRobot policy of type {checkpoint.kind}: {self._type.no_plan}."
            )
        self.policy, self._before, self._after = checkpoint.load(device)
        config = self.policy.config
        own = [
            str(name).removeprefix(CAMERA)
            for name in config.image_features
            if not name.startswith(f"{CAMERA}empty_camera")
        ]
        self.cameras = _renamed(own, cameras or {}, checkpoint.where)
        state, action = config.robot_state_feature, config.action_feature
        self.interface = Interface(
            tuple(self.cameras.values()),
            state.shape[0] if state else 0,
            action.shape[0],
            fps=0,
        )
        sides = [side for feature in config.image_features.values() for side in feature.shape[-2:]]
        self.image_size = max(sides, default=1)
        self.replan = config.n_action_steps
        self.history = config.n_obs_steps
        self.parameters = sum(p.numel() for p in self.policy.parameters())
        self.stage_seconds = defaultdict(float)
        self._encodes_once = encode_once(self.policy)
        self.set_decoding(Decoding())
        self.horizon = self._length()

    def set_decoding(self, decoding: Decoding) -> None:
        """See `Planner`; the sampler is ignored, as LeRobot's policies have their own.

        Raises:
            UsageError: also for a grid, and for several draws of a policy that takes no noise.
        """
        if decoding.grid is not None:
            raise UsageError(
                f"a LeRobot policy of type {self.checkpoint.kind} has a grid of its own, not {decoding.grid}."
            )
        self._check_draws(decoding.draws)
        set_steps(self.policy, decoding.steps)
        self.decoding, self.model_calls = decoding, decoding.steps

    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`. The draws are averaged before LeRobot's postprocessor, not after: the same for its
        normalisations, all of which are affine, but angles, say, have no mean in the robot's units. All time
        counts as `decoding`: LeRobot does not separate the condition."""
        if self._is_anchored and len(observations) > 1:
            each = zip(observations, seeds, strict=True)
            return np.concatenate([self.plan([seen], [seed]) for seen, seed in each])
        began = time.perf_counter()
        actions = self._in_units(self._decode(observations, seeds, self.decoding.draws).mean(0), observations)
        self.stage_seconds["decoding"] += time.perf_counter() - began
        return actions

    def answers(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        """See `Planner`."""
        self._check_draws(draws)
        if self._is_anchored and len(observations) > 1:
            each = zip(observations, seeds, strict=True)
            return np.concatenate([self.answers([seen], [seed], draws) for seen, seed in each], axis=1)
        decoded = self._decode(observations, seeds, draws)
        return np.stack([self._in_units(each, observations) for each in decoded])

    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        """See `Planner`. T_step is half the difference between plans of 3 and of 1 steps; T_condition is a
        plan of 1 step less T_step, LeRobot's processors included. For a policy that decodes in one call,
        T_step is 0."""
        observation = self.any_observation()

        def plan_in(decoding: Decoding) -> Callable[[], object]:
            def call() -> None:
                self.set_decoding(decoding)
                self.plan([observation], [0])

            return call

        def in_steps(steps: int, asked: Decoding) -> Decoding:
            return replace(asked, steps=steps)

        now, seconds = self.decoding, self.stage_seconds.copy()
        beside = (1, 3) if steps_at(self.policy) else (1,)
        told = [*decodings, Decoding(), *(in_steps(k, each) for each in decodings for k in beside)]
        calls = {each.label: plan_in(each) for each in told}
        most = MOST_SECONDS * len(decodings)
        times = timed(calls, partial(synchronise, str(self.device)), most)
        self.set_decoding(now)
        self.stage_seconds = seconds
        found: list[Latency] = []
        for asked in decodings:
            in_one, in_three = (_pair(times[in_steps(k, asked).label]) for k in (beside[0], beside[-1]))
            step = Times(*(round((b - a) / 2, 4) for a, b in zip(in_one, in_three, strict=True)))
            condition = Times(*(round(a - b, 4) for a, b in zip(in_one, _pair(step), strict=True)))
            found.append(Latency(condition, step, times[asked.label], times[Decoding().label]))
        return found

    def check_continues(self) -> None:
        """See `Planner`; policies of a type that `is_guided` can."""
        if not self._type.is_guided:
            able = ", ".join(kind for kind, each in FLOW_POLICIES.items() if each.is_guided)
            raise UsageError(
                f"--handover rtc is for toyflow policies with objective flow and LeRobot's of type {able}; "
                f"this one is of type {self.checkpoint.kind}. Take switch, blend or ensemble."
            )

    def continue_plan(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        committed: Sequence[Commitment | None],
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`; by toyflow's guidance, see `policy_guidance`."""
        self.check_continues()
        if not any(committed):
            return self.plan(observations, seeds)
        if self._is_anchored and len(observations) > 1:
            each = zip(observations, seeds, committed, strict=True)
            return np.concatenate([self.continue_plan([seen], [seed], [left]) for seen, seed, left in each])
        began = time.perf_counter()
        draws = self.decoding.draws
        known = self._known(observations, committed)
        rows = Known(*(part.repeat_interleave(draws, 0) for part in known))
        with guided(self.policy, rows, self.decoding.steps):
            chunks = self._predict(observations, SeededNoise(seeds, draws), torch.no_grad())
        answers = chunks.float().unflatten(0, (len(observations), draws)).mean(1)
        actions = self._in_units(answers, observations)
        for chunk, left in zip(actions, committed, strict=True):
            if left is not None:
                frozen = min(left.frozen, len(left.actions), self.horizon)
                chunk[:frozen] = left.actions[:frozen]
        self.stage_seconds["decoding"] += time.perf_counter() - began
        return actions

    @torch.no_grad()
    def _known(self, observations: Sequence[Observation], committed: Sequence[Commitment | None]) -> Known:
        """What is committed as the network's actions, which the preprocessor makes as in training, with the
        weights of `soft_mask`."""
        actions, weight = known_actions(committed, self.horizon, self.interface.action_dim)
        batch = self._before({**self._batch(observations), ACTION: actions})
        return Known(batch[ACTION].float().to(self.device), weight.to(self.device))

    def _length(self) -> int:
        """Actions of a chunk. For types that are not known to give all of their chunk, a plan of a blank
        observation tells."""
        config = self.policy.config
        if self._encodes_once:
            return config.n_action_steps if self._stacks else config.chunk_size
        try:
            return self._predict([self.any_observation()], SeededNoise([0], draws=1)).shape[1]
        except Exception as error:
            raise UsageError(
                f"{self.checkpoint.where}, a LeRobot policy of type {self.checkpoint.kind}, cannot plan for "
                f"a blank observation: {first_line(error)}"
            ) from error

    @property
    def _stacks(self) -> bool:
        return self._type.stacks

    @property
    def _noise_shape(self) -> tuple[int, int]:
        """Of one row of the noise that a policy of a type that toyflow knows takes."""
        config = self.policy.config
        if self._stacks:
            return config.horizon, config.action_feature.shape[0]
        return config.chunk_size, config.max_action_dim

    @property
    def takes_noise(self) -> bool:
        """See `Planner`: whether normal noise decides its plans. For a type that is not known, a plan of a
        blank observation tells.

        Raises:
            UsageError: it cannot plan for a batch.
        """
        return self._answers_differ

    @cached_property
    def _answers_differ(self) -> bool:
        if self._encodes_once:
            return True
        noise = SeededNoise([0], draws=2)
        try:
            self._predict([self.any_observation()] * 2, noise)
        except Exception as error:
            raise UsageError(
                f"{self.checkpoint.where}, a LeRobot policy of type {self.checkpoint.kind}, cannot plan for "
                f"two observations at once, which averaging needs: {first_line(error)}"
            ) from error
        return noise.answered > 0

    @property
    def is_random_otherwise(self) -> bool:
        """See `Planner`: whether plans of a blank observation differ between seeds."""
        return self._plans_differ

    @cached_property
    def _plans_differ(self) -> bool:
        if self.takes_noise:
            return False
        blank = [self.any_observation()]
        first, *others = (self._predict(blank, SeededNoise([seed], draws=1)) for seed in SEEDS)
        return not all(torch.allclose(first, other) for other in others)

    @cached_property
    def _is_anchored(self) -> bool:
        """Whether the postprocessor adds something of the observation that the preprocessor has last seen, as
        where actions are relative to the state. A batch has one such anchor only, so that each observation is
        then planned for alone. The postprocessor tells: after states of 0 and of 1 it answers differently."""
        if not self.interface.state_dim:
            return False
        chunk = torch.zeros(1, self.horizon, self.interface.action_dim, device=self.device)
        answers = []
        for fill in (0, 1):
            blank = self.any_observation()
            self._prepared([blank._replace(state=np.full_like(blank.state, fill), before=())])
            with torch.inference_mode():
                answers.append(self._after(chunk.clone()).float().cpu())
        return not torch.equal(*answers)

    def _check_draws(self, draws: int) -> None:
        if draws == 1 or self.takes_noise:
            return
        kind = f"a LeRobot policy of type {self.checkpoint.kind}"
        if self.is_random_otherwise:
            raise UsageError(f"{kind} is random, but not by normal noise: it cannot be averaged in pairs.")
        raise UsageError(f"{kind} takes no noise: there is nothing to average over {draws} draws.")

    @torch.inference_mode()
    def _in_units(
        self, chunks: Float[Tensor, "batch horizon action"], observations: Sequence[Observation]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        if self._is_anchored:  # the preprocessor has last seen a row for each draw
            self._prepared(observations)
        return self._after(chunks).float().cpu().numpy()

    @torch.inference_mode()
    def _decode(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float[Tensor, "draws batch horizon action"]:
        """The policy's answers, as its postprocessor takes them, from each of the draws."""
        if self._encodes_once:
            rows = self._predict(observations, SeededNoise(seeds, draws))
        else:
            each = zip(observations, seeds, strict=True)
            rows = torch.cat(
                [self._predict([seen] * draws, SeededNoise([seed], draws)) for seen, seed in each]
            )
        return rows.float().unflatten(0, (len(observations), draws)).transpose(0, 1)

    def _predict(
        self,
        observations: Sequence[Observation],
        noise: SeededNoise,
        without_gradients: AbstractContextManager[Any] | None = None,
    ) -> Tensor:
        """The answer to each row of noise; where the policy does not encode an observation once for its rows,
        it is given once for each. Tensors of `torch.inference_mode`, the default, take no gradient later."""
        with without_gradients or torch.inference_mode():
            self.policy.reset()
            batch = self._prepared(observations)
            if self._stacks:
                self._queue([*self._earlier(observations), batch])
            # What a policy draws other than normal noise is seeded by the first row. A policy that takes all
            # its noise may be compiled, which a mode of torch would hinder.
            options = {"noise": noise.rows(self._noise_shape).to(self.device)} if self._encodes_once else {}
            mode = noise if self._stacks or not self._encodes_once else nullcontext()
            with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []), mode:
                torch.manual_seed(noise.seeds[0])
                return self.policy.predict_action_chunk(batch, **options)

    def _earlier(self, observations: Sequence[Observation]) -> Iterator[dict[str, Any]]:
        for place in range(max(len(observation.before) for observation in observations)):
            moments = [observation.before[place] for observation in observations]
            yield self._prepared(moments)

    def _queue(self, batches: Sequence[dict[str, Any]]) -> None:
        """Fill the policy's queue with moments, oldest first, as its `select_action` does."""
        from lerobot.policies.utils import populate_queues  # heavy and optional

        for batch in batches:
            if self.policy.config.image_features:
                names = self.policy.config.image_features
                batch["observation.images"] = torch.stack([batch[name] for name in names], dim=-4)
            self.policy._queues = populate_queues(self.policy._queues, batch)

    def _prepared(self, observations: Sequence[Observation]) -> dict[str, Any]:
        """The preprocessed observations, without entries that are None."""
        batch = self._before(self._batch(observations))
        return {name: value for name, value in batch.items() if value is not None}

    def _batch(self, observations: Sequence[Observation]) -> dict[str, Any]:
        batch: dict[str, Any] = {"task": [observation.prompt for observation in observations]}
        for own, camera in self.cameras.items():
            images = [_pixels(observation, camera) for observation in observations]
            height, width = self.policy.config.image_features[CAMERA + own].shape[-2:]
            batch[CAMERA + own] = torch.stack([_sized(image, height, width) for image in images])
        if self.interface.state_dim:
            batch[STATE] = torch.from_numpy(np.stack([o.state for o in observations]).astype(np.float32))
        return batch


def _renamed(own: Sequence[str], cameras: Mapping[str, str], where: str) -> dict[str, str]:
    """{policy camera: robot camera} for all of the policy's `own` cameras; `cameras` has those whose names
    differ."""
    for name, robots in cameras.items():
        if name not in own:
            hint = renaming_hint("POLICY=ROBOT, the policy's name first", f"{robots}={name}", robots in own)
            raise UsageError(f"{where} has no camera {name!r}; it has {', '.join(own) or 'none'}.{hint}")
    found = {name: str(cameras.get(name, name)) for name in own}
    if len({*found.values()}) < len(found):
        seen = ", ".join(f"{name}={robot}" for name, robot in found.items())
        raise UsageError(f"{where} would use one camera twice: {seen}.")
    return found


def _pixels(observation: Observation, camera: str) -> Tensor:
    if camera not in observation.images:
        has = ", ".join(observation.images) or "none"
        raise UsageError(f"the observation has no camera {camera}, which the policy uses; it has {has}.")
    return torch.from_numpy(np.ascontiguousarray(observation.images[camera])).permute(2, 0, 1)


def _sized(image: Tensor, height: int, width: int) -> Tensor:
    """The image resized, in 0..1, as LeRobot's data sets give images."""
    if image.shape[-2:] != (height, width):
        from torchvision.transforms.v2.functional import resize  # heavy

        image = resize(image[None], [height, width], antialias=True)[0]
    return image.float() / 255


def _pair(times: Times) -> tuple[float, float]:
    return times.p50, times.p95
