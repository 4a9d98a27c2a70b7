"""Cameras that are stored as videos: where each episode is in them, whether they decode, some pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toyflow.errors import first_line
from toyflow.robot.data.checks.contents import EPISODES, Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.checks.samples import EPISODES_SEEN, PER_EPISODE, Picture, Sampled, spread
from toyflow.robot.data.local_files import INFO

VIDEOS_SEEN = 12
"""Files of each camera that are opened."""


def video_pictures(contents: Contents, feature: str, findings: list[Finding]) -> Sampled:
    """Pictures of some episodes of a camera that is stored as videos; adds what is wrong to `findings`."""
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
    found: Sampled = []
    broken: set[str] = set()
    for file in spread(files, VIDEOS_SEEN):
        here = [i for i, place in enumerate(places) if place[0] == file]
        last = max(here, key=lambda i: places[i][2])
        problem = _examine(contents, feature, contents.root / file, places[last][2])
        if problem:
            episode, start, _ = contents.runs()[here[0] if problem[0] else last]
            findings.append(Finding("error", file, episode, start, feature, problem[1]))
            broken.add(file)
    by_run = dict(zip(contents.runs(), places, strict=False))
    for run in spread(contents.runs(), EPISODES_SEEN):
        file, begins, _ = by_run.get(run, ("", 0.0, 0.0))
        if not file or file in broken or not (contents.root / file).is_file():
            continue
        frames = spread(range(*run[1:]), PER_EPISODE)
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
    except (AttributeError, KeyError, ValueError, TypeError, IndexError) as error:
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
