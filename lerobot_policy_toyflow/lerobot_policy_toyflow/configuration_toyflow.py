"""The options of `lerobot-train --policy.type=toyflow`."""

from __future__ import annotations

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig

from toyflow.robot.policy.policy_options import PolicyOptions

POLICY = PolicyOptions()
"""Its defaults are those of `toyflow robot-train`."""


@PreTrainedConfig.register_subclass("toyflow")
@dataclass
class ToyflowConfig(PreTrainedConfig):
    """The configuration of a toyflow policy, as LeRobot keeps it in config.json.

    Args:
        size: nano, tiny or full.
        schedule: training-time schedule, as `toyflow schedules` lists them.
        objective: as `toyflow objectives` lists them.
        num_steps: denoising steps at inference, K.
        sampler: euler, midpoint or heun.
        chunk_size: actions of a chunk, the horizon.
        n_action_steps: actions of a chunk that are carried out before the next plan.
        fps: of the data; filled in by training.
        normalisation: mean-std or quantile; centre and scale are filled in by training.
        action_lower, action_upper, action_step: range and largest step of the training data's actions; from
            `toyflow robot-train`, for the limits of `toyflow robot-run`.
        backbone_lr_multiplier: factor on the learning rate for vision and language.
    """

    size: str = POLICY.size
    schedule: str = "shift:4"
    objective: str = "flow"
    time_sampling: str = "stratified"
    num_steps: int = 1
    sampler: str = "euler"
    chunk_size: int = POLICY.horizon
    n_action_steps: int = POLICY.horizon
    attention: str = POLICY.attention
    supervision: str = POLICY.supervision
    language: bool = POLICY.language
    use_state: bool = POLICY.state
    image_size: int = POLICY.image_size
    tokeniser: str = "hashed"
    pretrained_backbone: bool = POLICY.pretrained
    fps: float = 0.0
    normalisation: str = POLICY.normalisation
    state_centre: list[float] = field(default_factory=list)
    state_scale: list[float] = field(default_factory=list)
    action_centre: list[float] = field(default_factory=list)
    action_scale: list[float] = field(default_factory=list)
    action_lower: list[float] = field(default_factory=list)
    action_upper: list[float] = field(default_factory=list)
    action_step: list[float] = field(default_factory=list)
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY)
    )
    optimizer_lr: float = 1e-3
    optimizer_betas: tuple[float, float] = (0.9, 0.95)
    optimizer_weight_decay: float = 1e-4
    optimizer_grad_clip_norm: float = 1.0
    backbone_lr_multiplier: float = 1.0
    scheduler_warmup_steps: int = 200
    scheduler_decay_steps: int = 100_000
    scheduler_decay_lr: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(
                f"n_action_steps is 1 to chunk_size, {self.chunk_size}, not {self.n_action_steps}."
            )

    @property
    def observation_delta_indices(self) -> None:
        """None: the policy sees the present moment only."""
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        """A chunk from the present moment on."""
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        """None: rewards are not used."""
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        """AdamW with clipped gradients."""
        return AdamWConfig(
            lr=self.optimizer_lr,
            betas=self.optimizer_betas,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=self.optimizer_grad_clip_norm,
        )

    def get_scheduler_preset(self) -> CosineDecayWithWarmupSchedulerConfig:
        """Warm-up and a cosine, which LeRobot shortens to the length of the training."""
        return CosineDecayWithWarmupSchedulerConfig(
            num_warmup_steps=self.scheduler_warmup_steps,
            num_decay_steps=self.scheduler_decay_steps,
            peak_lr=self.optimizer_lr,
            decay_lr=self.scheduler_decay_lr,
        )

    def validate_features(self) -> None:
        """Raise ValueError, in one line, unless there is an action, and a camera or a state."""
        if self.action_feature is None:
            raise ValueError(f"a toyflow policy needs the feature 'action'; there is {self._has()}.")
        if not self.image_features and self.robot_state_feature is None:
            raise ValueError(
                f"a toyflow policy needs a camera, observation.images.NAME, or observation.state; there is "
                f"{self._has()}."
            )

    def _has(self) -> str:
        return ", ".join([*(self.input_features or {}), *(self.output_features or {})]) or "nothing"
