"""CPU-seconds of training on one thread until one-step decoding is right on 80 % of the test grids.

    python benchmarks/time_to_accuracy.py [--schedules beta,shift:4@beta] [--iterations 190,250]
    python benchmarks/time_to_accuracy.py --split validation --draws 2

Each schedule and number of iterations is a separate training whose learning rate decays to zero. All
take turns seed by seed, so that other work on the machine falls on all alike. Choose by the validation split;
the test grids are for what was chosen. Exit code 1 if none reaches the accuracy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict

import torch
from rich.console import Console
from rich.table import Table

from toyflow.flow import make_objective, parse_schedule
from toyflow.seeds import generator
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.toy.models import batches, build_model, decode
from toyflow.toy.splits import SPLITS
from toyflow.toy.task import Task, make_task
from toyflow.training import OneCycle, train

SEEDS = (0, 1, 2)
GOAL = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--schedules", default="beta,shift:4@beta", help="schedules to try")
    parser.add_argument("--iterations", default="190,250", help="numbers of iterations to try, e.g. 200,300")
    parser.add_argument("--split", default="test", choices=SPLITS, help="which digits are decoded")
    parser.add_argument("--draws", type=int, default=1, help="noises that an answer is averaged over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = make_task("grid-to-sequence", {"split": arguments.split})
    counts = sorted(int(count) for count in arguments.iterations.split(","))
    settings = [(schedule, count) for schedule in arguments.schedules.split(",") for count in counts]
    run(task, *settings[0], 0, arguments.draws, warm_up=True)
    runs: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for seed in SEEDS:
        for setting in settings:
            runs[setting].append(run(task, *setting, seed, arguments.draws))
    columns = (
        "schedule",
        "iterations",
        "CPU-seconds by seed",
        "mean",
        "one-step exact match by seed",
        "mean",
    )
    table, reached = Table(*columns), list[tuple[float, str]]()
    for (schedule, count), found in runs.items():
        seconds, scores = zip(*found, strict=True)
        mean_seconds, mean_score = statistics.mean(seconds), statistics.mean(scores)
        table.add_row(
            schedule,
            str(count),
            ", ".join(f"{s:.1f}" for s in seconds),
            f"{mean_seconds:.1f}",
            ", ".join(f"{s:.1%}" for s in scores),
            f"{mean_score:.1%}",
        )
        if mean_score >= GOAL:
            reached.append((mean_seconds, schedule))
    console = Console()
    console.print(table)
    least = "{:.1f} under {}".format(*min(reached)) if reached else "not reached"
    console.print(f"least CPU-seconds to {GOAL:.0%} in one step: {least}")
    return int(not reached)


def run(
    task: Task, schedule: str, iterations: int, seed: int, draws: int, warm_up: bool = False
) -> tuple[float, float]:
    """Returns (CPU-seconds of training, one-step exact match on the test set), as in a sweep. To `warm_up`
    takes four iterations: the first calls allocate memory and load kernels."""
    recipe = OneCycle(iterations=4 if warm_up else iterations)
    model_options = task.choose({}).model
    data = task.data.record()
    record = TrainingRecord(
        task.identity(), model_options, "flow", schedule, "stratified", seed, vars(recipe), data=data
    )
    objective = make_objective("flow", parse_schedule(schedule))
    model = build_model(task, objective, record)
    start = time.process_time()
    grids = batches(task, recipe.batch_size, seed, torch.device("cpu"))
    train(model, objective, grids, recipe, generator(seed, "noise"))
    seconds = time.process_time() - start
    test = task.test_set()
    sample, _, _ = decode(model, objective, test, EvaluationRecord("euler", steps=1, draws=draws))
    return seconds, float(task.score(sample, test)["exact_match"].mean())


if __name__ == "__main__":
    sys.exit(main())
