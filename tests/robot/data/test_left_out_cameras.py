"""Cameras that no policy can see, or that a policy shall not see: named, left out, and not decoded."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("lerobot")

from faults.bench import inside
from robot.corrections import rewritten
from robot.data.depth_camera import DEPTH, add_depth_camera

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.data import data_set
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.data.features import CAMERA
from toyflow.robot.interface import Interface

TRAIN = ("--iterations", "2", "--batch-size", "2", "--horizon", "4", "--threads", "1", "--suite", "none")


@pytest.fixture(scope="module", params=["image", "video"])
def stored(request, tmp_path_factory):
    """(folder, how its pictures are stored) of a data set of two cameras, front and wrist."""
    chance, folder = np.random.default_rng(0), tmp_path_factory.mktemp(request.param) / "data"
    folder.mkdir()
    images = {name: chance.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8) for name in ("front", "wrist")}
    state, action = (chance.normal(size=(12, dim)).astype(np.float32) for dim in (4, 2))
    write_data_set(
        folder, [Demonstration("go", Trajectory(images, state, action))],
        Interface(("front", "wrist"), 4, 2, 10), 64, video="h264" if request.param == "video" else None,
    )  # fmt: skip
    return folder, request.param


@pytest.fixture
def folder(stored, tmp_path):
    return shutil.copytree(stored[0], tmp_path / "data")


def test_a_depth_camera_of_lerobot_0_6_is_named_and_left_out(folder, tmp_path):
    add_depth_camera(folder, "observation.images.front")
    [error] = check_data_set("mine", folder).errors
    assert error.feature == DEPTH
    assert error.sentence == (
        "no policy can see it: it is a depth map. To leave it out: --cameras front+wrist."
    )
    assert check_data_set("mine", folder, cameras=["front", "wrist"]).errors == []
    for asked in (["front_depth"], ["front", "front_depth"]):
        with pytest.raises(UsageError, match="mine: no policy can see front_depth: it is a depth map"):
            check_data_set("mine", folder, cameras=asked)
    train = ("robot-train", "--dataset", "data", *TRAIN, "--out", "out")
    refused = inside(tmp_path, *train)
    assert refused.code == 2 and "--cameras front+wrist" in refused.err and not (tmp_path / "out").exists()
    done = inside(tmp_path, *train, "--cameras", "front+wrist")
    assert done.code == 0, done.err


def test_pictures_of_a_camera_that_is_left_out_are_not_decoded(stored, folder, tmp_path):
    """A policy of the front camera could not be trained where a video of the wrist's was broken."""
    whole = DataSet(str(stored[0])).image(3, "front")
    if stored[1] == "video":
        [video] = (folder / "videos" / f"{CAMERA}wrist").rglob("*.mp4")
        video.write_bytes(b"no video")
    else:
        wrist = f"{CAMERA}wrist"
        broken = {"bytes": b"no picture", "path": "no.png"}
        rewritten(lambda table: table.assign(**{wrist: pd.Series([broken] * len(table))}))(folder)
    data = DataSet(str(folder))
    assert torch.equal(data.image(3, "front"), whole)
    with pytest.raises(ToyflowError, match=r"frame 3 of .* cannot be decoded"):
        data.images(3, ("front", "wrist"))
    assert torch.equal(data.image(3, "front"), whole)
    done = inside(tmp_path, "robot-train", "--dataset", "data", "--cameras", "front", *TRAIN, "--out", "out")
    assert done.code == 0, done.err


class Half:
    """LeRobot's data set, which cannot decode by torchcodec, and does not tell what decodes it, as in 0.6."""

    def __init__(self, whole, backend):
        self.whole, self.backend = whole, backend
        self.meta, self.hf_dataset = whole.meta, whole.hf_dataset

    def __getitem__(self, frame):
        if self.backend == "torchcodec":
            raise OSError("no decoder")
        return self.whole[frame]


def test_what_torchcodec_cannot_decode_is_read_by_pyav(stored, monkeypatch, caplog):
    opened = data_set._opened

    def half(where, kind, **options):
        if "video_backend" not in options:
            return opened(where, kind, **options)
        return Half(opened(where, kind, video_backend="pyav"), options["video_backend"])

    monkeypatch.setattr(data_set, "_opened", half)
    monkeypatch.setattr(data_set, "video_backend", lambda: "torchcodec")
    data = DataSet(str(stored[0]))
    assert data.image(3, "front").shape == data.image(4, "wrist").shape == (3, 64, 64)
    said = [each for each in caplog.messages if "PyAV does" in each]
    assert len(said) == (stored[1] == "video")
