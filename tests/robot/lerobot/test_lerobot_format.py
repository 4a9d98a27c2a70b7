"""Policies of ours in LeRobot's files, and LeRobot's commands on them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lerobot")
pytest.importorskip("lerobot_policy_toyflow", reason="pip install -e lerobot_policy_toyflow")

from robot.lerobot_policies import save_act
from robot.lerobot_robot import install

from toyflow.atomic import DamagedError
from toyflow.errors import UsageError
from toyflow.flow import Decoding, draw_noise
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.interface import Observation
from toyflow.robot.lerobot.adapt import set_steps
from toyflow.robot.lerobot.export import export_policy
from toyflow.robot.lerobot.imported import import_checkpoint
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_format import decoded
from toyflow.robot.limits import Limits
from toyflow.robot.planner import Commitment
from toyflow.robot.policy.checkpoint import build_policy
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy_opening import open_planner
from toyflow.robot.robot_task import RobotTask
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained
from toyflow.sweep.sweep_options import SweepOptions

CPU = torch.device("cpu")
TRAIN = (
    "--policy.push_to_hub=false", "--policy.device=cpu", "--dataset.repo_id=local/small", "--batch_size=4",
    "--num_workers=0", "--wandb.enable=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def cell(small, tmp_path_factory):
    """An untrained policy of ours as a cell, and a planner of it."""
    return untrained("shift:4", small[0], tmp_path_factory.mktemp("cell"))


def untrained(schedule: str, data_set: Path, out: Path, predict: str = "velocity", delay_max: int = 0):
    import pandas as pd

    options = SweepOptions().updated(
        {
            "task": "robot",
            "schedules": schedule,
            "predict": predict,
            "seeds": "0",
            "set": {"dataset": [str(data_set)], "suite": ["none"], "delay-max": [str(delay_max)]},
        },
        "test",
    )
    [planned] = plan_sweep(options, RobotTask)
    data = DataSet(str(data_set))
    policy, objective = build_policy(planned.training, data)
    store = Store(out)
    store.prepare()
    details = {
        "policy": policy.spec.as_dict(),
        "normalisation": policy.normalisation.as_dict(),
        "parameters": 0,
        "seconds": 0.0,
        "made_of": {},
    }
    weights = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    store.write_training(planned.training, Trained(weights, pd.DataFrame({"loss": []}), details), {})
    return store.training(planned.training.key), FlowPlanner(policy.eval(), objective)


def observation(fill: int = 90) -> Observation:
    images = {name: np.full((64, 64, 3), fill, np.uint8) for name in ("front", "wrist")}
    return Observation(images, np.linspace(-1, 1, 4, dtype=np.float32), "go left")


def imported(folder: Path, out: Path):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    return import_checkpoint(checkpoint, {}, Store(out))


def test_there_and_back_it_plans_the_same(cell, tmp_path):
    stored, planner = cell
    export_policy(stored, tmp_path / "exported")
    back = imported(tmp_path / "exported", tmp_path / "out")
    assert back.record.label == "shift:4" and back.record.key != stored.record.key
    ours = open_planner(back, CPU)
    for steps in (1, 10):
        planner.set_decoding(Decoding(steps))
        ours.set_decoding(Decoding(steps))
        np.testing.assert_array_equal(ours.plan([observation()], [3]), planner.plan([observation()], [3]))
    with pytest.raises(UsageError, match="exported exists; name a new folder"):
        export_policy(stored, tmp_path / "exported")


def test_what_limits_a_robot_comes_back(cell, tmp_path):
    stored, _ = cell
    moved = {"lower": [-0.5] * 2, "upper": [0.25] * 2, "step": [0.125] * 2}
    for details, motion in ((stored.details, None), ({**stored.details, "motion": moved}, moved)):
        folder = tmp_path / f"exported-{motion is None}"
        export_policy(replace(stored, details=details), folder)
        back = imported(folder, tmp_path / "out").details
        assert back.get("motion") == motion
        assert Limits.of_data(back).as_dict() == Limits.of_data(details).as_dict()


@pytest.mark.parametrize(
    "values",
    [
        {"action_lower": [0.0]},
        {"action_lower": [0.0], "action_upper": [1.0], "action_step": [0.1]},
        {"action_lower": [0.0] * 2, "action_upper": [float("nan")] * 2, "action_step": [0.1] * 2},
        {"action_lower": [2.0] * 2, "action_upper": [1.0] * 2, "action_step": [0.1] * 2},
        {"action_lower": [0.0] * 2, "action_upper": [1.0] * 2, "action_step": [-0.1] * 2},
    ],
)
def test_limits_that_make_no_sense_are_damage(cell, tmp_path, values):
    export_policy(cell[0], tmp_path / "exported")
    config = json.loads((tmp_path / "exported/config.json").read_text())
    assert decoded(config).motion is None
    with pytest.raises(DamagedError, match=r"has a value of the wrong type: .*action_"):
        decoded({**config, **values})


@pytest.mark.parametrize("predict", ["data", "data:velocity-loss"])
def test_a_prediction_and_a_mixture_come_back(predict, small, tmp_path):
    stored, planner = untrained("0.5:point:0+0.5:uniform", small[0], tmp_path / "cell", predict)
    export_policy(stored, tmp_path / "exported")
    config = json.loads((tmp_path / "exported/config.json").read_text())
    assert config["predict"] == predict and config["schedule"] == "0.5:point:0+0.5:uniform"
    back = imported(tmp_path / "exported", tmp_path / "out")
    assert back.record.prediction == predict and back.record.label == stored.record.label
    ours = open_planner(back, CPU)
    for decoding in (Decoding(), Decoding(3, "heun", draws=4)):
        planner.set_decoding(decoding)
        ours.set_decoding(decoding)
        np.testing.assert_array_equal(ours.plan([observation()], [3]), planner.plan([observation()], [3]))


def test_the_longest_delay_of_training_comes_back(small, tmp_path):
    """Without it the policy would be guided where it was trained to be conditioned."""
    stored, planner = untrained("shift:4", small[0], tmp_path / "cell", delay_max=3)
    export_policy(stored, tmp_path / "exported")
    config = json.loads((tmp_path / "exported/config.json").read_text())
    assert config["delay_max"] == 3 and decoded(config).spec.delay_max == 3
    ours = open_planner(imported(tmp_path / "exported", tmp_path / "out"), CPU)
    left = Commitment(np.full((5, 2), 0.5, np.float32), 2)
    before, after = (each.continue_plan([observation()], [3], [left]) for each in (planner, ours))
    np.testing.assert_array_equal(after, before)
    assert loaded(tmp_path / "exported").objective.delay_max == 3
    with pytest.raises(UsageError, match="--delay-max must be below the horizon, 10"):
        loaded(tmp_path / "exported", delay_max=10)
    with pytest.raises(UsageError, match="--delay-max is for objective flow"):
        loaded(tmp_path / "exported", objective="regression")


def test_a_config_of_an_earlier_version_predicts_the_velocity(cell, tmp_path):
    export_policy(cell[0], tmp_path / "exported")
    file = tmp_path / "exported/config.json"
    config = json.loads(file.read_text())
    for later in ("predict", "grid", "draws", "delay_max"):
        del config[later]
    assert decoded(config).prediction is None
    shutil.copytree(tmp_path / "exported", tmp_path / "earlier")
    (tmp_path / "earlier/manifest.json").unlink()
    (tmp_path / "earlier/config.json").write_text(json.dumps(config))
    assert imported(tmp_path / "earlier", tmp_path / "out").record.prediction is None
    assert loaded(tmp_path / "earlier").objective.prediction.name == "velocity"
    with pytest.raises(UsageError, match=r"unknown prediction 'dta'\. Did you mean 'data'"):
        decoded({**config, "predict": "dta"})


def test_what_needs_no_schedule_comes_back_without_one(small, tmp_path):
    stored, _ = untrained("regression", small[0], tmp_path / "cell")
    export_policy(stored, tmp_path / "exported")
    assert imported(tmp_path / "exported", tmp_path / "out").record.label == "regression"


def test_lerobot_plans_the_same(cell, tmp_path):
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    stored, planner = cell
    export_policy(stored, tmp_path / "exported")
    policy = get_policy_class("toyflow").from_pretrained(tmp_path / "exported")
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(tmp_path / "exported"))
    seen, batch = observation(), batch_of_one()
    noise = torch.randn(1, 10, 32, generator=torch.Generator().manual_seed(3))
    for steps in (1, 10):
        set_steps(policy, steps)
        planner.set_decoding(Decoding(steps))
        ours = planner.plan([seen], [3])
        chunk = after(policy.predict_action_chunk(before(dict(batch)), noise=noise))
        np.testing.assert_allclose(chunk.numpy(), ours, rtol=0, atol=1e-6)
        policy.reset()
        taken = [policy.select_action(before(dict(batch)), noise=noise).numpy() for _ in range(10)]
        np.testing.assert_allclose(np.stack(taken, 1), ours, rtol=0, atol=1e-6)


def test_lerobot_averages_draws(cell, tmp_path):
    stored, planner = cell
    export_policy(stored, tmp_path / "exported")
    policy = loaded(tmp_path / "exported", draws=4, grid="0:0.9:1", num_steps=2)
    planner.set_decoding(Decoding(2, grid="0:0.9:1", draws=4))
    generator = torch.Generator().manual_seed(3)
    noise = draw_noise(4, lambda: torch.randn(1, 10, 32, generator=generator))
    batch = batch_of_one()
    ours = planner.plan([observation()], [3])
    np.testing.assert_allclose(policy.predict_action_chunk(dict(batch), noise=noise), ours, rtol=0, atol=1e-6)
    taken = [policy.select_action(dict(batch), noise=noise).numpy() for _ in range(10)]
    np.testing.assert_allclose(np.stack(taken, 1), ours, rtol=0, atol=1e-6)
    torch.manual_seed(5)
    drawn = policy.predict_action_chunk(dict(batch))
    torch.manual_seed(5)
    noise = draw_noise(4, lambda: torch.randn(1, 10, 32))
    torch.testing.assert_close(drawn, policy.predict_action_chunk(dict(batch), noise=noise))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"draws": 3}, "draws must be 1 or an even number"),
        ({"grid": "0:0.9:1"}, "grid 0:0.9:1 makes 2 steps, not 1"),
        ({"predict": "noise"}, "prediction 'noise' cannot be decoded from t = 0"),
        ({"objective": "regression", "draws": 2}, "objective 'regression' decodes without noise"),
        ({"objective": "regression", "predict": "data"}, "objective 'regression' has no use for prediction"),
        ({"schedule": "0.5:point:0+0.6:uniform"}, "sum to"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, said, cell, tmp_path):
    export_policy(cell[0], tmp_path / "exported")
    with pytest.raises(UsageError, match=said) as caught:
        loaded(tmp_path / "exported", **options)
    assert "\n" not in str(caught.value)


def loaded(folder: Path, **options) -> Any:
    """LeRobot's policy from a folder, with other options, as --policy.NAME=VALUE gives them."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    config = PreTrainedConfig.from_pretrained(folder)
    for name, value in options.items():
        setattr(config, name, value)
    return get_policy_class("toyflow").from_pretrained(folder, config=config)


