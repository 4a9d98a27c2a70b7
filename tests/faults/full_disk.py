"""A disk that is full: every command on a small file system whose room grows from nothing, step by step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from faults import results
from faults.bench import (
    DEMOS,
    ON_POINTS,
    SWEEP,
    TRAIN,
    Bench,
    Done,
    apart,
    finished,
    inside,
    no_rubbish,
    refused,
    unchanged,
    well,
)
from faults.campaign import Accepted, NotHere, Rude, Trial

SIZE = 512 << 20
PAGE = 4096
MOST_STAIRS = 200


@dataclass(frozen=True)
class Writer:
    """A command, what it starts from, and what its result is; it works on the small disk."""

    name: str
    words: tuple[str, ...]
    parts: tuple[str, ...]
    result: Callable[[Path], Any]


def writers(bench: Bench) -> list[Writer]:
    """All that write."""
    policy = bench.policy(bench.world)
    on_points = (*ON_POINTS, "--suite", "points", "--states", "2", "--steps", "4", "--videos", "1")

    def made(name: str) -> Callable[[Path], Any]:
        return lambda folder: (folder / name).is_file()

    return [
        Writer("sweep", SWEEP, (), lambda f: results.cells(f / "toy")),
        Writer("plot", ("plot", "--out", "toy"), ("toy/cells", "toy/toyflow.json"), results.tables),
        Writer("probe", ("probe", "--out", "toy"), ("toy/cells", "toy/toyflow.json"), results.tables),
        Writer("report", ("report", "--out", "toy"), ("toy/cells", "toy/toyflow.json"), results.tables),
        Writer("robot-demos", DEMOS, (), lambda f: results.demonstrations(f / "demos")),
        Writer(
            "robot-train", TRAIN, ("demos",),
            lambda f: (results.cells(f / "robot"), results.cards(f / "robot")),
        ),
        Writer(
            "robot-eval", ("robot-eval", policy, *on_points), ("robot",),
            lambda f: results.cells(f / "robot"),
        ),
        Writer("robot-export", ("robot-export", policy, "again"), ("robot",), made("again/config.json")),
        Writer("robot-replay", ("robot-replay", "run.jsonl"), ("run.jsonl",), made("run.png")),
    ]  # fmt: skip


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for each command, with a fault for each step; and the logs and caches."""
    for writer in writers(bench):
        yield Trial(f"disk full: {writer.name}", lambda w=writer: _staircase(bench, w))
    yield Trial("disk full: robot-run's log", lambda: _log(bench))
    yield Trial("disk full: cache of images", lambda: _images(bench))
    yield Trial("disk full: caches of MNIST and its classifier", lambda: _caches(bench))


def _staircase(bench: Bench, writer: Writer) -> int:
    """Run it with more and more room until it succeeds; whatever was finished on the way stays."""
    whole = bench.fresh()
    _fill(bench, whole, writer)
    before = _bytes_in(whole)
    well(inside(whole, *writer.words), writer.name)
    expected, need = writer.result(whole), _bytes_in(whole) - before
    bench.drop(whole)
    with small_disk(bench.fresh()) as disk:
        _fill(bench, disk.root, writer)
        kept, said = finished(disk.root), ""
        stairs, room, step = 0, 0, need // 3 if bench.short else PAGE
        while True:
            disk.leave(room)
            done = inside(disk.root, *writer.words)
            unchanged(kept, disk.root)
            kept = finished(disk.root)
            if not done.code:
                break
            _refused_for_room(done)
            stairs += 1
            if stairs > MOST_STAIRS:
                raise Rude(f"{writer.name} never succeeds: {done.err[-300:]}")
            file = re.sub(r"\.\w{8}\b", "", done.err)  # without the letters of a temporary name
            step = 2 * step if bench.short or file == said else PAGE  # small steps to each new file
            room, said = room + step, file
        if writer.result(disk.root) != expected:
            raise Accepted(f"{writer.name} came to another result after the disk was full")
        no_rubbish(disk.root)
    return stairs


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _refused_for_room(done: Done) -> None:
    refused(done)
    if not any(
        words in done.out + done.err
        for words in ("No space left", "cannot write", "disk full", "os error 28")
    ):
        raise Rude(f"it does not say that the disk is full: {(done.out + done.err)[-400:]}")


