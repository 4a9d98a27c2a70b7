"""Cameras: whether their pictures decode, have the size that meta says, and show something that moves."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toyflow.errors import first_line
from toyflow.robot.data.checks.contents import EPISODES, Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.local_files import INFO

EPISODES_SEEN = 12
"""Episodes of each camera whose pictures are decoded: the first, the last, and others evenly between."""
PER_EPISODE = 3
"""Pictures decoded of each: its first, its middle and its last."""
VIDEOS_SEEN = 12
HEADERS_SEEN = 4000
"""Image files of each camera whose size and channels are read."""
BLACK = 10
"""A picture without a brighter value (0..255) is black."""
PLAIN = 1.0
"""A standard deviation of pixels below this is a picture of one colour."""
MOVES = 0.02
"""Share of a number's range over the data set by which it must change for a still camera to be frozen."""
SIDE = 160
"""Longest side of the pictures that a report shows."""


class Picture(NamedTuple):
    """A decoded picture: its frame in the data set, and its pixels [height, width, 3]."""

    frame: int
    pixels: np.ndarray


class CameraCheck(NamedTuple):
    """What was found of a camera, and its first picture as PNG, if there is one."""

    findings: list[Finding]
    first: bytes | None


def check_camera(contents: Contents, feature: str) -> CameraCheck:
    """Look at samples of a camera's pictures."""
    findings: list[Finding] = []
    is_video = contents.features[feature].get("dtype") == "video"
    read = _video_pictures if is_video else _image_pictures
    by_episode = read(contents, feature, _sampled(contents.runs()), findings)
    findings.extend(_check_size(contents, feature, by_episode))
    findings.extend(_check_seen(contents, feature, by_episode))
    first = next((pictures[0].pixels for _, pictures in by_episode if pictures), None)
    return CameraCheck(findings, None if first is None else _png(first))


Sampled = list[tuple[tuple[int, int, int], list[Picture]]]
"""(episode, first frame, frame after its last), and pictures of it."""


