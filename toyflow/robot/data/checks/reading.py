"""Reads the tables of a LeRobot data set (v3.0) from its folder, with whatever contradicts in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toyflow.errors import UsageError, first_line
from toyflow.robot.data.checks.contents import EPISODES, STATS, TASKS, Contents, DataFile
from toyflow.robot.data.checks.findings import Finding, Level
from toyflow.robot.data.features import BOOKKEEPING, FeatureNames, is_picture
from toyflow.robot.data.local_files import INFO, check_format, read_info


class UnreadableError(UsageError):
    """A data set that cannot be looked at further: of an older format, without a state, or without frames.

    Attributes:
        file: the file that is wrong.
    """

    def __init__(self, file: str, sentence: str) -> None:
        super().__init__(sentence)
        self.file = file


def read_contents(where: str, root: Path, renaming: Mapping[str, str]) -> Contents:
    """Read all tables of the data set in the folder `root`.

    Raises:
        UnreadableError: meta/info.json cannot be read, is of an older format, or lacks a feature; or there
            are no frames.
        UsageError: the renaming names a feature that there is not.
    """
    try:
        check_format(where, root)
        info = read_info(where, root)
        contents = Contents(where, root, info, FeatureNames.of(info["features"], renaming, where))
    except UsageError as error:
        if renaming:
            raise
        raise UnreadableError(INFO, str(error)) from error
    files = sorted((root / "data").glob("*/*.parquet"))
    if not files:
        raise UnreadableError("data", f"data set {where} has no frames: there is no data/*/*.parquet in it.")
    _read_frames(contents, files)
    if not contents.frames:
        lost = next((each for each in contents.problems if not each.feature), None)
        why = f"{lost.file}: {lost.sentence}" if lost else "its data/*/*.parquet are empty."
        raise UnreadableError(lost.file if lost else "data", f"data set {where} has no frames: {why}")
    _read_episodes(contents)
    _read_prompts(contents)
    _read_statistics(contents)
    return contents


def _read_frames(contents: Contents, files: list[Path]) -> None:
    import pyarrow.parquet as pq  # optional

    wanted = [
        name
        for name, feature in contents.features.items()
        if not is_picture(feature) and name not in contents.names.unread
    ]
    parts: dict[str, list[np.ndarray | None]] = {name: [] for name in wanted}
    for path in files:
        name = path.relative_to(contents.root).as_posix()
        try:
            file = pq.ParquetFile(path)
            table = file.read(columns=[each for each in wanted if each in file.schema_arrow.names])
        except Exception as error:
            contents.problems.append(
                Finding("error", name, None, None, "", f"it cannot be read: {first_line(error)}.")
            )
            continue
        rows = file.metadata.num_rows
        contents.files.append(DataFile(name, contents.frames, contents.frames + rows))
        images = [f for f, feature in contents.features.items() if feature.get("dtype") == "image"]
        for feature in [*wanted, *images]:
            if feature not in file.schema_arrow.names:
                contents.problems.append(
                    Finding("error", name, None, None, feature, f"{INFO} names it, and this file lacks it.")
                )
        for feature in wanted:
            there = feature in table.column_names
            parts[feature].append(_read_column(contents, table.column(feature), feature) if there else None)
        unknown = [each for each in file.schema_arrow.names if each not in contents.features]
        if unknown and len(contents.files) == 1:
            contents.problems.append(
                Finding("warning", name, None, None, unknown[0], f"{INFO} does not name it; it is not read.")
            )
    differing: list[tuple[int, str, str]] = []
    for feature, arrays in parts.items():
        whole = [array for array in arrays if array is not None]
        if not arrays or len(whole) < len(arrays):
            continue
        if odd := next((i for i, array in enumerate(whole) if array.shape[1:] != whole[0].shape[1:]), 0):
            here, there = _count(whole[odd]), _count(whole[0])
            said = f"a frame has {here} in this file, and {there} in {contents.files[0].name}."
            differing.append((contents.files[odd].start, feature, said))
        else:
            contents.columns[feature] = np.concatenate(whole)
    for frame, feature, said in differing:  # when the column of episodes is there
        contents.problems.append(contents.at(_level(contents, feature), frame, feature, said))
    _fit_shapes(contents)


def _read_column(contents: Contents, column: Any, feature: str) -> np.ndarray | None:
    """A column as [rows] or [rows, numbers]; None where it is none, which becomes a problem if the feature is
    read in training."""
    import pyarrow as pa  # optional

    file = contents.files[-1]
    array = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    level = _level(contents, feature)
    problem = None
    width = None
    if array.null_count:
        row = int(np.flatnonzero(np.asarray(array.is_null()))[0])
        problem = row, f"{array.null_count} frames have none."
    elif pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        array = array.flatten()
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = np.diff(_plain(array.offsets))
        width = int(np.bincount(lengths).argmax()) if len(lengths) else 0
        if (wrong := np.flatnonzero(lengths != width)).size:
            problem = int(wrong[0]), f"it has {lengths[wrong[0]]} numbers here, and {width} elsewhere."
        array = array.flatten()
    if problem is None and not _is_numeric(pa, array.type):
        if level == "warning":
            return None
        problem = 0, f"it holds {array.type}, not numbers."
    if problem is not None:
        contents.problems.append(
            Finding(level, file.name, None, file.start + problem[0], feature, problem[1])
        )
        return None
    values = _plain(array)
    return values if width is None else values.reshape(-1, width)


def _plain(array: Any) -> np.ndarray:
    """An arrow array of numbers as one of numpy; a missing number becomes nan."""
    if array.type == "bool":
        array = array.cast("uint8")
    if array.null_count:
        return np.asarray(array.to_numpy(zero_copy_only=False))  # imports pandas, which takes a second
    return np.from_dlpack(array)


def _level(contents: Contents, feature: str) -> Level:
    """How bad it is that a column cannot be read: an error where training reads it."""
    names = contents.names
    return "error" if feature in (names.state, names.action, *BOOKKEEPING) else "warning"


def _count(array: np.ndarray) -> str:
    return f"{array.shape[1]} numbers" if array.ndim == 2 else "a single number"


def _is_numeric(pa: Any, kind: Any) -> bool:
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _fit_shapes(contents: Contents) -> None:
    """Compare every column with its type and shape in meta/info.json; a scalar is a vector of one."""
    for feature, column in list(contents.columns.items()):
        shape = contents.features[feature].get("shape") or ()
        if column.ndim == 1 and feature in (contents.names.state, contents.names.action):
            column = contents.columns[feature] = column[:, None]
        width = column.shape[1] if column.ndim == 2 else 1
        level = _level(contents, feature)
        if len(shape) == 1 and shape[0] != width:
            said = f"{INFO} says {shape[0]} numbers, and the frames have {width}."
            contents.problems.append(contents.at(level, 0, feature, said))
        if not _holds(dtype := contents.features[feature]["dtype"], column.dtype):
            said = f"its dtype is {dtype}, and the frames have {column.dtype}."
            contents.problems.append(Finding(level, INFO, None, None, feature, said))


def _holds(dtype: str, stored: np.dtype) -> bool:
    """Whether numbers that are stored so can be read as what meta/info.json says."""
    try:
        said = np.dtype(dtype).kind
    except TypeError:
        return False
    return said == "f" or (said in "iub" and stored.kind in "iub")


def _read_episodes(contents: Contents) -> None:
    import pyarrow as pa  # optional
    import pyarrow.parquet as pq

    tables = []
    for path in sorted((contents.root / EPISODES).glob("*/*.parquet")):
        try:
            file = pq.ParquetFile(path)
            names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
            tables.append(file.read(columns=names))
        except Exception as error:
            name = path.relative_to(contents.root).as_posix()
            contents.problems.append(
                Finding("error", name, None, None, "", f"it cannot be read: {first_line(error)}.")
            )
            return
    if not tables:
        contents.problems.append(
            Finding("error", EPISODES, None, None, "", "it has no */*.parquet, which say where episodes are.")
        )
        return
    table = pa.concat_tables(tables, promote_options="default")
    contents.episodes = {name: table.column(name).to_pylist() for name in dict.fromkeys(table.column_names)}


def _read_prompts(contents: Contents) -> None:
    import pyarrow as pa  # optional
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(contents.root / TASKS).read()
        numbers = table.column("task_index").to_pylist()
        is_text = [pa.types.is_string(f.type) or pa.types.is_large_string(f.type) for f in table.schema]
        strings = [f.name for f, is_one in zip(table.schema, is_text, strict=True) if is_one]
        if not strings:
            raise ValueError("there is no column of texts")
        texts = table.column(strings[0]).to_pylist()
    except Exception as error:
        contents.problems.append(
            Finding("error", TASKS, None, None, "task_index", f"prompts cannot be read: {first_line(error)}.")
        )
        return
    contents.prompts = {}
    for number, text in zip(numbers, texts, strict=True):
        contents.prompts.setdefault(number, []).append(text or "")
    if None in texts:
        said = f"{numbers[texts.index(None)]} stands for no text."
        contents.problems.append(Finding("error", TASKS, None, None, "task_index", said))


def _read_statistics(contents: Contents) -> None:
    try:
        found = json.loads((contents.root / STATS).read_text())
        if not isinstance(found, dict):
            raise ValueError("it holds no statistics by feature")
        contents.statistics = found
    except (OSError, ValueError, RecursionError) as error:
        contents.problems.append(
            Finding("error", STATS, None, None, "", f"it cannot be read: {first_line(error)}.")
        )
