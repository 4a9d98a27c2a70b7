"""Is the rule of `toyflow recommend` any good? Compare its choices with full sweeps of the same settings.

    python benchmarks/recommend.py [--out results/recommend] [--only NAME,...] [--sweeps]

The full sweep of a setting (`recommend_settings.py`) trains every schedule and prediction and decodes each in
every K and number of draws. Can be stopped and resumed.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from recommend_settings import SETTINGS, Setting
from rich.console import Console

from toyflow.api.study import plan_study
from toyflow.sweep.executors import DebugExecutor
from toyflow.sweep.plan import Cell
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.toy_runner import ToyRunner

SCHEDULES = ("uniform", "shift:4", "shift:8", "0.5:point:0+0.5:uniform")
PREDICTIONS = ("velocity", "data")
DECODINGS = (((1,), (1, 2, 8)), ((2,), (1, 2)), ((4, 10), (1,)))
"""Steps and draws that are decoded together."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/recommend"))
    parser.add_argument("--only", default="", help="names of settings, e.g. wave,push-t")
    parser.add_argument("--sweeps", action="store_true", help="run the full sweeps and nothing else")
    arguments = parser.parse_args()
    only = [name.strip() for name in arguments.only.split(",") if name.strip()]
    torch.set_num_threads(1)
    console = Console()
    for setting in SETTINGS:
        if only and setting.name not in only:
            continue
        if setting.needs and not os.environ.get(setting.needs):
            console.print(f"{setting.name}: left out, as ${setting.needs} does not say where its data are.")
            continue
        console.rule(setting.name)
        sweep(setting, arguments.out, console)


def full_cells(setting: Setting) -> list[Cell]:
    """The cells of the full sweep, each with all its decodings."""
    cells: dict[str, Cell] = {}
    for steps, draws in DECODINGS:
        options = SweepOptions(
            schedules=SCHEDULES, predict=PREDICTIONS, steps=steps, draws=draws, seeds=setting.seeds,
            iterations=setting.iterations, batch_size=setting.batch_size,
        )  # fmt: skip
        for cell in plan_study(options, setting.task("test"), setting.model):
            key = cell.training.key
            before = cells[key].evaluations if key in cells else ()
            cells[key] = replace(cell, evaluations=before + cell.evaluations)
    return list(cells.values())


def sweep(setting: Setting, out: Path, console: Console) -> None:
    """Run what is missing of the full sweep."""
    task, cells = setting.task("test"), full_cells(setting)
    runner = ToyRunner(task.name, "cpu", task=task)
    if run_missing(cells, runner, Store(out / setting.folder / "full"), DebugExecutor(), show_on(console)):
        raise SystemExit(f"{setting.name}: trainings failed; the same command tries them again.")


if __name__ == "__main__":
    main()
