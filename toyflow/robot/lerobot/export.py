"""Exports a policy of toyflow as a LeRobot checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError

from toyflow.atomic import atomic_folder
from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.data.features import ACTION, CAMERA, STATE, camera_name, renaming_text
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.lerobot.lerobot_format import encoded
from toyflow.robot.policy.spec import PolicySpec
from toyflow.sweep.stored import StoredTraining


def export_policy(training: StoredTraining, folder: Path) -> None:
    """Write config.json, model.safetensors and the processors of a policy, so that LeRobot loads it with the
    plug-in `lerobot_policy_toyflow`.

    Args:
        training: a cell with a policy; see `find_policy`.
        folder: does not exist yet.

    Raises:
        UsageError: `folder` exists, the cell is not a policy of toyflow, or LeRobot or the plug-in is not
            installed.
        DamagedError: the weights are missing or altered.
        ToyflowError: it cannot be written.
    """
    if "policy" not in training.details:
        raise UsageError(f"{training.folder} is not a policy of toyflow: there is nothing to export.")
    if folder.exists():
        raise UsageError(f"{folder} exists; name a new folder.")
    try:  # heavy and optional
        from lerobot.configs.types import FeatureType, PolicyFeature

        from lerobot_policy_toyflow import (
            ToyflowConfig,
            ToyflowPolicy,
            make_toyflow_pre_post_processors,
        )
    except ImportError as error:
        raise UsageError(
            f"this needs LeRobot and our plug-in ({error}): in toyflow's repository, pip install -e "
            "'.[robot]' && pip install --no-deps -e lerobot_policy_toyflow"
        ) from error
    spec = PolicySpec.from_dict(training.details["policy"])
    normalisation = Normalisation.from_dict(training.details["normalisation"])
    names = _feature_names(spec, training.details.get("camera_features", {}))
    seen = {
        feature: PolicyFeature(FeatureType.VISUAL, (3, spec.image_size, spec.image_size))
        for feature in names.values()
    }
    renaming = {feature: CAMERA + name for name, feature in names.items() if camera_name(feature) != name}
    if spec.interface.state_dim:
        seen[STATE] = PolicyFeature(FeatureType.STATE, (spec.interface.state_dim,))
    config = ToyflowConfig(
        input_features=seen,
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (spec.interface.action_dim,))},
        device="cpu",
        push_to_hub=False,
        rename=renaming_text(renaming),
        **encoded(spec, normalisation, training.record, training.details.get("motion")),
    )
    policy = ToyflowPolicy(config)
    policy.model.load_state_dict(training.weights())
    with atomic_folder(folder) as temporary:
        try:
            policy.save_pretrained(temporary)
        except SafetensorError as error:
            raise ToyflowError(f"cannot write {folder}: {error}.") from error
        for processor in make_toyflow_pre_post_processors(config):
            processor.save_pretrained(temporary)


def _feature_names(spec: PolicySpec, stored: Mapping[str, str]) -> dict[str, str]:
    """{camera: feature}, as the training data named it where LeRobot hands such a feature to a policy."""
    names = {camera: stored.get(camera, "") for camera in spec.interface.cameras}
    return {
        camera: feature if feature.startswith("observation.") else CAMERA + camera
        for camera, feature in names.items()
    }
