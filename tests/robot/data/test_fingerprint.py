import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from toyflow.robot.data import fingerprint
from toyflow.robot.data.data_set import DataSet, has_earlier_fingerprint
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.fingerprint import ContentHash, FilesState, kept_fingerprint
from toyflow.robot.data.frames import open_frames

pytest.importorskip("lerobot")

from robot.corrections import rewritten, rotate


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def copy(small, tmp_path) -> Path:
    return shutil.copytree(small[0], tmp_path / "copy")


def edited(name: str, change):
    """A change of a JSON file of `meta`."""

    def edit(folder: Path) -> None:
        path = folder / "meta" / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def correct_prompt(folder: Path) -> None:
    path = folder / "meta" / "tasks.parquet"
    pd.read_parquet(path).rename(index={"go left": "go to the left"}).to_parquet(path)


@rewritten
def swap_tasks(table: pd.DataFrame) -> None:
    table["task_index"] = 1 - table["task_index"]


@rewritten
def move_boundary(table: pd.DataFrame) -> None:
    table.loc[12, "episode_index"] = 0  # it was the first frame of episode 1


@rewritten
def move_arm(table: pd.DataFrame) -> None:
    states = table["observation.state"].tolist()
    states[5] = states[5] + np.float32(1e-4)
    table["observation.state"] = states


def halve_rate(info: dict) -> None:
    info["fps"] = 5


def widen(statistics: dict) -> None:
    statistics["action"]["std"][0] *= 100


def rename_camera(folder: Path) -> None:
    here, there = "observation.images.front", "observation.images.top"
    rewritten(lambda table: table.rename(columns={here: there}))(folder)
    edited("info.json", lambda info: info["features"].update({there: info["features"].pop(here)}))(folder)


@pytest.mark.parametrize(
    "change",
    [
        rotate, correct_prompt, swap_tasks, move_boundary, move_arm, edited("info.json", halve_rate),
        edited("stats.json", widen), rename_camera,
    ],
)  # fmt: skip
def test_it_notices_what_training_reads(small, copy, change):
    before = open_data_set(str(copy)).fingerprint
    assert before == DataSet(str(small[0])).fingerprint
    change(copy)
    assert open_data_set(str(copy)).fingerprint != before, "in the same process, too"


def test_rotated_images_are_decoded_anew(copy):
    def decoded() -> torch.Tensor:
        [images] = open_frames(open_data_set(str(copy)), ["wrist"], 32).batches(iter([torch.tensor([5])]))
        return images["wrist"]

    before = decoded()
    rotate(copy)
    assert torch.equal(decoded(), before.rot90(dims=(2, 3)))


def rename(folder: Path) -> None:
    pass  # the copy's name is another one already


def other_version(info: dict) -> None:
    info["codebase_version"] = "v3.1"
    info["robot_type"] = "another"


def other_picture_statistics(statistics: dict) -> None:
    statistics["observation.images.front"]["mean"][0][0][0] += 1


@rewritten
def more_columns(table: pd.DataFrame) -> None:
    table["timestamp"] = table["timestamp"] + np.float32(1)  # which only videos are read by


@pytest.mark.parametrize(
    "change",
    [
        rename, edited("info.json", other_version), edited("stats.json", other_picture_statistics),
        more_columns, rewritten(lambda table: None),
    ],
)  # fmt: skip
def test_it_is_blind_to_what_training_does_not_read(small, copy, change):
    change(copy)
    assert DataSet(str(copy)).fingerprint == DataSet(str(small[0])).fingerprint


def test_records_of_either_kind_know_their_data(small, copy):
    data = DataSet(str(small[0]))
    earlier = {"dataset": "small", "fingerprint": data.earlier_fingerprint}
    now = {"fingerprint": data.fingerprint}
    assert has_earlier_fingerprint(earlier) and not has_earlier_fingerprint(now)
    assert data.is_of(earlier) and data.is_of(now)
    rotate(copy)
    assert DataSet(str(copy)).is_of(earlier), "all that the earlier kind tells"
    assert not DataSet(str(copy)).is_of(now)


def test_the_earlier_kind_is_that_of_stored_results(small):
    """Its value must never change: stored results hold it."""
    data, root = DataSet(str(small[0])), Path(small[0])
    table = pd.read_parquet(next((root / "data").rglob("*.parquet")))
    content = (root / "meta" / "info.json").read_bytes() + (root / "meta" / "stats.json").read_bytes()
    for name in ("observation.state", "action"):
        content += np.stack(table[name].tolist()).astype(np.float32).tobytes()
    assert data.earlier_fingerprint == fingerprint.hashlib.sha256(content).hexdigest()[:12]


def test_a_video_counts_by_its_bytes_and_by_where_episodes_start(tmp_path):
    starts = [0.0, 1.2, 0.0]

    class Meta:
        total_episodes = 3

        @property
        def episodes(self) -> dict:
            return {"videos/eye/from_timestamp": starts}

        def get_video_file_path(self, episode: int, name: str) -> Path:
            return Path("ab"[episode // 2])

    class Frames(dict):
        def with_format(self, kind: str) -> dict:
            return {"timestamp": np.arange(4) / 10}

    class Videos:
        root, meta, hf_dataset = tmp_path, Meta(), Frames()

    def hashed() -> str:
        content = ContentHash("videos")
        fingerprint.hash_videos(content, Videos(), "eye", "eye")  # pyright: ignore[reportArgumentType]
        return content.hexdigest()

    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() * 3_000_000)  # several blocks
    found = [hashed()]
    (tmp_path / "b").write_bytes(b"b" * 2_999_999 + b"c")
    found.append(hashed())
    starts[1] = 1.3
    found.append(hashed())
    assert len({*found, hashed()}) == 3


def test_what_took_long_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "KEPT_ABOVE", -1.0)
    monkeypatch.setattr(fingerprint, "SETTLED", -1.0)
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "frames"
    file.write_bytes(b"one")
    read = []

    def add(content: ContentHash) -> None:
        read.append(file.read_bytes())
        content.file("frames", file)

    def found() -> str:
        return kept_fingerprint(tmp_path / "data", "an example", add)

    one = found()
    assert found() == one and read == [b"one"]
    other = file.with_name("new")
    other.write_bytes(b"two")
    shutil.copystat(file, other)  # as a tool leaves it that keeps times
    other.replace(file)
    assert found() != one and read == [b"one", b"two"]
    [*kept] = (tmp_path / "cache" / "fingerprints").iterdir()
    for path in kept:
        path.write_text("{}")  # damaged: read again
    assert found() != one and len(read) == 3


def test_what_changed_a_moment_ago_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "KEPT_ABOVE", -1.0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frames").write_bytes(b"one")
    kept_fingerprint(tmp_path / "data", "an example", lambda content: content.part("frames", b"one"))
    assert not (tmp_path / "cache").exists()


def test_a_long_hash_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fingerprint, "TOLD_AFTER", -1.0)
    content = ContentHash("data set demos", 4_000_000_000)
    content.part("frames", b"x" * 100)
    content.part("frames", b"x" * 100)
    [line] = caplog.messages
    assert line == "data set demos is read for its fingerprint, once: 0.0 of about 4.0 GB so far."


def test_the_state_of_files_follows_links(tmp_path):
    for name in ("data", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "video").write_bytes(b"one")
    (tmp_path / "data" / "videos").symlink_to(tmp_path / "elsewhere")
    before = FilesState(tmp_path / "data")
    assert before.bytes == 3
    (tmp_path / "elsewhere" / "video").write_bytes(b"other")
    assert FilesState(tmp_path / "data").key != before.key
