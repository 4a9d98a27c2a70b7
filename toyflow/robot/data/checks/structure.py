"""Whether counts, indices, order, time stamps and prompts of a data set agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from toyflow.robot.data.checks.contents import EPISODES, TASKS, Contents
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.local_files import INFO

RATE_TOLERANCE = 0.05
"""Share by which the distance of time stamps may differ from 1 / fps."""
MANY_PROMPTS = 1000
SHORT, LONG = 0.2, 5.0
"""Shares of the median length below and above which an episode's length is worth a look."""


def check_structure(contents: Contents) -> Iterator[Finding]:
    """Everything about meta, indices, time stamps and prompts."""
    yield from _check_whole_numbers(contents)
    yield from _check_counts(contents)
    yield from _check_order(contents)
    yield from _check_episodes(contents)
    yield from _check_timestamps(contents)
    yield from _check_prompts(contents)
    yield from _check_lengths(contents)


def _check_whole_numbers(contents: Contents) -> Iterator[Finding]:
    for feature in ("episode_index", "frame_index", "index", "task_index"):
        column = contents.columns.get(feature)
        if column is None:
            if feature not in contents.features:
                yield Finding("error", INFO, None, None, feature, "it is not among the features.")
            continue
        with np.errstate(invalid="ignore"):
            wrong = ~(np.isfinite(column.astype(float)) & (column >= 0) & (column == np.floor(column)))
        if wrong.any():
            first = int(wrong.argmax())
            value = column[first]
            yield contents.at("error", first, feature, f"it is {value}, not a whole number from 0 on.")


def _check_counts(contents: Contents) -> Iterator[Finding]:
    if not contents.fps:
        yield Finding(
            "error", INFO, None, None, "", f"fps is {contents.info.get('fps')!r}, no number above 0."
        )
    there = {"total_frames": contents.frames, "total_episodes": len({run[0] for run in contents.runs()})}
    for name, count in there.items():
        if contents.info.get(name) != count and (name != "total_episodes" or contents.runs()):
            what = name.removeprefix("total_")
            yield Finding(
                "error", INFO, None, None, "", f"{name} is {contents.info.get(name)}, and the files have "
                f"{count} "
                f"{what}."
            )  # fmt: skip
    tasks = len(contents.prompts or ())
    if contents.prompts is not None and contents.info.get("total_tasks", tasks) != tasks:
        said = contents.info["total_tasks"]
        yield Finding("warning", INFO, None, None, "", f"total_tasks is {said}, and {TASKS} has {tasks}.")


def _check_order(contents: Contents) -> Iterator[Finding]:
    seen: set[int] = set()
    for place, (episode, start, _) in enumerate(contents.runs()):
        if episode in seen:
            yield contents.at(
                "error", start, "episode_index", f"frames of episode {episode} are in several places: they "
                f"begin again here, at frame {start}."
            )  # fmt: skip
            break
        if episode != place:
            yield contents.at(
                "error", start, "episode_index", f"the episode at place {place} says that it is number "
                f"{episode}: episodes are missing or out of order."
            )  # fmt: skip
            break
        seen.add(episode)
    index = contents.columns.get("index")
    if index is not None and (wrong := index != np.arange(len(index))).any():
        first = int(wrong.argmax())
        yield contents.at("error", first, "index", f"it is {index[first]} at frame {first}.")
    within = _numbers_within(contents)
    frame_index = contents.columns.get("frame_index")
    if frame_index is not None and len(within) and (wrong := frame_index != within).any():
        first = int(wrong.argmax())
        yield contents.at(
            "error", first, "frame_index", f"it is {frame_index[first]} where the episode is at its frame "
            f"{within[first]}: frames are missing or out of order."
        )  # fmt: skip


def _numbers_within(contents: Contents) -> np.ndarray:
    """For each frame its number within its stretch of one episode."""
    within = np.arange(contents.frames)
    for _, start, stop in contents.runs():
        within[start:stop] -= start
    return within if contents.runs() else within[:0]


def _check_episodes(contents: Contents) -> Iterator[Finding]:
    table = contents.episodes
    if table is None or not contents.runs():
        return
    columns = ("episode_index", "length", "dataset_from_index", "dataset_to_index")
    missing = [name for name in columns if name not in table]
    if missing:
        yield Finding("error", EPISODES, None, None, missing[0], "there is no such column.")
        return
    numbers = table["episode_index"]
    runs = contents.runs()
    if len(numbers) != len(runs):
        yield Finding(
            "error", EPISODES, None, None, "", f"it has {len(numbers)} episodes, and the frames are of "
            f"{len(runs)}."
        )  # fmt: skip
    for place, (episode, start, stop) in enumerate(runs[: len(numbers)]):
        told = {name: table[name][place] for name in columns}
        is_so: dict[str, int] = dict(zip(columns, (episode, stop - start, start, stop), strict=True))
        wrong = next((name for name in columns if told[name] != is_so[name]), None)
        if wrong:
            yield Finding(
                "error", EPISODES, episode, start, wrong, f"{wrong} is {told[wrong]}, and by the frames it "
                "is "
                f"{is_so[wrong]}."
            )  # fmt: skip
            break
    yield from _check_files(contents, table)


