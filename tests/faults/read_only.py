"""A folder that can be read and not written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.bench import DEMOS, ON_POINTS, SWEEP, Bench, finished, inside, refused, unchanged, well
from faults.campaign import NotHere, Trial


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for what reads, which works, and one for what writes, which says in one line that it cannot."""
    policy = bench.policy(bench.world)
    reading = (
        SWEEP,
        ("runs", "list", "--out", "toy"),
        ("compare", "beta", "regression", "--out", "toy"),
        ("robot-run", policy, "--robot", "points", "--suite", "points", "--log", "../run.jsonl"),
        ("robot-replay", "run.jsonl", "--figure", "../run.png"),
    )
    on_points = (*ON_POINTS, "--suite", "points")
    writing = (
        (*SWEEP, "--steps", "1,2,3"),
        ("plot", "--out", "toy"),
        ("probe", "--out", "toy"),
        ("report", "--out", "toy"),
        ("runs", "prune", "--schedule", "beta", "--yes", "--out", "toy"),
        (*DEMOS[:-1], "others"),
        ("robot-eval", policy, *on_points, "--states", "2", "--steps", "1"),
        ("robot-export", policy, "again"),
        ("robot-run", policy, "--robot", "points", "--suite", "points"),
        ("robot-replay", "run.jsonl"),
    )

    def read() -> int:
        with _read_only(bench) as folder:
            for words in reading:
                well(inside(folder, *words), " ".join(words))
        return len(reading)

    def write() -> int:
        with _read_only(bench) as folder:
            before = finished(folder)
            for words in writing:
                refused(inside(folder, *words), "Read-only file system", "Permission denied")
            unchanged(before, folder)
        return len(writing)

    yield Trial("read-only folder: commands that read", read)
    yield Trial("read-only folder: commands that write", write)


@contextmanager
def _read_only(bench: Bench) -> Iterator[Path]:
    """The world's results, mounted over themselves so that not even root can write."""
    folder = bench.fresh() / "results"
    folder.mkdir()
    for part in ("toy", "robot", "demos", "run.jsonl"):
        subprocess.run(["cp", "-r", str(bench.world / part), str(folder)], check=True)
    bind = ["mount", "--bind", str(folder), str(folder)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True).returncode:
        raise NotHere("not tried: a read-only mount needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
