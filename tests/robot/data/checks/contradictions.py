"""Contradictions to put into a good LeRobot data set of image files, each with what a check must say of it.

The good data set is the fixture `small`: 3 episodes of 12, 7 and 9 frames, state 4, action 2, cameras front
and wrist of 32 pixels, 10 frames a second.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FRAMES, EPISODES = 28, (0, 12, 19, 28)
DATA, META = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"


class Expected(NamedTuple):
    """The place of a finding; None and "" for what it need not have."""

    file: str = ""
    episode: int | None = None
    frame: int | None = None
    feature: str = ""


def episode_of(frame: int) -> int:
    return int(np.searchsorted(EPISODES, frame, side="right")) - 1


def at(frame: int, feature: str) -> Expected:
    return Expected(DATA, episode_of(frame), frame, feature)


def rewrite(path: Path, change: Callable[[dict[str, list[Any]]], object]) -> None:
    """Change a table's columns, as lists."""
    table = pq.ParquetFile(path).read()
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    change(columns)
    types = {field.name: field.type for field in table.schema}
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values, types.get(name))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            arrays[name] = pa.array(values)
    pq.write_table(pa.table(arrays), path)


def set_number(feature: str, value: float) -> Callable[[Path, random.Random], Expected]:
    """A number of one frame, of a vector or a scalar, becomes `value`."""

    def put(folder: Path, chance: random.Random) -> Expected:
        frame = chance.randrange(FRAMES)

        def change(columns: dict[str, list[Any]]) -> None:
            row = columns[feature][frame]
            if isinstance(row, list):
                row[chance.randrange(len(row))] = value
            else:
                columns[feature][frame] = value

        rewrite(folder / DATA, change)
        return at(frame, feature)

    return put


def change_json(file: str, change: Callable[[Any, random.Random], str]) -> Callable[..., Expected]:
    """A JSON file is changed; `change` returns the feature."""

    def put(folder: Path, chance: random.Random) -> Expected:
        values = json.loads((folder / file).read_text())
        feature = change(values, chance)
        (folder / file).write_text(json.dumps(values))
        return Expected(file, feature=feature)

    return put


def change_image(change: Callable[[Image.Image], bytes]) -> Callable[..., Expected]:
    """The picture of one frame and camera is another file."""

    def put(folder: Path, chance: random.Random) -> Expected:
        frame, feature = chance.randrange(FRAMES), f"observation.images.{chance.choice(['front', 'wrist'])}"

        def rewritten(columns: dict[str, list[Any]]) -> None:
            picture = columns[feature][frame]
            with Image.open(io.BytesIO(picture["bytes"])) as image:
                picture["bytes"] = change(image)

        rewrite(folder / DATA, rewritten)
        return at(frame, feature)

    return put


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def black_camera(folder: Path, chance: random.Random) -> Expected:
    feature = f"observation.images.{chance.choice(['front', 'wrist'])}"
    black = encoded(Image.new("RGB", (32, 32)))
    rewrite(folder / DATA, lambda columns: [each.update(bytes=black) for each in columns[feature]] and None)
    return Expected(DATA, 0, 0, feature)


def frozen_camera(folder: Path, chance: random.Random) -> Expected:
    feature = f"observation.images.{chance.choice(['front', 'wrist'])}"

    def change(columns: dict[str, list[Any]]) -> None:
        for each in columns[feature]:
            each["bytes"] = columns[feature][0]["bytes"]

    rewrite(folder / DATA, change)
    return Expected(DATA, 0, 0, feature)


def short_row(folder: Path, chance: random.Random) -> Expected:
    feature, frame = chance.choice(["observation.state", "action"]), chance.randrange(FRAMES)
    rewrite(folder / DATA, lambda columns: columns[feature][frame].pop())
    return Expected(DATA, frame=frame, feature=feature)


def other_width(folder: Path, chance: random.Random) -> Expected:
    """The last two episodes are in a file of their own, whose rows have a number less or more."""
    feature, start = chance.choice(["observation.state", "action"]), EPISODES[1]
    table, second = pq.ParquetFile(folder / DATA).read(), DATA.replace("file-000", "file-001")
    pq.write_table(table.slice(0, start), folder / DATA)
    pq.write_table(table.slice(start), folder / second)
    shorter = chance.choice([True, False])

    def change(columns: dict[str, list[Any]]) -> None:
        columns[feature] = [row[:-1] if shorter else [*row, 0.0] for row in columns[feature]]
        if feature == "action" and shorter:
            columns[feature] = [row[0] for row in columns[feature]]

    rewrite(folder / second, change)
    rewrite(folder / META, lambda columns: columns.update({"data/file_index": [0, 1, 1]}))
    return Expected(second, 1, start, feature)


