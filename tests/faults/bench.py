"""Where trials take place: folders, commands, and one world of everything that toyflow writes."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import commands
from faults.campaign import Lost, Rude

from toyflow.atomic import DamagedError, manifest_of

ON_POINTS = ("--environment", "points")
SWEEP = (
    "sweep", "--task", "points", "--schedules", "beta,regression", "--steps", "1,2", "--seeds", "0-1",
    "--iterations", "20", "--jobs", "2", "--out", "toy",
)  # fmt: skip
DEMOS = (
    "robot-demos", *ON_POINTS, "--suite", "points", "--tasks", "0,2", "--episodes", "2", "--image-size", "32",
    "--jobs", "2", "--out", "demos",
)  # fmt: skip
TRAIN = (
    "robot-train", "--dataset", "demos", *ON_POINTS, "--iterations", "6", "--batch-size", "4", "--states",
    "1", "--steps", "1,2", "--threads", "1", "--simulators", "2", "--out", "robot",
)  # fmt: skip
STOPPED = (*TRAIN[:-1], "stopped", "--seed", "1", "--suite", "none", "--iterations", "60")
PATIENCE = 240
"""Seconds after which a command counts as hung."""


class Done(NamedTuple):
    """How a command went."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both, without the line breaks that a table or a narrow console puts in."""
        return "".join((self.out + self.err).split())


def inside(folder: Path, *words: str) -> Done:
    """`toyflow` in this process, with its working folder, arguments and streams."""
    from toyflow import cli

    out, err = StringIO(), StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before, code = Path.cwd(), 0
    notes = logging.StreamHandler(err)
    logging.getLogger("toyflow").addHandler(notes)
    try:
        os.chdir(folder)
        with mock.patch.object(sys, "argv", ["toyflow", *words]), redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except Exception:
        code = 1
        traceback.print_exc(file=err)
    finally:
        os.chdir(before)
        logging.getLogger("toyflow").removeHandler(notes)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(code, out.getvalue(), err.getvalue())


def apart(folder: Path, *words: str, fault: str = "", **environment: str) -> Done:
    """`toyflow` in a process of its own."""
    return ended(commands.start(folder, *words, fault=fault, under=(), **environment))


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a process that `commands.start` started."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Rude(f"a command hung for {PATIENCE} s") from None
    return Done(process.returncode, out, err)


def well(done: Done, what: str = "") -> Done:
    """`done`, unless it failed."""
    if done.code:
        raise Rude(f"{what or 'a command'} failed with {done.code}: {(done.err or done.out)[-400:]}")
    return done


def refused(done: Done, *names: str) -> None:
    """Check that a command failed as one should: one line, exit code 1 or 2, that has one of `names`."""
    lines = [line for line in done.err.splitlines() if line.strip()]
    if done.code not in (1, 2) or "Traceback" in done.out + done.err:
        raise Rude(f"exit code {done.code} and {(done.out + done.err)[-600:]}")
    shown = not lines and "damaged" in done.out  # `runs show` has a table, and says it below
    if not shown and (not lines or not lines[-1].startswith("toyflow: ")):
        raise Rude(f"the last line is no message: {lines[-1:]}")
    if names and not any("".join(name.split()) in done.said for name in names):
        raise Rude(f"none of {', '.join(names)} is named: {lines[-1:]}")


def finished(root: Path) -> dict[str, tuple[int, str]]:
    """(time of its last change, SHA-256) of every file below `root` that is a finished result, or part of
    one: all that a visible manifest lists, and episodes of evaluations. Checks what is listed. A training's
    checkpoints are none: newer ones take their place."""
    found: dict[str, tuple[int, str]] = {}
    for manifest in _visible(root, "manifest.json"):
        if "training" in manifest.parts:
            continue
        try:
            entries = manifest_of(manifest.parent)
        except DamagedError as error:
            raise Lost(str(error)) from None
        for name, digest in entries.items():
            file = manifest.parent / name
            if not file.is_file() or _digest(file) != digest:
                raise Lost(f"{file} is not what its manifest says")
            found[str(file.relative_to(root))] = (file.stat().st_mtime_ns, digest)
    for file in _visible(root, "*.json"):
        if file.parent.name == "episodes":
            found[str(file.relative_to(root))] = (file.stat().st_mtime_ns, _digest(file))
    return found