def batch_of_one() -> dict[str, Any]:
    """`observation()` as LeRobot hands it over."""
    seen = observation()
    images = {f"observation.images.{name}": torch.full((1, 3, 64, 64), 90 / 255) for name in seen.images}
    return {**images, "observation.state": torch.from_numpy(seen.state)[None], "task": [seen.prompt]}


def test_what_cannot_be_moved_says_so(cell, tmp_path):
    with pytest.raises(DamagedError, match="has no 'chunk_size'"):
        decoded(
            {"input_features": {}, "output_features": {"action": {"shape": [2]}}, "fps": 1, "size": "nano"}
        )
    act = imported(save_act(tmp_path / "act"), tmp_path / "out")
    with pytest.raises(UsageError, match="is not a policy of toyflow"):
        export_policy(act, tmp_path / "exported")


@pytest.mark.slow
def test_lerobot_trains_stops_and_goes_on(small, tmp_path):
    folder, _ = small
    out = tmp_path / "out"
    data = f"--dataset.root={folder}"
    run(
        "lerobot-train", "--policy.type=toyflow", *TRAIN, data, f"--output_dir={out}", "--steps=4",
        "--save_freq=2", "--policy.schedule=0.5:point:0+0.5:shift:4", "--policy.image_size=32",
        "--policy.predict=data",
    )  # fmt: skip
    first = out / "checkpoints/000002/pretrained_model"
    whole = (out / "checkpoints/000004/pretrained_model/model.safetensors").read_bytes()
    assert whole != (first / "model.safetensors").read_bytes()
    run(
        "lerobot-train", f"--config_path={out / 'checkpoints/last/pretrained_model/train_config.json'}",
        "--resume=true", "--steps=6",
    )  # fmt: skip
    trained = imported(out / "checkpoints" / "last", tmp_path / "cells")
    assert trained.record.label == "data(0.5:point:0+0.5:shift:4)"
    assert trained.details["policy"]["interface"]["fps"] == 10
    assert open_planner(trained, CPU).plan([observation()], [0]).shape == (1, 10, 2)
    export_policy(trained, tmp_path / "exported")
    run(
        "lerobot-train", f"--policy.path={tmp_path / 'exported'}", *TRAIN, data,
        f"--output_dir={tmp_path / 'more'}", "--steps=2", "--save_freq=2",
    )  # fmt: skip
    assert (tmp_path / "more/checkpoints/last/pretrained_model/model.safetensors").is_file()