def unreadable(folder: Path, chance: random.Random) -> Expected:
    """The only file of frames is a text."""
    (folder / DATA).write_text("no table")
    return Expected(DATA)


def no_row(folder: Path, chance: random.Random) -> Expected:
    feature, frame = chance.choice(["observation.state", "action", "task_index"]), chance.randrange(FRAMES)
    rewrite(folder / DATA, lambda columns: columns[feature].__setitem__(frame, None))
    return Expected(DATA, frame=frame, feature=feature)


def lost_column(folder: Path, chance: random.Random) -> Expected:
    feature = chance.choice(["observation.state", "action", "timestamp", "observation.images.front"])
    rewrite(folder / DATA, lambda columns: columns.pop(feature) and None)
    return Expected(DATA, feature=feature)


def lost_frame(folder: Path, chance: random.Random) -> Expected:
    frame = chance.choice([each for each in range(1, FRAMES) if each + 1 not in EPISODES])
    rewrite(folder / DATA, lambda columns: [values.pop(frame) for values in columns.values()] and None)
    return Expected(INFO)


def swapped_frames(folder: Path, chance: random.Random) -> Expected:
    frame = chance.choice([each for each in range(FRAMES) if each + 1 not in EPISODES])

    def change(columns: dict[str, list[Any]]) -> None:
        for values in columns.values():
            values[frame], values[frame + 1] = values[frame + 1], values[frame]

    rewrite(folder / DATA, change)
    return at(frame, "index")


def moved_episode(folder: Path, chance: random.Random) -> Expected:
    episode = chance.randrange(3)

    def change(columns: dict[str, list[Any]]) -> None:
        for frame in range(EPISODES[episode], EPISODES[episode + 1]):
            columns["episode_index"][frame] = 7

    rewrite(folder / DATA, change)
    return Expected(DATA, 7, EPISODES[episode], "episode_index")


def wrong_meta(column: str) -> Callable[..., Expected]:
    def put(folder: Path, chance: random.Random) -> Expected:
        episode = chance.randrange(3)
        rewrite(
            folder / META, lambda columns: columns[column].__setitem__(episode, columns[column][episode] + 2)
        )
        return Expected("meta/episodes", episode, EPISODES[episode], column)

    return put


def lost_prompt(folder: Path, chance: random.Random) -> Expected:
    rewrite(folder / TASKS, lambda columns: [values.pop() for values in columns.values()] and None)
    return at(12, "task_index")


def twice_a_prompt(folder: Path, chance: random.Random) -> Expected:
    rewrite(folder / TASKS, lambda columns: columns.update(task_index=[0, 0]))
    return Expected(TASKS, feature="task_index")


def hole_in_time(folder: Path, chance: random.Random) -> Expected:
    frame = chance.choice([each for each in range(FRAMES) if each not in EPISODES])

    def change(columns: dict[str, list[Any]]) -> None:
        end = next(each for each in EPISODES if each > frame)
        for each in range(frame, end):
            columns["timestamp"][each] += 0.2

    rewrite(folder / DATA, change)
    return at(frame, "timestamp")


def other_fps(folder: Path, chance: random.Random) -> Expected:
    change_json(INFO, _info("fps", chance.choice([5, 20, 30])))(folder, chance)
    return at(1, "timestamp")


def time_goes_back(folder: Path, chance: random.Random) -> Expected:
    frame = chance.choice([each for each in range(FRAMES) if each not in EPISODES])
    rewrite(folder / DATA, lambda columns: columns["timestamp"].__setitem__(frame, -5.0))
    return at(frame, "timestamp")


def _scaled(name: str, factor: float) -> Callable[[Any, random.Random], str]:
    def change(values: Any, chance: random.Random) -> str:
        feature = chance.choice(["observation.state", "action"])
        values[feature][name] = [number * factor + (factor == 1) for number in values[feature][name]]
        return feature

    return change


def _lost(name: str) -> Callable[[Any, random.Random], str]:
    def change(values: Any, chance: random.Random) -> str:
        feature = chance.choice(["observation.state", "action"])
        del values[feature][name]
        return feature

    return change


def _info(name: str, value: Any) -> Callable[[Any, random.Random], str]:
    def change(values: Any, chance: random.Random) -> str:
        values[name] = value
        return ""

    return change


def _one_channel(values: Any, chance: random.Random) -> str:
    feature = f"observation.images.{chance.choice(['front', 'wrist'])}"
    values["features"][feature]["shape"] = [32, 32, 1]
    return feature


def _depth(values: Any, chance: random.Random) -> str:
    feature = f"observation.images.{chance.choice(['front', 'wrist'])}"
    values["features"][feature]["info"] = {"video.is_depth_map": True}
    return feature


