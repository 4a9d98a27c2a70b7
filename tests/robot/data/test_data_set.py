import json
import shutil

import numpy as np
import pytest
import torch

from toyflow.atomic import DamagedError, atomic_folder
from toyflow.errors import UsageError
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.demo_source import DEMOS
from toyflow.robot.data.features import ACTION, STATE
from toyflow.robot.data.frames import CachedFrames, StreamedFrames, open_frames
from toyflow.robot.interface import Interface

pytest.importorskip("lerobot")


@pytest.fixture(scope="module")
def data(small):
    return DataSet(str(small[0]))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_what_it_says_of_itself(data):
    assert data.interface == Interface(("front", "wrist"), 4, 2, 10)
    assert (data.frames, data.episodes) == (28, 3)
    assert sorted(data.prompts) == ["go left", "go right"]
    assert len(data.statistics(STATE)["mean"]) == 4 and len(data.statistics(ACTION)["std"]) == 2


def test_chunks_stop_at_the_end_of_their_episode(data, small):
    actions = [made.trajectory.action for made in small[1]]
    chunks = data.chunks(torch.tensor([0, 10, 12, 27]), horizon=4)
    assert torch.equal(chunks.actions[0], torch.from_numpy(actions[0][:4]))
    assert torch.equal(chunks.actions[1, :2], torch.from_numpy(actions[0][10:12]))
    assert torch.equal(chunks.actions[1, 2:], torch.from_numpy(actions[0][[11, 11]]))
    assert chunks.is_pad.tolist() == [
        [False] * 4,
        [False, False, True, True],
        [False] * 4,
        [False] + [True] * 3,
    ]
    assert torch.equal(chunks.actions[2], torch.from_numpy(actions[1][:4]))
    assert chunks.prompts == ["go left", "go left", "go right", "go left"]
    assert torch.equal(chunks.state[3], torch.from_numpy(small[1][2].trajectory.state[-1]))


def test_chunks_are_those_of_lerobot(data, small):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    theirs = LeRobotDataset("data", root=small[0], delta_timestamps={ACTION: [k / 10 for k in range(5)]})
    ours = data.chunks(torch.arange(data.frames), 5)
    for frame in range(data.frames):
        assert torch.equal(theirs[frame][ACTION], ours.actions[frame])
        assert torch.equal(theirs[frame]["action_is_pad"], ours.is_pad[frame])


def test_images_come_back_exactly(data, small):
    for frame, (episode, row) in {0: (0, 0), 13: (1, 1), 27: (2, 8)}.items():
        for camera, image in data.images(frame, data.interface.cameras).items():
            shot = small[1][episode].trajectory.images[camera][row]
            assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(shot))


def test_cached_and_streamed_images_are_the_same(data):
    indices = [torch.tensor([3, 20, 3]), torch.tensor([27])]
    cached = open_frames(data, ["wrist"], 32)
    assert isinstance(cached, CachedFrames)
    streamed = open_frames(data, ["wrist"], 32, cache_bytes=0)
    assert isinstance(streamed, StreamedFrames)
    pairs = list(zip(cached.batches(iter(indices)), streamed.batches(iter(indices)), strict=True))
    assert len(pairs) == 2
    for one, other in pairs:
        assert torch.equal(one["wrist"], other["wrist"])
    assert torch.equal(pairs[0][0]["wrist"][0], data.image(3, "wrist"))


def test_a_damaged_cache_is_made_again(data, monkeypatch, tmp_path):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path))
    first = next(open_frames(data, ["front"], 16).batches(iter([torch.tensor([5])])))
    [file] = tmp_path.glob("frames/*/frames.npy")
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    again = next(open_frames(data, ["front"], 16).batches(iter([torch.tensor([5])])))
    assert torch.equal(first["front"], again["front"]) and file.read_bytes() != bytes(content)


def test_a_policy_without_cameras_asks_for_no_images(data):
    [none] = open_frames(data, [], 32).batches(iter([torch.tensor([5])]))
    assert none == {}


