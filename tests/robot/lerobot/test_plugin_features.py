"""Which of LeRobot's features the plug-in's policy reads, and what it says of the others."""

import json
import logging
import random
import shutil
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lerobot")
pytest.importorskip("lerobot_policy_toyflow", reason="pip install -e lerobot_policy_toyflow")

from lerobot.configs.types import FeatureType, PolicyFeature
from robot.corrections import rename_features
from robot.data.checks.contradictions import CONTRADICTIONS

from lerobot_policy_toyflow import ToyflowConfig, ToyflowPolicy
from toyflow.errors import UsageError
from toyflow.robot.lerobot.lerobot_format import decoded

IMAGE = PolicyFeature(FeatureType.VISUAL, (3, 32, 32))
STATE, ACTION = PolicyFeature(FeatureType.STATE, (4,)), PolicyFeature(FeatureType.ACTION, (2,))


def config(inputs, action=ACTION, **options):
    return ToyflowConfig(
        input_features=inputs, output_features={"action": action}, device="cpu", push_to_hub=False,
        chunk_size=4, n_action_steps=4, image_size=32, fps=10.0, **options,
    )  # fmt: skip


def statistics(state=4, action=2, name="observation.state"):
    return {name: {"mean": torch.zeros(state), "std": torch.ones(state)},
            "action": {"mean": torch.zeros(action), "std": torch.ones(action)}}  # fmt: skip


def test_pushts_camera_is_seen():
    """`observation.image` was dropped without a word, and the policy trained blind."""
    inputs = {"observation.image": IMAGE, "observation.state": STATE}
    policy = ToyflowPolicy(config(inputs), statistics())
    assert policy.model.spec.interface.cameras == ("image",)
    batch = {
        "observation.image": torch.zeros(1, 3, 32, 32),
        "observation.state": torch.zeros(1, 4), "task": ["go"],
    }  # fmt: skip
    noise = torch.zeros(1, 4, 32)
    dark = policy.predict_action_chunk(batch, noise=noise)
    lit = {**batch, "observation.image": torch.ones(1, 3, 32, 32)}
    assert not torch.equal(policy.predict_action_chunk(lit, noise=noise), dark)


def test_features_are_renamed():
    inputs = {"observation.images.top": IMAGE, "observation.qpos": STATE}
    rename = "observation.images.top=observation.images.front,observation.qpos=observation.state"
    policy = ToyflowPolicy(config(inputs, rename=rename), statistics(name="observation.qpos"))
    interface = policy.model.spec.interface
    assert interface.cameras == ("front",) and interface.state_dim == 4
    assert dict(interface.renamed) == {"front": "top", "state": "observation.qpos"}
    batch = {
        "observation.images.top": torch.zeros(2, 3, 32, 32), "observation.qpos": torch.zeros(2, 4),
        "task": ["go"] * 2, "action": torch.zeros(2, 4, 2),
    }  # fmt: skip
    assert torch.isfinite(policy(batch)[0])


def test_a_state_and_an_action_of_one_number_train():
    one, act = PolicyFeature(FeatureType.STATE, (1,)), PolicyFeature(FeatureType.ACTION, (1,))
    policy = ToyflowPolicy(config({"observation.state": one}, act), statistics(1, 1))
    batch = {"observation.state": torch.zeros(1, 5), "action": torch.zeros(5, 4), "task": ["go"] * 5}
    assert torch.isfinite(policy(batch)[0])  # as LeRobot's loader and preprocessor hand them over


@pytest.mark.parametrize(
    ("inputs", "rename", "said"),
    [
        ({"image": IMAGE}, "", "LeRobot hands only observation.* to a policy, not image, .*robot-train"),
        (
            {"observation.images.depth": PolicyFeature(FeatureType.VISUAL, (1, 32, 32))}, "",
            r"observation.images.depth has shape \(1, 32, 32\), not three channels",
        ),
        (
            {"observation.image": IMAGE, "observation.images.image": IMAGE}, "",
            "would both be the camera image",
        ),
        ({"observation.image": IMAGE}, "observation.picture=observation.images.top", "feature to rename"),
        (
            {"observation.image": IMAGE}, "observation.images.top=observation.image",
            r"--policy.rename takes DATA=POLICY, the data set's name first: try the other way round: "
            r"--policy.rename observation.image=observation.images.top\.$",
        ),
    ],
)  # fmt: skip
def test_what_would_not_be_seen_is_refused_by_name(inputs, rename, said):
    with pytest.raises(UsageError, match=said):
        config({**inputs, "observation.state": STATE}, rename=rename).validate_features()


def metadata(folder):
    from lerobot.datasets.lerobot_dataset import LeRobotDatasetMetadata

    return LeRobotDatasetMetadata("mine", root=folder)


def made_by_lerobot(folder, **options) -> Any:
    """The policy that lerobot-train makes for this data set."""
    from lerobot.policies.factory import make_policy

    chosen = ToyflowConfig(device="cpu", push_to_hub=False, chunk_size=4, n_action_steps=4, **options)
    return make_policy(chosen, ds_meta=metadata(folder))


def test_lerobots_training_checks_its_data(small, tmp_path, caplog):
    folder = shutil.copytree(small[0], tmp_path / "data")
    rename_features(folder, {"observation.images.front": "observation.image"})
    policy = made_by_lerobot(folder)
    assert set(policy.model.spec.interface.cameras) == {"image", "wrist"}
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.environment_state"] = info["features"]["observation.state"]
    (folder / "meta/info.json").write_text(json.dumps(info))
    CONTRADICTIONS["nan state"](folder, random.Random(0))
    with caplog.at_level(logging.WARNING), pytest.raises(UsageError, match="toyflow robot-data check"):
        made_by_lerobot(folder)
    assert "observation.environment_state: a toyflow policy does not read it" in caplog.text


def test_what_a_config_says_of_its_inputs_comes_back():
    inputs = {"observation.image": IMAGE, "observation.state": STATE}
    policy = ToyflowPolicy(config(inputs, rename="observation.image=observation.images.top"), statistics())
    from lerobot_policy_toyflow.modeling_toyflow import _fields

    interface = decoded(_fields(policy.config)).spec.interface
    assert interface.cameras == ("top",) and interface.renamed == (("top", "image"),)
    assert np.isfinite(interface.fps)