def _described(name: str, value: Any) -> Callable[[Any, random.Random], str]:
    """Nonsense in the description of a feature, whose name is part of the sentence."""

    def change(values: Any, chance: random.Random) -> str:
        feature = chance.choice(["observation.state", "action", "observation.images.front"])
        values["features"][feature][name] = value
        return ""

    return change


def _integer_type(values: Any, chance: random.Random) -> str:
    feature = chance.choice(["observation.state", "action"])
    values["features"][feature]["dtype"] = "int64"
    return feature


def _lost_feature(values: Any, chance: random.Random) -> str:
    del values["features"][chance.choice(["observation.state", "action"])]
    return ""


def no_pictures(folder: Path, chance: random.Random) -> Expected:
    feature = f"observation.images.{chance.choice(['front', 'wrist'])}"
    rewrite(folder / DATA, lambda columns: columns.update({feature: ["a picture"] * FRAMES}))
    return Expected(DATA, 0, 0, feature)


def no_text(folder: Path, chance: random.Random) -> Expected:
    def change(columns: dict[str, list[Any]]) -> None:
        texts = next(values for name, values in columns.items() if name != "task_index")
        texts[chance.randrange(len(texts))] = None

    rewrite(folder / TASKS, change)
    return Expected(TASKS, feature="task_index")


def nested_info(folder: Path, chance: random.Random) -> Expected:
    (folder / INFO).write_text("[" * 100_000)
    return Expected(INFO)


def broken_file(name: str) -> Callable[..., Expected]:
    def put(folder: Path, chance: random.Random) -> Expected:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        return Expected(name)

    return put


CONTRADICTIONS: dict[str, Callable[[Path, random.Random], Expected]] = {
    "nan state": set_number("observation.state", float("nan")),
    "infinite action": set_number("action", float("inf")),
    "outlier": set_number("action", 1e6),
    "task_index beyond the table": set_number("task_index", 9),
    "negative task_index": set_number("task_index", -1),
    "index": set_number("index", 999),
    "frame_index": set_number("frame_index", 999),
    "nan time": set_number("timestamp", float("nan")),
    "time goes back": time_goes_back,
    "hole in time": hole_in_time,
    "short row": short_row,
    "other width": other_width,
    "no row": no_row,
    "lost column": lost_column,
    "lost frame": lost_frame,
    "swapped frames": swapped_frames,
    "episode out of order": moved_episode,
    "episode length": wrong_meta("length"),
    "episode begins": wrong_meta("dataset_from_index"),
    "episode ends": wrong_meta("dataset_to_index"),
    "episode number": wrong_meta("episode_index"),
    "episode file": wrong_meta("data/file_index"),
    "lost prompt": lost_prompt,
    "twice a prompt": twice_a_prompt,
    "no text": no_text,
    "total_frames": change_json(INFO, _info("total_frames", 97)),
    "total_episodes": change_json(INFO, _info("total_episodes", 2)),
    "other fps": other_fps,
    "fps 0": change_json(INFO, _info("fps", 0)),
    "older format": change_json(INFO, _info("codebase_version", "v2.1")),
    "later format": change_json(INFO, _info("codebase_version", "v4.0")),
    "no format": change_json(INFO, _info("codebase_version", None)),
    "nested info": nested_info,
    "shape of texts": change_json(INFO, _described("shape", ["four"])),
    "shape below 1": change_json(INFO, _described("shape", [-4])),
    "no type": change_json(INFO, _described("dtype", None)),
    "info of texts": change_json(INFO, _described("info", ["is_depth_map"])),
    "integer type": change_json(INFO, _integer_type),
    "lost feature": change_json(INFO, _lost_feature),
    "one channel": change_json(INFO, _one_channel),
    "depth map": change_json(INFO, _depth),
    "std": change_json(STATS, _scaled("std", 100)),
    "mean": change_json(STATS, _scaled("mean", 1)),
    "max": change_json(STATS, _scaled("max", 3)),
    "negative std": change_json(STATS, _scaled("std", -1)),
    "no std": change_json(STATS, _lost("std")),
    "grey picture": change_image(lambda image: encoded(image.convert("L"))),
    "small picture": change_image(lambda image: encoded(image.resize((16, 16)))),
    "broken picture": change_image(lambda image: b"no picture"),
    "no pictures": no_pictures,
    "black camera": black_camera,
    "frozen camera": frozen_camera,
    "broken frames": broken_file(DATA),
    "unreadable frames": unreadable,
    "broken statistics": broken_file(STATS),
    "broken prompts": broken_file(TASKS),
    "broken meta": broken_file(META),
}  # fmt: skip
