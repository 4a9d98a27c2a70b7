"""Measure toyflow's overhead over bare PyTorch, as ratios of alternating runs in one process.

    python benchmarks/overhead.py

Prints for each comparison the median ratio with its quartiles over the pairs, and its limit.
Exit code 1 if a median is above its limit.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.functional import mse_loss

from toyflow.flow import Model, make_objective, parse_sampler, parse_schedule
from toyflow.toy.models import EVALUATION_BATCH, batches
from toyflow.toy.task import Task, make_task
from toyflow.training import Batch, OneCycle, train
from toyflow.training.muon import Muon

ITERATIONS = 48
POINTS = 3
"""Points of the training curve: one every 16 iterations, as in a sweep."""
STEPS = 10
PAIRS = 15


def main() -> int:
    torch.set_num_threads(1)
    task = make_task("grid-to-sequence")
    rows = [
        ("training step / bare PyTorch loop", 1.05, list(training_ratios(task))),
        (f"{STEPS}-step decoding / {STEPS} bare forward passes", 1.03, list(sampling_ratios(task))),
        ("toyflow --help, seconds", 0.5, list(help_seconds())),
    ]
    table = Table("what", "median", "quartiles", "limit", title=f"{PAIRS} pairs each, 1 thread, CPU")
    for what, limit, values in rows:
        low, middle, high = statistics.quantiles(values, n=4)
        table.add_row(what, f"{middle:.3f}", f"{low:.3f} to {high:.3f}", f"{limit:g}")
    Console().print(table)
    return int(any(statistics.median(values) > limit for _, limit, values in rows))


def training_ratios(task: Task) -> Iterator[float]:
    """toyflow's training loop, its curve included, against the same steps in plain PyTorch."""
    objective = make_objective("flow", parse_schedule("beta"))
    recipe = OneCycle(iterations=ITERATIONS)
    device = torch.device("cpu")
    for pair in range(PAIRS + 1):
        seconds = in_turn(
            pair,
            lambda: train(
                model(task),
                objective,
                batches(task, recipe.batch_size, 0, device),
                recipe,
                torch.Generator(),
                points=POINTS,
            ),
            lambda: bare_loop(model(task), batches(task, recipe.batch_size, 0, device), recipe),
        )
        if pair:
            yield seconds[0] / seconds[1]


def bare_loop(net: Model, data: Iterator[Batch], recipe: OneCycle) -> None:
    """Flow matching under Beta(1, 1.5) as one would write it in a notebook."""
    net.train()
    kernels = [p for p in net.parameters() if p.ndim > 2]
    decay, plain = [p for p in net.parameters() if p.ndim == 2], [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        fused=True,
    )
    muon = Muon(kernels, recipe.kernel_learning_rate, recipe.beta1)
    for iteration, (tiles, target) in enumerate(islice(data, recipe.iterations)):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * (1 - iteration / recipe.iterations)
        muon.param_groups[0]["lr"] = recipe.kernel_learning_rate * (1 - iteration / recipe.iterations)
        noise = torch.randn_like(target)
        t = 1 - (1 - torch.rand(len(target))) ** (1 / 1.5)
        mixed = t[:, None, None] * target + (1 - t[:, None, None]) * noise
        loss = mse_loss(net(mixed, t, net.encode(tiles)), target - noise)
        net.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
        optimiser.step()
        muon.step()


@torch.inference_mode()
def sampling_ratios(task: Task) -> Iterator[float]:
    """`Objective.decode` in K steps against K calls of the same network."""
    net, objective, euler = (
        model(task).eval(),
        make_objective("flow", parse_schedule("beta")),
        parse_sampler("euler"),
    )
    test = task.test_set()
    condition = net.encode(test.observation[:EVALUATION_BATCH])
    noise = torch.randn(test.target[:EVALUATION_BATCH].shape)
    t = torch.zeros(EVALUATION_BATCH)

    def bare() -> None:
        for _ in range(STEPS):
            net(noise, t, condition)

    for pair in range(PAIRS + 1):
        seconds = in_turn(pair, lambda: objective.decode(net, condition, noise, STEPS, euler), bare)
        if pair:
            yield seconds[0] / seconds[1]


def help_seconds() -> Iterator[float]:
    """Seconds of a whole process of `toyflow --help`, from start to end."""
    for _ in range(PAIRS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "toyflow", "--help"], check=True, stdout=subprocess.DEVNULL)
        yield time.perf_counter() - start


def in_turn(pair: int, *actions: Callable[[], object]) -> list[float]:
    """CPU-seconds of each action; every other pair runs them in reverse order."""
    seconds = [0.0] * len(actions)
    order = range(len(actions)) if pair % 2 == 0 else reversed(range(len(actions)))
    for index in order:
        start = time.process_time()
        actions[index]()
        seconds[index] = time.process_time() - start
    return seconds


def model(task: Task) -> Model:
    torch.manual_seed(0)
    return task.build_model(task.model_options.parse({}))


if __name__ == "__main__":
    sys.exit(main())