def test_the_fingerprint_is_of_the_content(data, small, tmp_path):
    shutil.copytree(small[0], tmp_path / "moved")
    assert DataSet(str(tmp_path / "moved")).fingerprint == data.fingerprint
    info = tmp_path / "moved" / "meta" / "info.json"
    info.write_text(info.read_text().replace('"fps": 10', '"fps": 5'))
    assert DataSet(str(tmp_path / "moved")).fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("action", "has no feature 'action'; it has .*observation.state"),
        ("observation.state", "has no feature 'observation.state'"),
    ],
)
def test_a_data_set_without_a_feature_is_refused(feature, words, small, tmp_path):
    shutil.copytree(small[0], tmp_path / "less")
    path = tmp_path / "less" / "meta" / "info.json"
    info = json.loads(path.read_text())
    info["features"][f"other.{feature}"] = info["features"].pop(feature)
    path.write_text(json.dumps(info))
    with pytest.raises(UsageError, match=words):
        DataSet(str(tmp_path / "less"))


@pytest.mark.parametrize("fps", [0, -10, None, "ten"])
def test_a_data_set_that_says_no_rate_is_refused(small, tmp_path, fps):
    shutil.copytree(small[0], tmp_path / "still")
    path = tmp_path / "still" / "meta" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": fps}))
    with pytest.raises(UsageError, match=f"says fps {fps}: its meta/info.json is wrong"):
        DataSet(str(tmp_path / "still"))


def test_what_is_no_data_set_is_refused_in_one_line(tmp_path):
    for where, words in (
        (str(tmp_path), "holds no data set: meta/info.json is missing"),
        (str(tmp_path / "nowhere"), "does not exist"),
        ("nowhere", "does not exist"),
    ):
        with pytest.raises(UsageError, match=words) as error:
            DataSet(where)
        assert "\n" not in str(error.value)


def test_a_data_set_on_no_hub_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="neither a folder here nor to be had from the hub") as error:
        DataSet("somebody/something-that-is-not-there")
    assert "\n" not in str(error.value)


def test_numbers_that_are_none_are_refused(small, tmp_path):
    import pandas as pd

    shutil.copytree(small[0], tmp_path / "nan")
    [path] = (tmp_path / "nan" / "data").rglob("*.parquet")
    table = pd.read_parquet(path)
    table["action"] = [[np.nan, 0] if i == 6 else list(a) for i, a in enumerate(table["action"])]
    table.to_parquet(path)
    with pytest.raises(UsageError, match="action of frame 6 is not finite"):
        DataSet(str(tmp_path / "nan")).chunks(torch.tensor([0]), 2)


def test_motion_is_how_far_actions_go_within_episodes(small):
    folder, made = small
    actions = [demonstration.trajectory.action for demonstration in made]
    motion = DataSet(str(folder)).motion()
    np.testing.assert_allclose(motion["lower"], np.min([a.min(0) for a in actions], 0), rtol=1e-6)
    np.testing.assert_allclose(motion["upper"], np.max([a.max(0) for a in actions], 0), rtol=1e-6)
    largest = np.max([np.abs(np.diff(a, axis=0)).max(0) for a in actions], 0)
    np.testing.assert_allclose(motion["step"], largest, rtol=1e-6)


def test_demonstrations_that_are_not_as_they_were_written_are_refused(tmp_path):
    with atomic_folder(tmp_path / "demos") as folder:
        (folder / "meta").mkdir()
        (folder / "meta" / "stats.json").write_text("{}")
        (folder / DEMOS).write_text("{}")
    (tmp_path / "demos" / "meta" / "stats.json").write_text("{ }")
    with pytest.raises(DamagedError, match=r"stats\.json is damaged") as caught:
        open_data_set(str(tmp_path / "demos"))
    assert "robot-demos" in caught.value.hint


@pytest.mark.parametrize("broken", ["text", {"mean": "x"}, {"mean": [10**400]}, {"mean": {"a": "b"}}])
def test_statistics_that_are_none_are_refused(small, tmp_path, broken):
    folder = shutil.copytree(small[0], tmp_path / "demos")
    stats = folder / "meta" / "stats.json"
    stats.write_text(json.dumps({**json.loads(stats.read_text()), "action": broken}))
    data = DataSet(str(folder))
    with pytest.raises(UsageError, match=r"meta/stats\.json: statistics of action must map names"):
        data.statistics("action")
