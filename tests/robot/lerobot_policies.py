"""LeRobot's own policies with random weights, in LeRobot's files, for the environment `points`."""

from pathlib import Path
from typing import Any

import torch


def features(pixels: int) -> dict[str, Any]:
    """Of a configuration: one camera, states of 4 numbers, actions of 2."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    return {
        "input_features": {
            "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, pixels, pixels)),
            "observation.state": PolicyFeature(FeatureType.STATE, (4,)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (2,))},
    }


def save(folder: Path, kind: str, **options) -> Path:
    """A policy of this kind for `points`: one camera of 32 pixels, states of 4 numbers, actions of 2."""
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    torch.manual_seed(0)
    config = make_policy_config(kind, **features(32), device="cpu", push_to_hub=False, **options)
    policy = get_policy_class(kind)(config)
    policy.save_pretrained(folder)
    one = torch.ones(1)
    spread = {"mean": 0 * one, "std": one, "min": -one, "max": one, "q01": -one, "q99": one}
    statistics = {
        "observation.images.front": {name: value.reshape(1, 1, 1) for name, value in spread.items()},
        "observation.state": {name: value.expand(4) for name, value in spread.items()},
        "action": {name: value.expand(2) for name, value in spread.items()},
    }
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)
    return folder


def save_diffusion(folder: Path, scheduler: str = "DDIM") -> Path:
    """A small diffusion policy, which looks at two moments; its sampler is DDIM or DDPM."""
    return save(
        folder, "diffusion", horizon=8, n_action_steps=4, down_dims=(16, 32),
        pretrained_backbone_weights=None, num_train_timesteps=20, crop_shape=None,
        spatial_softmax_num_keypoints=4, noise_scheduler_type=scheduler,
        use_group_norm=True, use_separate_rgb_encoder_per_camera=False,  # defaults differ among versions
    )  # fmt: skip


def save_act(folder: Path) -> Path:
    """A small policy without denoising steps."""
    return save(
        folder, "act", chunk_size=6, n_action_steps=5, dim_model=32, n_heads=2, dim_feedforward=32,
        n_encoder_layers=1, n_vae_encoder_layers=1, pretrained_backbone_weights=None,
    )  # fmt: skip
