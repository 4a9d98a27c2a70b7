"""Broken presets and broken statistics of data sets, refused by who parses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.bench import TRAIN, Bench, finished, inside, refused
from faults.campaign import Accepted, Rude, Trial

PRESETS = (
    "steps = [", "= 3", "[quick", "steps = [1.5]", "steps = []", 'steps = "0"', "steps = [true]",
    "stepps = [1]",
    "schedules = 3", 'schedules = ["shift:"]', 'schedules = ["shift:4@"]', "seeds = -1", 'seeds = "3-1"',
    "batch-size = 0", "batch-size = true", "learning-rate = nan", "learning-rate = inf", 'task = ""',
    'task = "points "\nset = 3', "set = true", "[set]\nside = []", "[set]\nnoise = 3", "[[variants]]\nx = 1",
    "variants = [1]", "parts = [1]", "[parts]\nsteps = 1", '[[parts]]\nout = "x"',
    "iterations = 1e9", "jobs = 0", 'time-sampling = "sobol"', "\x00",
    "a" * 99,
)  # fmt: skip
STATISTICS: tuple[Any, ...] = (
    [], {}, {"action": []}, {"action": {"mean": "x"}}, {"action": {"mean": [0.0]}}, "text", None,
    {"mean": ["a", "b"]}, {"mean": None}, {"mean": [float("nan"), 0.0]}, {"std": [-1.0, 1.0]},
    {"std": [float("inf"), 1.0]}, {"std": [1.0]}, {"std": {"a": 1}}, {"std": True}, {"mean": [[], []]},
)  # fmt: skip
"""The whole file; or, with mean or std, what the action's entries are replaced by."""


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for each of the two."""
    yield Trial("broken presets", lambda: _presets(bench))
    yield Trial("broken statistics of a data set", lambda: _statistics(bench))


def _presets(bench: Bench) -> int:
    """Those that come with toyflow, cut and altered, too: they are refused, or say what a preset may say."""
    folder = bench.fresh()
    texts = [text.encode("utf-8") for text in PRESETS]
    shipped = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
    for _ in range(20 if bench.short else 200):
        content = bytearray(bench.random.choice(shipped).read_bytes())
        place = bench.random.randrange(len(content))
        content[place] ^= bench.random.randrange(1, 256)
        texts.append(bytes(content[:place] if bench.random.random() < 0.3 else content))
    for number, text in enumerate(texts):
        preset = folder / f"{number}.toml"
        preset.write_bytes(text)
        done = _planned(preset)
        if done is not None:
            refused_by_parser(done)
        elif number < len(PRESETS):
            raise Accepted(f"{text!r} was taken for a preset")
    return len(texts)


def _planned(preset: Path) -> Exception | None:
    """What planning the sweep raises, before anything is opened or made."""
    from toyflow import plugins
    from toyflow.sweep.plan import plan_sweep
    from toyflow.sweep.presets import load_preset
    from toyflow.sweep.sweep_options import SweepOptions
    from toyflow.toy.task import Task

    try:
        options = SweepOptions().updated(load_preset(str(preset)), f"preset {preset}")
        subject = plugins.load("tasks", options.task)
        if isinstance(subject, type) and issubclass(subject, Task):
            plan_sweep(options, subject)
    except Exception as error:
        return error
    return None


def refused_by_parser(error: Exception) -> None:
    """Check that it is a usage error of one line."""
    from toyflow.errors import UsageError

    if not isinstance(error, UsageError) or "\n" in str(error):
        raise Rude(f"{type(error).__name__}: {error}")


def _statistics(bench: Bench) -> int:
    """As of a data set that is not toyflow's own, which has no checksums: its manifest is taken away."""
    for number, broken in enumerate(STATISTICS):
        folder = bench.fresh("demos")
        (folder / "demos" / "manifest.json").unlink()
        (folder / "demos" / "demos.json").unlink()
        file = folder / "demos" / "meta" / "stats.json"
        content: Any = json.loads(file.read_text())
        if isinstance(broken, dict) and set(broken) & {"mean", "std"}:
            content["action"] |= broken
        else:
            content = broken
        file.write_text(json.dumps(content))
        done = inside(folder, *TRAIN, "--suite", "none", "--iterations", "2", "--seed", str(number))
        if not done.code or finished(folder / "robot" if (folder / "robot").exists() else folder / "demos"):
            raise Accepted(f"a policy was trained by statistics {broken!r}")
        refused(done)
        if done.code != 2:
            raise Rude(f"exit code {done.code} for statistics {broken!r}: {done.err}")
        bench.drop(folder)
    return len(STATISTICS)
