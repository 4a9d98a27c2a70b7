"""What a sweep of very many cells costs before its first cell starts.

    python benchmarks/planning.py [--cells 100000]

Prints seconds from the start of the command and the largest memory of `toyflow sweep --dry-run`, of a plan
none of which exists; and seconds until the first cell starts, where all but one exist. Exit code 1 if one is
above its limit.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import plan_sweep

LAWS = ("uniform", "beta", *(f"shift:{alpha}" for alpha in range(2, 10)))
LIMITS = {"dry-run, seconds": 5.0, "dry-run, MB": 500.0, "resuming, seconds": 10.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    seeds = f"0-{parser.parse_args().cells // len(LAWS) - 1}"
    words = ["sweep", "--schedules", ",".join(LAWS), "--seeds", seeds, "--steps", "1,10", "--iterations", "1"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        began = time.perf_counter()
        subprocess.run(toyflow(*words, "--out", str(out), "--dry-run"), check=True)
        measured = {
            "dry-run, seconds": time.perf_counter() - began,
            "dry-run, MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        }
        pretend(out, words)
        measured["resuming, seconds"] = until_started([*words, "--out", str(out), "--jobs", "1"])
    for name, value in measured.items():
        print(f"{name}: {value:.1f} (limit {LIMITS[name]:g})")
    sys.exit(any(value > LIMITS[name] for name, value in measured.items()))


def toyflow(*words: str) -> list[str]:
    return [sys.executable, "-m", "toyflow", *words]


def pretend(out: Path, words: list[str]) -> None:
    """Fill `out` with all cells of the sweep but the last: folders of links to the files of its first, as
    nothing of a finished cell is read before the sweep ends."""
    pairs = dict(zip(words[1::2], words[2::2], strict=True))
    values = {name.removeprefix("--"): value for name, value in pairs.items()}
    iterations = int(values.pop("iterations"))
    cells = plan_sweep(SweepOptions().updated({**values, "iterations": iterations}, "flags"))
    one = [*words, "--out", str(out), "--schedules", LAWS[0], "--seeds", "0"]
    subprocess.run(toyflow(*one), check=True, stdout=subprocess.DEVNULL)
    [model] = (out / "cells").glob("[!.]*")
    decodings = sorted((model / "evaluations").iterdir())
    for cell in cells[1:-1]:
        copy = f"{out}/cells/{cell.training.key}"
        os.mkdir(copy)  # noqa: PTH102 (a Path for each of a million files takes a minute)
        os.mkdir(f"{copy}/evaluations")  # noqa: PTH102
        link(model, copy)
        for decoding in decodings:
            os.mkdir(f"{copy}/evaluations/{decoding.name}")  # noqa: PTH102
            link(decoding, f"{copy}/evaluations/{decoding.name}")


def link(folder: Path, copy: str) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                os.link(entry.path, f"{copy}/{entry.name}")


def until_started(words: list[str]) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(toyflow(*words), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="")
        if line.rstrip().endswith("started"):
            break
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    return seconds


if __name__ == "__main__":
    main()
