"""The frames of demonstrations on which policies are probed, without augmentation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from toyflow.errors import UsageError
from toyflow.flow import Model, Objective
from toyflow.networks.denoiser import Reading
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.features import renaming_text
from toyflow.robot.data.moments import episodes_of, spread_frames
from toyflow.robot.data.resize import resized
from toyflow.robot.data.training_part import Demonstrations, held_out_episodes
from toyflow.robot.policy.checkpoint import load_policy
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.sizes import ACTION_WIDTH
from toyflow.robot.policy.spec import PolicySpec
from toyflow.seeds import generator
from toyflow.sweep.stored import StoredTraining
from toyflow.training import Batch, Bench

TOLERANCE = 0.1
"""A plan counts as right if no number of an action differs from the demonstration by more than this share of
its normalised unit."""


def bench_of(
    training: StoredTraining, examples: int, device: torch.device, where: str | None = None
) -> Bench:
    """Up to `examples` evenly spread frames with a whole chunk ahead, and noise to start from. They are of
    the episodes that were held out of the training, where some were.

    Args:
        where: the demonstrations, if they have moved since training.

    Raises:
        UsageError: the demonstrations are not found, differ from those of the training, or have fewer than 2
            episodes to take frames of.
    """
    if where is None and "dataset_path" not in training.details:
        raise UsageError(f"policy {training.record.key} does not know its data: name them with --data-dir.")
    rename = renaming_text(training.details.get("renamed_features", {}))
    data = open_data_set(where or training.details["dataset_path"], rename)
    trained_on = data.is_of(training.record.data)
    if not trained_on and "imported" not in training.details:
        raise UsageError(
            f"{data.where} is not what {training.record.key} was trained on (fingerprint {data.fingerprint}, "
            f"not {training.record.data.get('fingerprint')}); name that with --data-dir."
        )
    policy, _ = load_policy(training)
    held_out = held_out_episodes(data.episodes, Demonstrations.parse(training.record.data).hold_out)
    frames = spread_frames(data, policy.spec.horizon, examples, held_out or None)
    groups = episodes_of(data, frames)
    chunks = data.chunks(frames, policy.spec.horizon)
    images = _images(data, policy.spec, frames)
    observation = PolicyInput(images, chunks.state, policy.tokeniser(chunks.prompts))
    target = policy.target(chunks.actions, chunks.state)[..., : policy.spec.action_dims]
    test = Batch(observation, target).to(device)
    noise = torch.randn(test.target.shape, generator=generator(0, "test noise")).to(device)

    def load(trained: StoredTraining) -> tuple[Model, Objective]:
        model, objective = load_policy(trained)
        return TrainedDimensions(model.to(device)), objective

    def outcome(sample: Tensor) -> Tensor:
        close = (sample - test.target).abs()[..., : policy.spec.interface.action_dim] < TOLERANCE
        return close.flatten(1).all(1).float()

    if not trained_on:
        origin = "frames that may be of training"
    else:
        origin = "held-out episodes" if held_out else "frames of training"
    return Bench(test, noise, load, outcome, groups=groups, origin=origin)


class TrainedDimensions(Model):
    """A policy restricted to the action dimensions that it was trained on: the dimensions that pad these to
    32 are zero, and would dilute errors."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def encode(self, observation: PolicyInput) -> Reading:
        """See `Policy.encode`."""
        return self.policy.encode(observation)

    def forward(
        self,
        x: Float[Tensor, "batch horizon trained"],
        t: Float[Tensor, "batch"],
        condition: Reading,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch horizon trained"]:
        """See `Policy.forward`."""
        dims = x.shape[-1]
        return self.policy(pad(x, (0, ACTION_WIDTH - dims)), t, condition, r)[..., :dims]


def _images(data: DataSet, spec: PolicySpec, frames: Tensor) -> dict[str, Tensor]:
    cameras = spec.interface.cameras
    rows = [data.images(int(frame), cameras) for frame in frames]
    return {
        camera: torch.cat([resized(row[camera][None], spec.image_size) for row in rows]) for camera in cameras
    }