def _check_files(contents: Contents, table: dict[str, list[Any]]) -> Iterator[Finding]:
    """Whether the episodes' frames are in the files where meta/episodes say."""
    pattern = str(contents.info.get("data_path") or "")
    chunk, file = table.get("data/chunk_index"), table.get("data/file_index")
    if chunk is None or file is None or "{" not in pattern:
        return
    for (episode, start, _), chunk_index, file_index in zip(contents.runs(), chunk, file, strict=False):
        try:
            said = pattern.format(chunk_index=chunk_index, file_index=file_index)
        except (KeyError, ValueError, IndexError, TypeError):
            yield Finding("error", INFO, None, None, "", f"data_path {pattern!r} is no pattern of a path.")
            return
        found = contents.at("error", start, "data/file_index", "")
        if found.file != said:
            yield Finding(
                "error", EPISODES, episode, start, "data/file_index", f"its frames should be in {said}, "
                "and are "
                f"in {found.file}."
            )  # fmt: skip
            return


def _check_timestamps(contents: Contents) -> Iterator[Finding]:
    times, fps = contents.columns.get("timestamp"), contents.fps
    if times is None or not fps or not contents.runs():
        if times is None and "timestamp" not in contents.features:
            yield Finding("error", INFO, None, None, "timestamp", "it is not among the features.")
        return
    times = times.reshape(len(times), -1)[:, 0].astype(float)
    if not (finite := np.isfinite(times)).all():
        yield contents.at("error", int((~finite).argmax()), "timestamp", "it is not a finite number.")
        return
    episode = contents.columns["episode_index"]
    inside = episode[1:] == episode[:-1]
    steps = np.diff(times)
    if not inside.any():
        return
    if (back := inside & (steps <= 0)).any():
        first = int(back.argmax()) + 1
        yield contents.at(
            "error", first, "timestamp", f"it is {times[first]:g} s, after {times[first - 1]:g} s: time "
            "stands "
            "still or goes back."
        )  # fmt: skip
        return
    usual = float(np.median(steps[inside]))
    if abs(usual * fps - 1) > RATE_TOLERANCE:
        first = int(inside.argmax()) + 1
        yield contents.at(
            "error", first, "timestamp", f"frames are {usual:.4g} s apart, {1 / usual:.3g} a second, and "
            f"{INFO} "
            f"says fps {fps:g}."
        )  # fmt: skip
        return
    if (hole := inside & (steps > 1.5 * usual)).any():
        first = int(hole.argmax()) + 1
        yield contents.at(
            "error", first, "timestamp", f"{steps[first - 1]:.3g} s have passed since the frame before, in "
            "place "
            f"of {1 / fps:.3g} s: frames are missing ({int(hole.sum())} such holes)."
        )  # fmt: skip
        return
    off = np.abs(times - _numbers_within(contents) / fps)
    if (wrong := off > 0.5 / fps).any():
        first = int(wrong.argmax())
        yield contents.at(
            "error" if contents.videos else "warning", first, "timestamp", f"it is {times[first]:.4g} s, "
            f"{off[first]:.3g} s off the frame's number / fps" + (
                ": another picture of the video would be read." if contents.videos else "."
            )
        )  # fmt: skip


def _check_prompts(contents: Contents) -> Iterator[Finding]:
    prompts, tasks = contents.prompts, contents.columns.get("task_index")
    if prompts is None:
        return
    for number, texts in prompts.items():
        if len(texts) > 1:
            yield Finding(
                "error", TASKS, None, None, "task_index", f"{number} stands for {len(texts)} prompts."
            )
            break
    if tasks is None:
        return
    if (absent := ~np.isin(tasks, list(prompts))).any():
        first = int(absent.argmax())
        yield contents.at(
            "error", first, "task_index", f"it is {tasks[first]}, and {TASKS} has "
            f"{_listed(sorted(prompts))} only "
            f"({int(absent.sum())} frames)."
        )  # fmt: skip
    for number, texts in prompts.items():
        if not texts[0].strip() and (used := tasks == number).any():
            yield contents.at(
                "warning",
                int(used.argmax()),
                "task_index",
                f"the prompt of {int(used.sum())} frames is empty.",
            )
    unused = sorted(set(prompts) - {int(task) for task in np.unique(tasks) if np.isfinite(task)})
    if unused:
        yield Finding("note", TASKS, None, None, "task_index", f"no frame has {_listed(unused)}.")
    if len(prompts) > MANY_PROMPTS:
        yield Finding("note", TASKS, None, None, "task_index", f"there are {len(prompts)} different prompts.")
    yield from _check_prompts_of_episodes(contents, prompts, tasks)


def _check_prompts_of_episodes(
    contents: Contents, prompts: dict[int, list[str]], tasks: np.ndarray
) -> Iterator[Finding]:
    told = (contents.episodes or {}).get("tasks")
    if told is None:
        return
    for (episode, start, stop), texts in zip(contents.runs(), told, strict=False):
        said = [texts] if isinstance(texts, str) else texts
        seen = [prompts[int(task)][0] for task in np.unique(tasks[start:stop]) if task in prompts]
        if said is not None and seen and set(seen) != set(map(str, said)):
            yield Finding(
                "warning", EPISODES, episode, start, "tasks", f"its prompt is {_listed(said)} here, and "
                f"{_listed(seen)} by the frames' task_index, which training reads."
            )  # fmt: skip
            return


def _check_lengths(contents: Contents) -> Iterator[Finding]:
    runs = contents.runs()
    if len(runs) < 5:
        return
    lengths = np.array([stop - start for _, start, stop in runs])
    median = float(np.median(lengths))
    for wrong, what in ((lengths < SHORT * median, "short"), (lengths > LONG * median, "long")):
        if wrong.any():
            place = int(wrong.argmax())
            _, start, _ = runs[place]
            yield contents.at(
                "warning", start, "", f"the episode is {what}: {lengths[place]} frames, where the median is "
                f"{median:g} ({int(wrong.sum())} such episodes)."
            )  # fmt: skip


def _listed(values: list[Any], most: int = 5) -> str:
    shown = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in values[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")
