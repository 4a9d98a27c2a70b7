"""Cameras that are stored as image files in the tables of frames: whether they decode, and pictures of them.

A table is read by row groups, of which a sample is read where all would be much.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from toyflow.errors import first_line
from toyflow.robot.data.checks.contents import Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.checks.samples import EPISODES_SEEN, PER_EPISODE, Picture, Run, Sampled, spread
from toyflow.robot.data.local_files import INFO

BYTES_SEEN = 32 << 20
"""About as many bytes of image files are read of each camera, in evenly spread row groups."""
HEADERS_SEEN = 4000
"""Image files among these whose size and channels are read."""
ROWS_AT_ONCE = 32


class _Group(NamedTuple):
    """The beginning of a row group: `rows` rows that are read, the first of which is the frame `start`."""

    file: str
    number: int
    start: int
    rows: int


def image_pictures(contents: Contents, feature: str, findings: list[Finding]) -> Sampled:
    """Pictures of some episodes of a camera that is stored as image files; what is wrong is added to
    `findings`."""
    from PIL import Image  # heavy

    groups = _sampled_groups(contents, feature)
    if not groups:
        findings.append(contents.at("error", 0, feature, "its column holds no pictures."))
        return []
    frames = np.concatenate([np.arange(each.start, each.start + each.rows) for each in groups] or [[]])
    episodes = spread(_parts(contents.runs(), frames.astype(int)), EPISODES_SEEN)
    wanted = {frame: run for run, seen in episodes for frame in seen}
    headers = {*wanted, *map(int, spread(frames.tolist(), HEADERS_SEEN))}
    pictures: dict[Run, list[Picture]] = {run: [] for run, _ in episodes}
    told = False
    for frame, stored in _stored_images(contents, feature, groups, headers):
        try:
            content = stored.get("bytes") or _content_of(contents, stored.get("path"))
            with Image.open(io.BytesIO(content)) as image:
                size, mode = image.size, image.mode
                if frame in wanted:
                    pictures[wanted[frame]].append(Picture(frame, np.asarray(image.convert("RGB"))))
        except Exception as error:
            if not told:
                said = "there is no picture" if stored is None else first_line(error)
                findings.append(
                    contents.at("error", frame, feature, f"its picture cannot be decoded: {said}.")
                )
                told = True
            continue
        if not told and (why := _unlike(contents, feature, size, mode)):
            findings.append(contents.at("error", frame, feature, why))
            told = True
    return list(pictures.items())


def _parts(runs: list[Run], frames: np.ndarray) -> list[tuple[Run, list[int]]]:
    """The part of each run that lies in these sorted frames, and the frames of it to decode; runs without
    such a part are left out."""
    found = []
    for episode, start, stop in runs:
        here = frames[np.searchsorted(frames, start) : np.searchsorted(frames, stop)].tolist()
        if here:
            found.append(((episode, here[0], here[-1] + 1), spread(here, PER_EPISODE)))
    return found


def _unlike(contents: Contents, feature: str, size: tuple[int, int], mode: str) -> str:
    """What of an image file contradicts meta/info.json; empty for nothing."""
    if mode != "RGB":
        channels = {"L": "1 channel", "I;16": "1 channel of 16 bits", "RGBA": "4 channels", "I": "1 channel"}
        return f"its picture has {channels.get(mode, f'mode {mode}')}, not red, green and blue."
    shape = sorted(int(side) for side in contents.features[feature].get("shape") or ())
    if shape != sorted((*size, 3)):
        return (
            f"its picture has {size[0]}x{size[1]} pixels, and {INFO} says shape "
            f"{list(contents.features[feature].get('shape') or ())}."
        )
    return ""


def _sampled_groups(contents: Contents, feature: str) -> list[_Group]:
    """Evenly spread row groups of about `BYTES_SEEN` together; of large ones the beginning."""
    import pyarrow.parquet as pq  # optional

    groups: list[tuple[_Group, int]] = []
    for name, start, _ in contents.files:
        file = pq.ParquetFile(contents.root / name)
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            chunks = [group.column(i) for i in range(group.num_columns)]
            size = sum(c.total_compressed_size for c in chunks if c.path_in_schema.startswith(f"{feature}."))
            if size and group.num_rows:
                groups.append((_Group(name, number, start, group.num_rows), size))
            start += group.num_rows
    whole = sum(size for _, size in groups)
    if whole <= BYTES_SEEN:
        return [group for group, _ in groups]
    chosen = spread(groups, max(2, len(groups) * BYTES_SEEN // whole))
    share = BYTES_SEEN // len(chosen)
    return [
        group._replace(rows=min(group.rows, max(PER_EPISODE, group.rows * share // size)))
        for group, size in chosen
    ]


def _stored_images(
    contents: Contents, feature: str, groups: list[_Group], wanted: set[int]
) -> Iterator[tuple[int, Any]]:
    """(frame, {"bytes": ..., "path": ...}) of the wanted frames of these groups."""
    import pyarrow.parquet as pq  # optional

    for name, number, start, rows in groups:
        file = pq.ParquetFile(contents.root / name, buffer_size=1 << 20)  # else a group is read whole
        frame = start
        for batch in file.iter_batches(ROWS_AT_ONCE, [number], [feature], use_threads=False):
            column = batch.column(0)
            for row in range(min(len(column), start + rows - frame)):
                if frame + row in wanted:
                    yield frame + row, column[row].as_py()
            frame += len(column)
            if frame >= start + rows:
                break


def _content_of(contents: Contents, path: str | None) -> bytes:
    if not path:
        raise OSError("there are neither bytes nor a path")
    return (contents.root / path).read_bytes()
