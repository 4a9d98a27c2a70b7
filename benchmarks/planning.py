"""What a sweep of very many cells costs before its first cell starts.

    python benchmarks/planning.py [--cells 100000]

Prints what `toyflow sweep --dry-run` takes until it shows the plan, none of which exists, and until it has
priced it by a trial; beside a plan of one cell, which loads torch as well, and `import torch` alone. And how
long until the first cell starts where all but one exist. Limits are for seconds to the plan, for the memory
that is not torch's, and for the time to the start. Exit code 1 if one is exceeded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.sweep_options import SweepOptions

SCHEDULES = ("uniform", "beta", *(f"shift:{alpha}" for alpha in range(2, 10)))
ONE = ("--schedules", SCHEDULES[0], "--seeds", "0")
MOST_LINKS = 50_000
"""To one file; ext4 has room for 65,000."""
MOST_SECONDS, MOST_MB, MOST_SECONDS_TO_START = 5.0, 500.0, 10.0


class Taken(NamedTuple):
    """By a process, from its start."""

    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s and {self.megabytes:.0f} MB"


class DryRun(NamedTuple):
    """The plan, and the whole with its price."""

    plan: Taken
    whole: Taken

    def __str__(self) -> str:
        return f"{self.plan} to the plan, {self.whole} in all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    seeds = f"0-{parser.parse_args().cells // len(SCHEDULES) - 1}"
    words = ["sweep", "--schedules", ",".join(SCHEDULES), "--seeds", seeds, "--steps", "1,10"]
    words += ["--iterations", "1"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        torch = dry_run(
            [sys.executable, "-c", "import time, torch; print(torch.__version__, flush=True); time.sleep(1)"]
        )
        one = dry_run(toyflow(*words, *ONE, "--out", str(out), "--dry-run"))
        many = dry_run(toyflow(*words, "--out", str(out), "--dry-run"))
        pretend(out, words)
        start = until_started([*words, "--out", str(out), "--jobs", "1"])
    own = many.plan.megabytes - torch.plan.megabytes
    print(f"import torch: {torch.plan}; one cell: {one}")
    limits = f"(limits {MOST_SECONDS:g} s, {MOST_MB:g} MB)"
    print(f"dry-run: {many}; to the plan without torch's: {own:.0f} MB {limits}")
    print(f"resuming, seconds to the first cell's start: {start:.1f} (limit {MOST_SECONDS_TO_START:g})")
    within = many.plan.seconds <= MOST_SECONDS and own <= MOST_MB and start <= MOST_SECONDS_TO_START
    sys.exit(not within)


def dry_run(command: list[str]) -> DryRun:
    """What a command took when it began to print, and when it ended."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    if not first:
        sys.exit(process.wait() or "the command printed nothing")
    plan = Taken(time.perf_counter() - began, peak(process.pid))
    print(first, process.stdout.read(), sep="", end="")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))
    return DryRun(plan, Taken(time.perf_counter() - began, usage.ru_maxrss / 1024))


def peak(pid: int) -> float:
    """Megabytes that a process that runs has held at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def toyflow(*words: str) -> list[str]:
    return [sys.executable, "-m", "toyflow", *words]


def pretend(out: Path, words: list[str]) -> None:
    """Fill `out` with all cells of the sweep but the last: folders of links to the files of its first, as
    nothing of a finished cell is read before the sweep ends."""
    pairs = dict(zip(words[1::2], words[2::2], strict=True))
    values = {name.removeprefix("--"): value for name, value in pairs.items()}
    iterations = int(values.pop("iterations"))
    cells = plan_sweep(SweepOptions().updated({**values, "iterations": iterations}, "flags"))
    subprocess.run(toyflow(*words, *ONE, "--out", str(out)), check=True, stdout=subprocess.DEVNULL)
    [model] = (out / "cells").glob("[!.]*")
    decodings = sorted((model / "evaluations").iterdir())
    for number, cell in enumerate(cells[1:-1], start=1):
        copy = f"{out}/cells/{cell.training.key}"
        if number % MOST_LINKS == 0:
            model = Path(shutil.copytree(model, copy))
            decodings = sorted((model / "evaluations").iterdir())
            continue
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
