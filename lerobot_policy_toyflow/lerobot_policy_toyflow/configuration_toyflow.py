"""The options of `lerobot-train --policy.type=toyflow`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig

from toyflow.api.command_options import ROBOT_SCHEDULE, ROBOT_TRAIN
from toyflow.robot.lerobot.lerobot_format import inputs_of
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.policy_recipes import RECIPES

POLICY = PolicyOptions()
RECIPE = RECIPES[POLICY.size]


@PreTrainedConfig.register_subclass("toyflow")
@dataclass
class ToyflowConfig(PreTrainedConfig):
    """The configuration of a toyflow policy, which LeRobot writes to config.json. Defaults are those of
    `toyflow robot-train`; those of optimiser and scheduler are for size nano.

    Args:
        size: nano, mlp (which reads the state alone), tiny or full.
        schedule: training-time schedule, a name that `toyflow schedules` lists, or a mixture of such:
            0.5:point:0+0.5:uniform.
        objective: training objective, a name that `toyflow objectives` lists.
        predict: what the network says: velocity, or data; see `toyflow.Prediction`.
        time_sampling: how a batch of training times is drawn: stratified or iid.
        num_steps: denoising steps at inference, K.
        sampler: euler, midpoint or heun.
        grid: times of the steps: uniform, a schedule's name such as shift:3, or times such as 0:0.9:1.
        draws: number M of noises that a chunk is averaged over, 1 or even; see `toyflow.Decoding`.
        chunk_size: actions of a chunk, the horizon.
        n_action_steps: actions of a chunk that are executed before the next plan.
        attention: how the action head reads images and prompt: joint, cross or full.
        supervision: action dimensions to train: mask, the robot's own; full, all 32.
        language, use_state: whether the policy reads the prompt, and the robot's state.
        image_size: side in pixels of the images that the policy sees; 0 for the size's own.
        tokeniser: hashed, or paligemma for pretrained backbones.
        pretrained_backbone: whether the backbone starts from published weights (sizes tiny and full).
        delay_max: most first actions of a chunk that the policy learns to continue from, for real-time
            chunking in toyflow; 0 is none.
        actions: whether the policy learns actions absolute, or relative to the state at the chunk's start;
            what it gives LeRobot is absolute, and stays so while a chunk is carried out.
        relative_except: numbers of an action that stay absolute then: parts of their names, or numbers
            counted from 0, joined by +; or none.
        relative_numbers: the numbers that are relative; filled in by training.
        rename: features that are read under other names: OLD=NEW, several joined by a comma.
        keep_contradictions: whether to train although the data set contradicts itself.
        fps: actions per second of the data; filled in by training.
        normalisation: mean-std or quantile.
        state_centre, state_scale, action_centre, action_scale: the normalisation, a number per dimension;
            filled in by training.
        action_lower, action_upper, action_step: range and largest step of the training data's actions; filled
            in by `toyflow robot-export`, for the limits of `toyflow robot-run`.
        normalization_mapping: LeRobot's own normalisation, which is switched off: the policy normalises.
        optimizer_lr: peak of the learning rate, for nano; for tiny set optimizer_lr=1e-4, for full 2e-4.
        optimizer_betas, optimizer_weight_decay, optimizer_grad_clip_norm: AdamW's.
        backbone_lr_multiplier: factor on the learning rate for vision and language.
        scheduler_warmup_steps, scheduler_decay_steps: iterations of the warm-up and of the cosine.
        scheduler_decay_lr: learning rate at the end of the cosine.
    """

    size: str = POLICY.size
    schedule: str = ROBOT_SCHEDULE
    objective: str = ROBOT_TRAIN.objectives[0]
    predict: str = ROBOT_TRAIN.predict[0]
    time_sampling: str = ROBOT_TRAIN.time_sampling
    num_steps: int = 1
    sampler: str = ROBOT_TRAIN.samplers[0]
    grid: str = ROBOT_TRAIN.grid[0]
    draws: int = ROBOT_TRAIN.draws[0]
    chunk_size: int = POLICY.horizon
    n_action_steps: int = POLICY.horizon
    attention: str = POLICY.attention
    supervision: str = POLICY.supervision
    language: bool = POLICY.language
    use_state: bool = POLICY.state
    image_size: int = POLICY.image_size
    tokeniser: str = "hashed"
    pretrained_backbone: bool = POLICY.pretrained
    delay_max: int = POLICY.delay_max
    actions: str = POLICY.actions
    relative_except: str = POLICY.relative_except
    relative_numbers: list[int] = field(default_factory=list)
    rename: str = ""
    keep_contradictions: bool = False
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
    optimizer_lr: float = RECIPE.learning_rate
    optimizer_betas: tuple[float, float] = (RECIPE.beta1, RECIPE.beta2)
    optimizer_weight_decay: float = RECIPE.weight_decay
    optimizer_grad_clip_norm: float = RECIPE.clip_norm
    backbone_lr_multiplier: float = RECIPE.backbone_rate
    scheduler_warmup_steps: int = RECIPE.warmup_iterations
    scheduler_decay_steps: int = 100_000
    scheduler_decay_lr: float = RECIPE.final_learning_rate

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
        """Raise an error, in one line, unless there is an action, and a camera or a state, and where
        pictures would not be seen."""
        if self.action_feature is None:
            raise ValueError(f"a toyflow policy needs the feature 'action'; there is {self._has()}.")
        inputs = inputs_of({"input_features": self.plain_input_features(), "rename": self.rename})
        if not inputs.cameras and inputs.state is None:
            raise ValueError(
                f"a toyflow policy needs a camera, a feature of pictures, or observation.state; there is "
                f"{self._has()}."
            )

    def plain_input_features(self) -> dict[str, Any]:
        """The input features as JSON values, as in config.json."""
        return {
            name: {"type": feature.type.value, "shape": list(feature.shape)}
            for name, feature in (self.input_features or {}).items()
        }

    def _has(self) -> str:
        return ", ".join([*(self.input_features or {}), *(self.output_features or {})]) or "nothing"
