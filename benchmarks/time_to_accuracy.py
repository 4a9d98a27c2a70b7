"""CPU-seconds of training on one thread until one-step decoding is right on 80 % of the test grids.

    python benchmarks/time_to_accuracy.py [--iterations 200,240,280]

Each number of iterations is a separate training whose learning rate decays to zero within it.
Exit code 1 if none reaches the accuracy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from toyflow.flow import make_objective, parse_schedule
from toyflow.seeds import generator
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.toy.models import batches, build_model, decode
from toyflow.toy.task import Task, make_task
from toyflow.training import OneCycle, train

SCHEDULE = "beta"
SEEDS = (0, 1, 2)
GOAL = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--iterations", default="200,240,280", help="numbers of iterations to try, e.g. 200,300"
    )
    counts = sorted(int(count) for count in parser.parse_args().iterations.split(","))
    torch.set_num_threads(1)
    task = make_task("grid-to-sequence")
    run(task, OneCycle(iterations=4), seed=0)  # warm-up: the first calls allocate memory and load kernels
    table = Table("iterations", "CPU-seconds by seed", "mean", "one-step exact match by seed", "mean")
    reached = []
    for count in counts:
        runs = [run(task, OneCycle(iterations=count), seed) for seed in SEEDS]
        seconds, scores = zip(*runs, strict=True)
        mean_seconds, mean_score = statistics.mean(seconds), statistics.mean(scores)
        table.add_row(
            str(count),
            ", ".join(f"{s:.1f}" for s in seconds),
            f"{mean_seconds:.1f}",
            ", ".join(f"{s:.1%}" for s in scores),
            f"{mean_score:.1%}",
        )
        if mean_score >= GOAL:
            reached.append(mean_seconds)
    console = Console()
    console.print(table)
    least = f"{min(reached):.1f}" if reached else "not reached"
    console.print(f"least CPU-seconds to {GOAL:.0%} in one step under {SCHEDULE}: {least}")
    return int(not reached)


def run(task: Task, recipe: OneCycle, seed: int) -> tuple[float, float]:
    """Returns (CPU-seconds of training, one-step exact match on the test grids), as in a sweep."""
    data_options, model_options, _ = task.choose({})
    record = TrainingRecord(
        task.identity(), model_options, "flow", SCHEDULE, "stratified", seed, vars(recipe), data=data_options
    )
    objective = make_objective("flow", parse_schedule(SCHEDULE))
    model = build_model(task, objective, record)
    start = time.process_time()
    data = batches(task, recipe.batch_size, seed, torch.device("cpu"))
    train(model, objective, data, recipe, generator(seed, "noise"))
    seconds = time.process_time() - start
    test = task.test_set()
    sample, _, _ = decode(model, objective, test, EvaluationRecord("euler", steps=1))
    return seconds, float(task.score(sample, test)["exact_match"].mean())


if __name__ == "__main__":
    sys.exit(main())
