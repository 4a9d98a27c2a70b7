"""LeRobot's own flow policies under our schedules and step counts, on a small SmolVLA with random weights."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip("lerobot")
pytest.importorskip("num2words", reason="SmolVLA's processor needs num2words")

from robot.lerobot.small_pi import FLOW_KINDS, small_pi
from robot.lerobot.small_smolvla import options, save_vlm
from robot.lerobot_policies import save, save_act

from toyflow.errors import UsageError
from toyflow.flow.schedules import parse_schedule
from toyflow.robot.interface import Observation
from toyflow.robot.lerobot.adapt import schedule_of, set_schedule, set_steps
from toyflow.robot.lerobot.imported import import_checkpoint
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.sweep.store import Store


@pytest.fixture(scope="module")
def smolvla(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smolvla")
    vlm = save_vlm(folder / "vlm")
    return save(folder / "policy", "smolvla", **options(vlm)), vlm


@pytest.fixture
def policy(smolvla):
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    return SmolVLAPolicy.from_pretrained(smolvla[0])


def planner(folder):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    return LeRobotPlanner(checkpoint, torch.device("cpu"))


@pytest.mark.parametrize("name", ["shift:4", "uniform", "shift:4@beta"])
def test_times_are_noise_levels_of_the_law(policy, name):
    set_schedule(policy, name, "iid", torch.Generator().manual_seed(0))
    s = policy.model.sample_time(4000, torch.device("cpu"))
    law = parse_schedule(name)
    assert s.dtype == torch.float32 and s.shape == (4000,)
    assert stats.kstest(s.numpy(), lambda x: 1 - law.cdf(torch.tensor(1 - x)).numpy()).pvalue > 1e-3


@pytest.fixture(params=FLOW_KINDS)
def any_policy(request, monkeypatch):
    if request.param == "smolvla":
        return request.getfixturevalue("policy")
    return small_pi(request.param, monkeypatch)


def batch_of(policy, actions):
    side = policy.config.image_features["observation.images.front"].shape[-1]
    return {
        "observation.images.front": torch.rand(len(actions), 3, side, side),
        "observation.state": torch.randn(len(actions), 4),
        "observation.language.tokens": torch.ones(len(actions), 12, dtype=torch.long),
        "observation.language.attention_mask": torch.ones(len(actions), 12, dtype=torch.bool),
        "action": actions,
    }


def test_training_draws_them(any_policy, monkeypatch):
    """The model is shown x = s noise + (1 - s) actions at the s that the law gave."""
    model = any_policy.model
    set_schedule(any_policy, "shift:4", generator=torch.Generator().manual_seed(0))
    drawn, shown = [], []
    sample_time, embed = model.sample_time, model.embed_suffix
    monkeypatch.setattr(model, "sample_time", lambda *size: drawn.append(sample_time(*size)) or drawn[-1])
    monkeypatch.setattr(model, "embed_suffix", lambda *seen: shown.append(seen[-2:]) or embed(*seen))
    noise = torch.randn(3, 6, 32)
    monkeypatch.setattr(model, "sample_noise", lambda *size: noise)
    actions = torch.randn(3, 6, 2)
    loss, _ = any_policy.forward(batch_of(any_policy, actions))
    [s], [(x, t)] = drawn, shown
    padded = torch.nn.functional.pad(actions, (0, 30))
    torch.testing.assert_close(t, s)
    torch.testing.assert_close(x, s[:, None, None] * noise + (1 - s)[:, None, None] * padded)
    assert torch.isfinite(loss)


def test_one_step_is_one_model_call(any_policy, monkeypatch):
    calls = []
    denoise = any_policy.model.denoise_step
    monkeypatch.setattr(any_policy.model, "denoise_step", lambda **seen: calls.append(1) or denoise(**seen))
    batch = batch_of(any_policy, torch.randn(2, 6, 2))
    noise = torch.randn(2, 6, 32)
    answers = []
    for steps in (1, 10):
        set_steps(any_policy, steps)
        any_policy.reset()
        answers.append(any_policy.predict_action_chunk(batch, noise=noise))
        assert len(calls) == steps
        calls.clear()
    assert answers[0].shape == (2, 6, 2) and not torch.allclose(*answers)


def test_a_batch_is_answered_as_each_alone(smolvla):
    plans = planner(smolvla[0])
    seen = [
        Observation(
            {"front": np.full((32, 32, 3), fill, np.uint8)},
            np.full(4, fill / 255, np.float32),
            "go to goal 1",
        )
        for fill in (20, 200)
    ]
    together = plans.plan(seen, [3, 4])
    apart = [plans.plan([each], [seed])[0] for each, seed in zip(seen, (3, 4), strict=True)]
    np.testing.assert_allclose(together, apart, atol=2e-3)  # attention in bfloat16


def test_what_has_no_times_or_steps_says_so(tmp_path):
    from lerobot.policies.act.modeling_act import ACTPolicy

    policy = ACTPolicy.from_pretrained(save_act(tmp_path / "act"))
    set_steps(policy, 1)
    with pytest.raises(UsageError, match="type act decodes in one call, not in 10 steps"):
        set_steps(policy, 10)
    with pytest.raises(UsageError, match="type act takes no schedule: it has no training times"):
        set_schedule(policy, "shift:4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name one schedule"),
        (("--schedule", "shfit:4"), "unknown schedule 'shfit"),
        (("--schedule=",), "schedule"),
    ],
)
def test_bad_input_of_the_training_command(words, said):
    done = train(*words)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_lerobot_trains_smolvla_under_our_law(smolvla, small, tmp_path):
    folder, _ = small
    done = train(
        "--schedule", "shift:4", "--policy.type=smolvla", "--policy.push_to_hub=false", "--policy.device=cpu",
        *(f"--policy.{name}={_plain(value)}" for name, value in options(smolvla[1]).items()),
        "--dataset.repo_id=local/small", f"--dataset.root={folder}", "--steps=2", "--batch_size=2",
        "--num_workers=0", f"--output_dir={tmp_path / 'out'}", "--save_freq=2", "--wandb.enable=false",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training times are drawn from shift:4" in done.stdout
    checkpoint = LeRobotCheckpoint.found(str(tmp_path / "out/checkpoints/last"))
    assert checkpoint is not None and schedule_of(checkpoint.folder) == ("shift:4", "stratified")
    cell = import_checkpoint(checkpoint, {}, Store(tmp_path / "cells"))
    assert cell.record.label == "lerobot:smolvla(shift:4)"
    config = checkpoint.folder / "train_config.json"
    done = train("--schedule", "uniform", f"--config_path={config}", "--resume=true", "--steps=4")
    assert done.returncode == 2 and "began under shift:4; go on with --schedule shift:4" in done.stderr


def train(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "toyflow.robot.lerobot.train", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
