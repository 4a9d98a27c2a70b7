"""A policy that LeRobot trained as a `Planner`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.machine import synchronise
from toyflow.robot.data.data_set import CAMERA, STATE
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import Latency, Times, timed
from toyflow.robot.lerobot.adapt import can_decode, set_steps
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.planner import Planner


class LeRobotPlanner(Planner):
    """A LeRobot policy with its pre- and postprocessor.

    Policies that take their noise as an argument (pi0, pi05, smolvla) plan for all observations in one batch;
    others one by one, with torch's generator seeded for each. Either way, different K start from the same
    noise.

    Args:
        cameras: {policy camera: robot camera}, where the names differ.

    Attributes:
        cameras: {policy camera: robot camera}, for all cameras.
        parameters: number of weights.

    Raises:
        UsageError: it cannot be loaded, or would use a camera twice.
    """

    def __init__(
        self,
        checkpoint: LeRobotCheckpoint,
        device: torch.device,
        cameras: Mapping[str, str] | None = None,
    ) -> None:
        self.checkpoint, self.device = checkpoint, device
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
        self.horizon = config.n_action_steps if self._stacks else config.chunk_size
        self.history = config.n_obs_steps
        self.parameters = sum(p.numel() for p in self.policy.parameters())
        self.stage_seconds = defaultdict(float)
        self.set_decoding(Decoding())

    def set_decoding(self, decoding: Decoding) -> None:
        """See `Planner`; the sampler is ignored, LeRobot's policies have their own."""
        set_steps(self.policy, decoding.steps)
        self.decoding, self.model_calls = decoding, decoding.steps

    @torch.inference_mode()
    def answers(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        """See `Planner`. All time counts as `decoding`: LeRobot does not separate the condition."""
        if draws > 1:
            raise UsageError(f"{self.checkpoint.where} is decoded at draws = 1 only.")
        began = time.perf_counter()
        if self._takes_noise:
            chunks = self._decode(observations, noise=self._noise(seeds))
        else:
            each = zip(observations, seeds, strict=True)
            chunks = torch.cat([self._decode_seeded(observation, seed) for observation, seed in each])
        actions = self._after(chunks).float().cpu().numpy()
        self.stage_seconds["decoding"] += time.perf_counter() - began
        return actions[None]

    def latency(self) -> Latency:
        """See `Planner`. T_step is half the difference between plans of 3 and of 1 steps; T_condition is a
        plan of 1 step less T_step, LeRobot's processors included. For a policy that decodes in one call,
        T_step is 0."""
        observation = self.any_observation()

        def plan_in(steps: int) -> Callable[[], object]:
            def call() -> None:
                self.set_decoding(Decoding(steps))
                self.plan([observation], [0])

            return call

        asked, seconds = self.decoding, self.stage_seconds.copy()
        wait = partial(synchronise, str(self.device))
        if can_decode(self.checkpoint.kind, 3):
            times = timed({str(k): plan_in(k) for k in dict.fromkeys((1, 3, asked.steps))}, wait)
        else:
            times = timed({"1": lambda: self.plan([observation], [0])}, wait)
        self.set_decoding(asked)
        self.stage_seconds = seconds
        one, three = times["1"], times.get("3", times["1"])
        step = Times(*(round((b - a) / 2, 4) for a, b in zip(_pair(one), _pair(three), strict=True)))
        condition = Times(*(round(a - b, 4) for a, b in zip(_pair(one), _pair(step), strict=True)))
        return Latency(condition, step, times[str(asked.steps)], one)

    @property
    def _takes_noise(self) -> bool:
        return hasattr(getattr(self.policy, "model", None), "sample_noise")

    @property
    def _stacks(self) -> bool:
        """Whether it plans from a queue of observations, as LeRobot's diffusion policy does."""
        return self.checkpoint.kind == "diffusion"

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        shape = (self.policy.config.chunk_size, self.policy.config.max_action_dim)
        draws = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(draws).to(self.device)

    def _decode_seeded(self, observation: Observation, seed: int) -> Tensor:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            return self._decode([observation])

    def _decode(self, observations: Sequence[Observation], **options: Tensor) -> Tensor:
        self.policy.reset()
        batch = self._prepared(observations)
        if self._stacks:
            self._queue([*self._earlier(observations), batch])
        return self.policy.predict_action_chunk(batch, **options)[:, : self.horizon]

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
    for name in cameras:
        if name not in own:
            raise UsageError(f"{where} has no camera {name!r}; it has {', '.join(own) or 'none'}.")
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
