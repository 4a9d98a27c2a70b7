"""Data sets that toyflow has not made: other names, one number, contradictions; from file to policy."""

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("lerobot")

from faults.bench import inside
from robot.converter import convert_command
from robot.corrections import rename_features
from robot.data.checks.contradictions import CONTRADICTIONS

from toyflow.errors import UsageError
from toyflow.robot.data import data_set
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.data.video_decoder import Decoder
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.policy_opening import open_planner
from toyflow.robot.probe_moments import bench_of
from toyflow.robot.robot_task import RobotTask
from toyflow.robot.runtime.serving.observations import Keys
from toyflow.sweep.store import Store

OPENPI = {
    "observation.images.front": "image", "observation.images.wrist": "wrist_image",
    "observation.state": "state", "action": "actions",
}  # fmt: skip
RENAME = "state=observation.state,actions=action,image=observation.images.front"
TRAIN = ("--iterations", "2", "--batch-size", "2", "--horizon", "4", "--threads", "1", "--suite", "none")


@pytest.fixture
def openpi(small, tmp_path):
    """`small` under the names of openpi's converters."""
    folder = shutil.copytree(small[0], tmp_path / "openpi")
    rename_features(folder, OPENPI)
    return folder


def test_a_renamed_data_set_is_the_one_that_has_the_new_names(small, openpi):
    renaming = {old: new for new, old in OPENPI.items()}
    ours, theirs = DataSet(str(small[0])), DataSet(str(openpi), renaming)
    assert theirs.fingerprint == ours.fingerprint
    assert torch.equal(theirs.chunks(torch.arange(5), 3).actions, ours.chunks(torch.arange(5), 3).actions)
    assert torch.equal(theirs.image(3, "wrist"), ours.image(3, "wrist"))
    assert theirs.statistics("action") == ours.statistics("action")
    assert DataSet(str(openpi), {**renaming, "image": "image"}).fingerprint != ours.fingerprint


def test_openpis_names_are_refused_with_a_renaming_that_trains(openpi):
    with pytest.raises(UsageError, match=r"no feature 'observation\.state'.*--rename ") as caught:
        RobotTask.choose({"dataset": str(openpi), "suite": "none"})
    rename = str(caught.value).partition("--rename ")[2].split(". ")[0]
    RobotTask.choose({"dataset": str(openpi), "rename": rename, "suite": "none"})


def test_a_policy_knows_its_cameras_by_both_names(openpi, tmp_path):
    words = ("robot-train", "--dataset", "openpi", "--rename", RENAME, *TRAIN, "--out", "out")
    done = inside(tmp_path, *words)
    assert done.code == 0, done.err
    [training] = Store(tmp_path / "out").trainings()
    planner = open_planner(training, torch.device("cpu"))
    assert planner.interface.cameras == ("front", "wrist_image")
    picture, state = np.zeros((32, 32, 3), np.uint8), np.zeros(4, np.float32)
    plans = [
        planner.plan([Observation({name: picture, "wrist_image": picture}, state, "go")], [0])
        for name in ("front", "image")
    ]
    np.testing.assert_array_equal(plans[0], plans[1])
    with pytest.raises(UsageError, match="has no camera front"):
        planner.plan([Observation({"wrist_image": picture}, state, "go")], [0])
    Interface(("image", "wrist_image"), 4, 2, 10).check_serves(planner.interface, "the robot")
    keys = Keys.of(planner.interface)
    assert {"observation/image", "observation.images.front"} <= set(keys.cameras["front"])
    assert ("state",) in keys.state
    assert bench_of(training, 4, torch.device("cpu")).origin == "frames of training"


def test_a_camera_named_image_is_seen(small, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "pusht")
    rename_features(folder, {"observation.images.front": "observation.image"})
    data = DataSet(str(folder))
    assert data.interface.cameras == ("wrist", "image")
    assert torch.equal(data.image(3, "image"), DataSet(str(small[0])).image(3, "front"))