def unchanged(before: dict[str, tuple[int, str]], root: Path) -> None:
    """Check that all that was finished still is, bit by bit and untouched."""
    after = finished(root)
    for name, state in before.items():
        if after.get(name) != state:
            raise Lost(f"{name} was finished, and is {'changed' if name in after else 'gone'}")


def no_rubbish(root: Path) -> None:
    """Check that nothing half-written is left in a results folder or beside demonstrations."""
    hidden = [path for path in root.rglob(".*") if path.name not in (".locks", ".lock", ".ballast")]
    if hidden:
        raise Rude(f"left behind: {', '.join(str(path.relative_to(root)) for path in hidden[:4])}")


def _visible(root: Path, pattern: str) -> Iterator[Path]:
    for path in sorted(root.rglob(pattern)):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Bench:
    """A folder for trials, their random numbers, and what they start from."""

    def __init__(self, root: Path, seed: int, short: bool) -> None:
        self.root, self.random, self.short = root, random.Random(seed), short
        root.mkdir(parents=True, exist_ok=True)

    def fresh(self, *parts: str) -> Path:
        """A new folder with copies of these parts of the world."""
        folder = Path(tempfile.mkdtemp(prefix="trial-", dir=self.root))
        for part in parts:
            source = self.world / part
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
        return folder

    def drop(self, folder: Path) -> None:
        """Delete what `fresh` made."""
        shutil.rmtree(folder, ignore_errors=True)

    def policy(self, root: Path) -> str:
        """The one policy below `root`/robot, as a user names it."""
        [cell] = (root / "robot" / "cells").glob("[!.]*")
        return f"robot/cells/{cell.name}"

    @cached_property
    def world(self) -> Path:
        """Everything that toyflow writes, by its own commands."""
        world, complete = self.root / "world", self.root / "world-complete"
        if complete.exists():
            return world
        world.mkdir(exist_ok=True)
        recommend = ("recommend", "--task", "points")
        for words in (
            SWEEP,
            *((name, "--out", "toy") for name in ("plot", "probe", "report", "explore")),
            (*recommend, "--seeds", "100", "--iterations", "40", "--out", "advice"),
            DEMOS,
            TRAIN,
        ):
            well(inside(world, *words), " ".join(words))
        policy = self.policy(world)
        states = ("--suite", "points", "--states", "0")
        for words in (
            ("robot-export", policy, "exported"),
            (
                "robot-eval", "exported", *ON_POINTS, *states[:2], "--states", "1", "--steps", "1",
                "--out", "imported",
            ),
            ("robot-run", policy, "--robot", "points", *states, "--log", "run.jsonl"),
            ("robot-replay", "run.jsonl"),
        ):  # fmt: skip
            well(inside(world, *words), " ".join(words))
        self._stop_a_training(world)
        _fill_caches()
        complete.touch()
        return world

    def _stop_a_training(self, world: Path) -> None:
        """Leave a training with its checkpoints: its process is told to end."""

        def watch() -> None:
            limit = time.monotonic() + PATIENCE
            while time.monotonic() < limit:
                if len(list((world / "stopped").glob("training/*/iteration-*"))) >= 2:
                    for process in multiprocessing.active_children():
                        process.terminate()
                    return
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        done = inside(world, *STOPPED)
        watcher.join()
        if done.code != 1 or "SIGTERM" not in done.said:
            raise Rude(f"a training was not to be stopped: {done}")


def _fill_caches() -> None:
    """MNIST, and a classifier that need not be trained for this."""
    from toyflow.toy import features, mnist
    from toyflow.toy.images import IMAGE_SETS

    mnist.unpack_mnist()
    untrained = features.Classifier(1).requires_grad_(False).eval()
    with mock.patch.object(features, "train_classifier", lambda train, images: untrained):
        features.load_classifier(IMAGE_SETS["mnist"])


@contextmanager
def bench(root: Path, seed: int, short: bool) -> Iterator[Bench]:
    """A bench whose commands keep their caches in `root`, offline."""
    environment = {
        "TOYFLOW_CACHE": str(root / "world" / "cache"),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(root / "hf"),
    }
    with mock.patch.dict(os.environ, environment):
        from toyflow.workers import start_fork_server

        start_fork_server(
            ["toyflow.toy.toy_runner", "toyflow.robot.robot_runner", "toyflow_test_plugin", "robot.points"]
        )
        yield Bench(root, seed, short)