def _fill(bench: Bench, folder: Path, writer: Writer) -> None:
    for part in writer.parts:
        source, target = bench.world / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)


def _log(bench: Bench) -> int:
    """The robot is brought to rest, and what was written can be read."""
    from toyflow.robot.runtime.control.log import read_log

    folder = bench.fresh("robot")
    words = (
        "robot-run", bench.policy(bench.world), "--robot", "points", "--suite", "points",
        "--log", "disk/run.jsonl",
    )  # fmt: skip
    (folder / "disk").mkdir()
    with small_disk(folder / "disk") as disk:
        disk.leave(0)
        refused(inside(folder, *words), "No space left")
        log = folder / "disk" / "run.jsonl"
        log.unlink()
        disk.leave(2 * PAGE)
        refused(inside(folder, *words), "No space left")
        recording = read_log(log)
        if not recording.of("step") or (recording.damage is None and recording.of("end")):
            raise Accepted("the log of a run on a full disk looks whole")
        log.unlink()
        disk.leave(SIZE // 2)
        well(inside(folder, *words))
    return 2


def _images(bench: Bench) -> int:
    """The cache is where workers were told at their start, so it is full in a process of its own."""
    folder = bench.fresh("demos")
    words = (*TRAIN, "--suite", "none", "--iterations", "2")
    (folder / "disk").mkdir()
    rooms = (0,) if bench.short else (0, 2 * PAGE, 20 * PAGE)
    with small_disk(folder / "disk") as disk:
        for room in rooms:
            disk.leave(room)
            _refused_for_room(apart(folder, *words, TOYFLOW_CACHE=str(folder / "disk")))
        disk.leave(SIZE // 2)
        if not bench.short:
            well(apart(folder, *words, TOYFLOW_CACHE=str(folder / "disk")))
    return len(rooms)


def _caches(bench: Bench) -> int:
    """Each is refused in one line, and made when there is room."""
    from toyflow.errors import ToyflowError
    from toyflow.toy import features, mnist
    from toyflow.toy.images import IMAGE_SETS

    untrained = features.Classifier(1).requires_grad_(False).eval()
    tried = 0
    with (
        small_disk(bench.fresh()) as disk,
        mock.patch.dict(os.environ, {"TOYFLOW_CACHE": str(disk.root)}),
        mock.patch.object(features, "train_classifier", lambda train, images: untrained),
    ):
        for make, rooms in (
            (mnist.unpack_mnist, (0, 1 << 20, 20 << 20)),
            (lambda: features.load_classifier(IMAGE_SETS["mnist"]), (0, PAGE, 40 * PAGE)),
        ):
            for room in rooms:
                disk.leave(room)
                try:
                    make()
                except ToyflowError as error:
                    if "\n" in str(error) or not any(w in str(error) for w in ("No space", "os error 28")):
                        raise Rude(f"it does not say that the disk is full: {error}") from error
                except Exception as error:
                    raise Rude(f"{type(error).__name__}: {error}") from error
                else:
                    raise Rude(f"{room} bytes of room were enough for {make}")
                tried += 1
            disk.leave(SIZE // 2)
            make()
    return tried


class SmallDisk:
    """A file system in memory, most of which one file takes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / ".ballast"

    def leave(self, room: int) -> None:
        """Leave so many bytes, rounded up to pages."""
        self._ballast.unlink(missing_ok=True)
        free = shutil.disk_usage(self.root).free
        with self._ballast.open("wb") as file:
            if free > room:
                os.posix_fallocate(file.fileno(), 0, free - -(-room // PAGE) * PAGE)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mounted at `folder`. Raises NotHere where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        raise NotHere("not tried: mounting a small file system needs root")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