def test_states_and_actions_of_one_number_train(tmp_path):
    chance = np.random.default_rng(0)
    (tmp_path / "one").mkdir()
    made = [
        Demonstration(
            "go", Trajectory({}, *(chance.normal(size=(9, 1)).astype(np.float32) for _ in range(2)))
        )
        for _ in range(2)
    ]
    write_data_set(tmp_path / "one", made, Interface((), 1, 1, 10), 32)
    assert DataSet(str(tmp_path / "one")).chunks(torch.arange(3), 4).actions.shape == (3, 4, 1)
    done = inside(tmp_path, "robot-train", "--dataset", "one", "--cameras", "none", *TRAIN, "--out", "out")
    assert done.code == 0, done.err


@pytest.mark.parametrize("kind", ["nan state", "std", "lost prompt", "one channel"])
def test_training_on_a_contradiction_is_refused_before_it_starts(kind, small, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "data")
    CONTRADICTIONS[kind](folder, random.Random(0))
    for words in (
        ("robot-train", "--dataset", "data", *TRAIN, "--out", "out"),
        ("sweep", "--task", "robot", "--set", "dataset=data", "--set", "suite=none", "--out", "out"),
    ):
        done = inside(tmp_path, *words)
        assert done.code == 2 and "toyflow robot-data check data" in done.err, done.err
        assert not (tmp_path / "out" / "cells").exists()


def test_a_contradiction_may_be_kept(small, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "data")
    CONTRADICTIONS["std"](folder, random.Random(0))
    words = ("robot-train", "--dataset", "data", "--keep-contradictions", *TRAIN, "--out", "out")
    assert inside(tmp_path, *words).code == 0


def test_a_sweep_that_evaluates_nothing_ends_well_and_draws_its_losses(small, tmp_path):
    """It printed `done`, and then exited with 2."""
    shutil.copytree(small[0], tmp_path / "data")
    words = ("--set", "dataset=data", "--set", "suite=none", "--set", "horizon=4,5", "--iterations", "2")
    done = inside(tmp_path, "sweep", "--task", "robot", *words, "--schedules", "beta", "--seeds", "0",
                  "--batch-size", "2", "--out", "out")  # fmt: skip
    assert done.code == 0, done.err
    assert "horizon=4" in done.out and "there is no score" in done.out
    assert inside(tmp_path, "plot", "--out", "out").code == 0
    assert (tmp_path / "out/figures/training_curves.png").is_file()
    losses = pd.read_csv(tmp_path / "out/tables/losses.csv")
    assert sorted(losses["variant"]) == ["horizon=4", "horizon=5"] and np.isfinite(losses["final_loss"]).all()
    assert inside(tmp_path, "report", "--out", "out").code == 0
    assert "data:image/png;base64," in (tmp_path / "out/report.html").read_text()
    assert "horizon=5" in (tmp_path / "out/report.md").read_text()


def test_videos_are_read_without_ffmpeg(tmp_path, monkeypatch):
    """torchcodec is installed, and cannot be loaded where FFmpeg's libraries are missing."""
    monkeypatch.setattr(data_set, "video_backend", lambda: Decoder("pyav", "no FFmpeg").backend)
    images = {"front": np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)}
    state, action = np.eye(6, 4, dtype=np.float32), np.eye(6, 2, dtype=np.float32)
    (tmp_path / "films").mkdir()
    demonstration = Demonstration("go", Trajectory(images, state, action))
    write_data_set(tmp_path / "films", [demonstration], Interface(("front",), 4, 2, 10), 64, video="h264")
    assert DataSet(str(tmp_path / "films")).image(5, "front").shape == (3, 64, 64)


def test_an_older_format_is_refused_with_the_whole_command(small, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "data")
    path = folder / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "codebase_version": "v2.1"}))
    done = inside(tmp_path, "robot-train", "--dataset", "data", *TRAIN, "--out", "out")
    assert done.code == 2 and convert_command(folder) in done.err
