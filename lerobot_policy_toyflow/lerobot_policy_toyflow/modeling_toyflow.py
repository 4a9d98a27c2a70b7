"""toyflow's network, objective and samplers behind the methods of a LeRobot policy."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from lerobot_policy_toyflow.configuration_toyflow import ToyflowConfig
from toyflow.errors import UsageError
from toyflow.flow import Decoding, draw_noise, make_objective, parse_schedule
from toyflow.robot.data.checks.gate import refuse_contradictions
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.features import ACTION, STATE, parse_renaming
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.data.resize import resized
from toyflow.robot.lerobot.lerobot_format import Inputs, decoded, inputs_of, normalisation_fields
from toyflow.robot.policy.checkpoint import delayed, normalisation_of, relative_of
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.sizes import ACTION_WIDTH

LOG = logging.getLogger(__name__)


class ToyflowPolicy(PreTrainedPolicy):
    """A toyflow policy for LeRobot's training and inference.

    Args:
        config: the policy's options; see `ToyflowConfig`. Training fills in the normalisation and the rate.
        dataset_stats: statistics of the training data; a trained policy has its normalisation in `config`.
        dataset_meta: metadata of the same data, which state the rate.

    Raises:
        toyflow.errors.UsageError: an option that does not exist, or statistics that cannot be used.
    """

    config_class = ToyflowConfig  # pyright: ignore[reportAssignmentType]
    name = "toyflow"  # pyright: ignore[reportAssignmentType]

    def __init__(
        self,
        config: ToyflowConfig,
        dataset_stats: Mapping[str, Mapping[str, Any]] | None = None,
        dataset_meta: Any = None,
        **_: Any,
    ) -> None:
        super().__init__(config)
        config.validate_features()
        self.config = config
        self._inputs = inputs_of({"input_features": config.plain_input_features(), "rename": config.rename})
        if not config.action_scale:
            if dataset_meta is not None:
                _check_data(dataset_meta, config, self._inputs)
            _fill(config, dataset_stats, self._inputs.state, dataset_meta)
        elif (config.actions == "relative") != bool(config.relative_numbers):
            was = "relative" if config.relative_numbers else "absolute"
            raise UsageError(
                f"--policy.actions={config.actions} cannot change a trained policy, whose actions are {was}; "
                "leave it out, or train anew."
            )
        if dataset_meta is not None and not config.fps:
            config.fps = float(dataset_meta.fps)
        checkpoint = decoded(_fields(config))
        schedule = parse_schedule(config.schedule)
        objective = make_objective(config.objective, schedule, config.time_sampling, checkpoint.prediction)
        self.objective = delayed(objective, checkpoint.spec.delay_max)
        self._decoding.check(self.objective)
        self.model = Policy(checkpoint.spec, checkpoint.normalisation)
        # Kernels lie channels last, and LeRobot's optimiser state can only be saved as tensors that do not.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.contiguous()
        self.objective.attach(self.model, (config.chunk_size, ACTION_WIDTH))
        self._generator: torch.Generator | None = None
        self.reset()

    def get_optim_params(self) -> list[dict[str, Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Parameter groups: the head, and the backbone with its own learning rate."""
        backbone = list(self.model.backbone.parameters())
        own = {id(parameter) for parameter in backbone}
        head = [p for p in self.model.parameters() if p.requires_grad and id(p) not in own]
        rate = self.config.optimizer_lr * self.config.backbone_lr_multiplier
        groups = [{"params": head}, {"params": [p for p in backbone if p.requires_grad], "lr": rate}]
        return [group for group in groups if group["params"]]

    def reset(self) -> None:
        """Forget the rest of the present chunk."""
        self._queue: deque[Tensor] = deque()

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
        """(loss, values to log) of a batch with action chunks [batch, chunk, action]."""
        actions = self.model.spec.interface.action_dim  # LeRobot has actions of one number without their axis
        chunks = batch[ACTION].float().reshape(-1, self.config.chunk_size, actions)
        seen = self._seen(batch)
        target = self.model.target(chunks, seen.state)
        is_pad = batch.get("action_is_pad")
        weight = None if is_pad is None else self.model.weight(is_pad)
        condition = self.model.encode(seen)
        drawn = self.objective.draw(target, self._noise())
        loss = self.objective.loss(self.model, condition, target, drawn, weight)
        return loss.value, {"mean_t": float(loss.t.mean())}

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Any], noise: Tensor | None = None, **_: Any) -> Tensor:
        """Actions [batch, chunk, action] in `config.num_steps` steps, averaged over `config.draws` draws.

        Args:
            noise: to start from, [batch, chunk, 32] for one draw, else [draws, batch, chunk, 32], see
                `toyflow.draw_noise`; None draws it from torch's global generator.
        """
        self.eval()
        seen = self._seen(batch)
        condition = self.model.encode(seen)
        if noise is None:
            shape = (len(batch[next(iter(self.config.input_features or {}))]), self.config.chunk_size)
            noise = draw_noise(
                self.config.draws, lambda: torch.randn(*shape, ACTION_WIDTH, device=self._device)
            )
        sample = self._decoding.sample(self.objective, self.model, condition, noise)
        return self.model.actions(sample, seen.state).float()

    @torch.no_grad()
    def select_action(self, batch: dict[str, Any], noise: Tensor | None = None, **_: Any) -> Tensor:
        """The next action [batch, action]; plans anew when `config.n_action_steps` have been taken."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch, noise)[:, : self.config.n_action_steps]
            self._queue.extend(chunk.unbind(1))
        return self._queue.popleft()

    def _seen(self, batch: Mapping[str, Any]) -> PolicyInput:
        spec = self.model.spec
        images = {
            camera: resized((batch[feature] * 255).round().to(torch.uint8), spec.image_size)
            for camera, feature in self._inputs.cameras.items()
        }
        dims = spec.interface.state_dim
        state = batch[self._inputs.state].float().reshape(-1, dims) if self._inputs.state else None
        size = len(next(iter(images.values())) if state is None else state)
        state = torch.zeros(size, 0) if state is None else state
        prompts = batch.get("task") or [""] * size
        return PolicyInput(images, state, self.model.tokeniser(list(prompts))).to(self._device)

    def _noise(self) -> torch.Generator:
        """The generator of training, seeded from torch's global one, which LeRobot seeds."""
        if self._generator is None:
            self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return self._generator

    @property
    def _decoding(self) -> Decoding:
        """As the configuration says now: steps may be set between plans."""
        config = self.config
        grid = None if config.grid == "uniform" else config.grid
        return Decoding(config.num_steps, config.sampler, grid, config.draws)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def _check_data(meta: Any, config: ToyflowConfig, inputs: Inputs) -> None:
    """Raise UsageError where the data set contradicts itself, if all of it is here; say which of its features
    are not read."""
    for feature in inputs.unused:
        LOG.warning("data set %s, %s: a toyflow policy does not read it.", meta.repo_id, feature)
    if inputs.state is None or config.keep_contradictions:  # a check reads the state, too
        return
    root = Path(meta.root)
    if _is_whole(meta):
        cameras, stay = tuple(inputs.cameras), _policy_options(config).stays_absolute
        refuse_contradictions(str(meta.root), root, config.rename, cameras, stay)
    else:
        LOG.warning("data set %s: not all of its files are here, so it is not checked.", meta.repo_id)