@pytest.mark.slow
def test_lerobot_drives_a_robot_in_one_step(cell, tmp_path):
    """`lerobot-rollout`; in LeRobot 0.4 it is `lerobot-record` that has policies drive."""
    stored, planner = cell
    export_policy(stored, tmp_path / "exported")
    path, sent = install(tmp_path / "plug-in"), tmp_path / "sent.txt"
    words = (
        "--robot.type=paper", f"--robot.wrote={sent}", f"--policy.path={tmp_path / 'exported'}",
        "--policy.num_steps=1", "--play_sounds=false",
    )  # fmt: skip
    if Path(sys.executable).with_name("lerobot-rollout").exists():
        run("lerobot-rollout", *words, "--task=go left", "--fps=10", "--duration=2", path=path)
    else:
        data = tmp_path / "recorded"
        run(
            "lerobot-record", *words, "--dataset.repo_id=local/eval_small", f"--dataset.root={data}",
            "--dataset.single_task=go left", "--dataset.fps=10", "--dataset.num_episodes=1",
            "--dataset.episode_time_s=2", "--dataset.reset_time_s=0", "--dataset.vcodec=h264",
            "--dataset.push_to_hub=false", path=path,
        )  # fmt: skip
        assert DataSet(str(data)).frames == len(sent.read_text().splitlines())
    actions = np.loadtxt(sent)
    planner.set_decoding(Decoding())
    assert len(actions) > planner.horizon and np.isfinite(actions).all()
    spread = np.asarray(stored.details["normalisation"]["action"]["scale"])
    assert (np.abs(actions - stored.details["normalisation"]["action"]["centre"]) < 20 * spread).all()


def run(command: str, *words: str, path: Path | None = None) -> None:
    paths = os.pathsep.join(filter(None, [str(path or ""), *sys.path]))
    program = Path(sys.executable).with_name(command)
    done = subprocess.run(
        [program, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