def _sampled(runs: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    places = np.unique(np.linspace(0, len(runs) - 1, min(EPISODES_SEEN, len(runs))).round().astype(int))
    return [runs[place] for place in places]


def _frames_seen(start: int, stop: int) -> list[int]:
    return np.unique(np.linspace(start, stop - 1, PER_EPISODE).round().astype(int)).tolist()


def _image_pictures(
    contents: Contents, feature: str, episodes: list[tuple[int, int, int]], findings: list[Finding]
) -> Sampled:
    from PIL import Image  # heavy

    wanted = {frame for _, start, stop in episodes for frame in _frames_seen(start, stop)}
    headers = {*wanted, *np.linspace(0, contents.frames - 1, HEADERS_SEEN).astype(int).tolist()}
    pictures: dict[int, Picture] = {}
    told = False
    for frame, stored in _stored_images(contents, feature, headers):
        try:
            content = stored.get("bytes") or _content_of(contents, stored.get("path"))
            with Image.open(io.BytesIO(content)) as image:
                size, mode = image.size, image.mode
                if frame in wanted:
                    pictures[frame] = Picture(frame, np.asarray(image.convert("RGB")))
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
    return [
        (run, [pictures[frame] for frame in _frames_seen(*run[1:]) if frame in pictures]) for run in episodes
    ]


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


def _stored_images(contents: Contents, feature: str, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """(frame, {"bytes": ..., "path": ...}) of the wanted frames; a row group without one is not read."""
    import pyarrow.parquet as pq  # optional

    for name, start, _ in contents.files:
        file = pq.ParquetFile(contents.root / name)
        if feature not in file.schema_arrow.names:
            continue
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = [frame for frame in range(start, stop) if frame in wanted]
            if here:
                column = file.read_row_group(group, columns=[feature]).column(feature)
                yield from ((frame, column[frame - start].as_py()) for frame in here)
            start = stop


def _content_of(contents: Contents, path: str | None) -> bytes:
    if not path:
        raise OSError("there are neither bytes nor a path")
    return (contents.root / path).read_bytes()


def _video_pictures(
    contents: Contents, feature: str, episodes: list[tuple[int, int, int]], findings: list[Finding]
) -> Sampled:
    places = _video_places(contents, feature, findings)
    if places is None:
        return []
    findings.extend(_check_spans(contents, feature, places))
    files = list(dict.fromkeys(file for file, _, _ in places))
    missing = [file for file in files if not (contents.root / file).is_file()]
    if missing:
        run = contents.runs()[next(i for i, place in enumerate(places) if place[0] == missing[0])]
        findings.append(
            Finding("error", missing[0], run[0], run[1], feature, "the video is missing.")
        )  # fmt: skip
        return []
    seen = {
        files[i] for i in np.linspace(0, len(files) - 1, min(VIDEOS_SEEN, len(files))).round().astype(int)
    }
    found: Sampled = []
    broken: set[str] = set()
    for file in (file for file in files if file in seen):
        here = [i for i, place in enumerate(places) if place[0] == file]
        last = max(here, key=lambda i: places[i][2])
        problem = _examine(contents, feature, contents.root / file, places[last][2])
        if problem:
            episode, start, _ = contents.runs()[here[0] if problem[0] else last]
            findings.append(Finding("error", file, episode, start, feature, problem[1]))
            broken.add(file)
    by_run = dict(zip(contents.runs(), places, strict=False))
    for run in episodes:
        file, begins, _ = by_run.get(run, ("", 0.0, 0.0))
        if not file or file in broken or not (contents.root / file).is_file():
            continue
        frames = _frames_seen(*run[1:])
        try:
            pictures = _decoded(contents.root / file, [begins + (f - run[1]) / contents.fps for f in frames])
        except Exception as error:
            findings.append(
                Finding(
                    "error", file, run[0], frames[0], feature, f"it cannot be decoded: {first_line(error)}."
                )
            )
            break
        found.append((run, [Picture(frame, each) for frame, each in zip(frames, pictures, strict=True)]))
    return found


def _video_places(
    contents: Contents, feature: str, findings: list[Finding]
) -> list[tuple[str, float, float]] | None:
    """(file, second at which it begins, second at which it ends) of every episode, by meta/episodes."""
    table, pattern = contents.episodes, str(contents.info.get("video_path") or "")
    keys = [f"videos/{feature}/{name}" for name in
            ("chunk_index", "file_index", "from_timestamp", "to_timestamp")]  # fmt: skip
    if table is None or not contents.fps or not contents.runs():
        return None
    absent = next((key for key in keys if key not in table), None)
    if absent or "{" not in pattern:
        said = f"there is no column {absent}" if absent else f"{INFO} has no video_path"
        findings.append(
            Finding("error", EPISODES, None, None, feature, f"{said}, so its videos are not found.")
        )
        return None
    try:
        return [
            (
                pattern.format(video_key=feature, chunk_index=int(chunk), file_index=int(file)),
                float(begins),
                float(ends),
            )
            for chunk, file, begins, ends in zip(*(table[key] for key in keys), strict=True)
        ]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        findings.append(
            Finding("error", EPISODES, None, None, feature, f"its videos are not found: {first_line(error)}.")
        )
        return None


def _check_spans(
    contents: Contents, feature: str, places: list[tuple[str, float, float]]
) -> Iterator[Finding]:
    """Whether each episode has as many seconds of video as it has frames, and a stretch of its own."""
    ended: dict[str, float] = {}
    half = 0.5 / contents.fps
    for (episode, start, stop), (file, begins, ends) in zip(contents.runs(), places, strict=False):
        seconds = (stop - start) / contents.fps
        if not abs(ends - begins - seconds) <= 2 * half:
            yield Finding(
                "error", EPISODES, episode, start, feature, f"its video goes from {begins:.3f} to "
                f"{ends:.3f} s, and "
                f"its {stop - start} frames take {seconds:.3f} s."
            )  # fmt: skip
            return
        if begins < ended.get(file, 0.0) - half:
            yield Finding(
                "error", EPISODES, episode, start, feature, f"its video begins at {begins:.3f} s of "
                f"{file}, within "
                "that of the episode before."
            )  # fmt: skip
            return
        ended[file] = ends


def _examine(contents: Contents, feature: str, path: Path, needed: float) -> tuple[bool, str] | None:
    """(whether it concerns the whole video, what is wrong); None for nothing.

    Args:
        needed: seconds that it should last.
    """
    import av  # optional

    try:
        container = av.open(str(path))
    except Exception as error:
        return True, f"the video cannot be opened: {first_line(error)}."
    with container:
        if not container.streams.video:
            return True, "there are no pictures in it."
        stream = container.streams.video[0]
        codec = stream.codec_context.name if stream.codec_context else ""
        if not codec:
            return True, (
                "no decoder here reads it: PyAV lacks that of its codec; `toyflow doctor` says what "
                "decodes videos."
            )
        shape = list(contents.features[feature].get("shape") or ())
        if sorted((stream.height, stream.width, 3)) != sorted(map(int, shape)):
            return True, f"it has {stream.width}x{stream.height} pixels, and {INFO} says shape {shape}."
        rate = float(stream.average_rate or 0)
        if rate and abs(rate / contents.fps - 1) > 0.02:
            return True, f"it has {rate:g} pictures a second, and {INFO} says fps {contents.fps:g}."
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if seconds and seconds < needed - 1.5 / contents.fps:
            return False, f"it lasts {seconds:.3f} s, and the episode's pictures go on to {needed:.3f} s."
    return None


def _decoded(path: Path, times: Sequence[float]) -> list[np.ndarray]:
    """The pictures of a video that are nearest to these seconds, in order."""
    import av  # optional

    found: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = float(stream.time_base or 1)
        for time in times:
            container.seek(int(max(time, 0) / base), stream=stream)
            best: Any = None
            for frame in container.decode(stream):
                if best is None or abs((frame.time or 0) - time) <= abs((best.time or 0) - time):
                    best = frame
                if (frame.time or 0) >= time:
                    break
            if best is None:
                raise OSError(f"there is no picture at {time:.3f} s")
            found.append(best.to_ndarray(format="rgb24"))
    return found


def _check_size(contents: Contents, feature: str, by_episode: Sampled) -> Iterator[Finding]:
    """Whether decoded pictures of a video are of one size; those of image files were looked at one by one."""
    sizes = {each.pixels.shape: each.frame for _, pictures in by_episode for each in pictures}
    if len(sizes) > 1 and contents.features[feature].get("dtype") == "video":
        frame = max(sizes.values())
        yield contents.at("error", frame, feature, f"pictures are of {len(sizes)} sizes.")


def _check_seen(contents: Contents, feature: str, by_episode: Sampled) -> Iterator[Finding]:
    """Whether pictures show something, and whether it moves where the robot does."""
    pictures = [each for _, several in by_episode for each in several]
    blank = [each.frame for each in pictures if each.pixels.max() < BLACK or each.pixels.std() < PLAIN]
    if blank:
        every = len(blank) == len(pictures)
        yield contents.at(
            "error" if every else "warning", blank[0], feature, f"{'every' if every else len(blank)} of "
            f"{len(pictures)} pictures looked at is black or of one colour."
        )  # fmt: skip
        if every:
            return
    moving = [
        (run, several) for run, several in by_episode if len(several) > 1 and _robot_moves(contents, *run[1:])
    ]
    frozen = [
        run
        for run, several in moving
        if all(np.array_equal(several[0].pixels, each.pixels) for each in several[1:])
    ]
    if frozen:
        every = len(frozen) == len(moving)
        yield contents.at(
            "error" if every else "warning", frozen[0][1], feature, "pictures do not change over the "
            "episode, "
            f"though the robot moves, in {len(frozen)} of {len(moving)} episodes looked at."
        )  # fmt: skip


def _robot_moves(contents: Contents, start: int, stop: int) -> bool:
    column = contents.columns.get(contents.names.state)
    if column is None or not np.isfinite(column).all():
        return False
    every = np.ptp(column, axis=0)
    return bool((np.ptp(column[start:stop], axis=0) > MOVES * every)[every > 0].any())


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image  # heavy

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