def _is_whole(meta: Any) -> bool:
    """Whether all tables of a data set are on this machine."""
    paths = (meta.get_data_file_path(episode) for episode in range(meta.total_episodes))
    return all((Path(meta.root) / path).is_file() for path in paths)


def _policy_options(config: ToyflowConfig) -> PolicyOptions:
    """The part of the configuration that says how actions are learned."""
    return PolicyOptions(
        horizon=config.chunk_size,
        normalisation=config.normalisation,  # pyright: ignore[reportArgumentType]
        actions=config.actions,  # pyright: ignore[reportArgumentType]
        relative_except=config.relative_except,
    )


def _fill(
    config: ToyflowConfig,
    statistics: Mapping[str, Mapping[str, Any]] | None,
    stored_state: str | None,
    meta: Any,
) -> None:
    """Store the normalisation by the data's statistics in `config`, and which numbers of an action are
    relative."""
    if config.actions != "absolute":
        normalisation, config.relative_numbers = _relative(config, meta)
        for name, value in normalisation_fields(normalisation).items():
            setattr(config, name, value)
        return
    if statistics is None:
        raise ValueError("a toyflow policy without weights needs the statistics of a data set to train on.")
    nothing = {"mean": [], "std": [], "q01": [], "q99": []}
    state, action = (
        {
            name: torch.as_tensor(value).flatten().tolist()
            for name, value in statistics.get(key, nothing).items()
        }
        for key in (stored_state or STATE, ACTION)
    )
    normalisation = Normalisation.from_statistics(state, action, kind=config.normalisation)
    for name, value in normalisation_fields(normalisation).items():
        setattr(config, name, value)


def _relative(config: ToyflowConfig, meta: Any) -> tuple[Normalisation, list[int]]:
    """The normalisation of actions relative to the state, and the numbers that are. LeRobot's statistics are
    of absolute actions, so these are computed from the data."""
    options = _policy_options(config)
    if meta is None or not _is_whole(meta):
        raise UsageError(
            "--policy.actions=relative computes its statistics from the whole data set, which is not on this "
            "machine; train with --policy.actions=absolute, or without choosing episodes."
        )
    data = DataSet(str(meta.root), parse_renaming(config.rename))
    return normalisation_of(data, options), list(relative_of(data, options))


def _fields(config: ToyflowConfig) -> dict[str, Any]:
    """The configuration as JSON values, as in config.json."""
    features = {
        part: {
            name: {"type": feature.type.value, "shape": list(feature.shape)}
            for name, feature in (getattr(config, part) or {}).items()
        }
        for part in ("input_features", "output_features")
    }
    return {**asdict(config), **features}
