"""Measure toyflow's overhead over bare PyTorch and a bare command line, as ratios of alternating runs.

    python benchmarks/overhead.py

Both sides of a comparison take turns within one process, step by step, and every other turn in reverse order,
so that other work on the machine falls on both alike; what counts is CPU time. Prints for each comparison the
median ratio with its quartiles, and its limit. Exit code 1 if a median is above its limit.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.functional import mse_loss

from toyflow.flow import Model, make_objective, parse_sampler, parse_schedule
from toyflow.toy.models import EVALUATION_BATCH, batches
from toyflow.toy.task import Task, make_task
from toyflow.training import Batch, OneCycle, Trainer
from toyflow.training.muon import Muon

BLOCK = 16
"""Training steps of one ratio; a point of the curve is among them, as in a sweep."""
BLOCKS = 40
STEPS = 10
DECODINGS = 60
COMMANDS = 20
BARE_COMMAND = """
import typer
app = typer.Typer()
@app.command()
def bare(): pass
app(["--help"])
"""


def main() -> int:
    torch.set_num_threads(1)
    task = make_task("grid-to-sequence")
    rows = [
        ("training step / step of a bare PyTorch loop", 1.02, list(training_ratios(task))),
        (f"{STEPS}-step decoding / {STEPS} bare forward passes", 1.02, list(sampling_ratios(task))),
        ("toyflow --help / help of a bare Typer command", 1.3, list(help_ratios())),
    ]
    table = Table("what", "ratios", "median", "quartiles", "limit", title="CPU time, 1 thread")
    for what, limit, values in rows:
        low, middle, high = statistics.quantiles(values, n=4)
        shown = f"{middle:.3f}", f"{low:.3f} to {high:.3f}", f"{limit:g}"
        table.add_row(what, str(len(values)), *shown)
    Console().print(table)
    return int(any(statistics.median(values) > limit for _, limit, values in rows))


def training_ratios(task: Task) -> Iterator[float]:
    """toyflow's training loop, its curve included, against the same steps in plain PyTorch."""
    objective = make_objective("flow", parse_schedule("beta"))
    recipe = OneCycle(iterations=BLOCK * (BLOCKS + 1))
    first, second = (batches(task, recipe.batch_size, 0, torch.device("cpu")) for _ in range(2))
    trainer = Trainer(model(task), objective, recipe, torch.Generator(), points=BLOCKS + 1)
    ours, bare = trainer.steps(first), bare_steps(model(task), second, recipe)
    for block in range(BLOCKS + 1):
        seconds = in_turn(BLOCK, lambda: next(ours), lambda: next(bare))
        if block:  # the first warms up
            yield seconds[0] / seconds[1]


def bare_steps(net: Model, data: Iterator[Batch], recipe: OneCycle) -> Iterator[None]:
    """Flow matching under Beta(1, 1.5) as one would write it in a notebook, a training step at a time."""
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
    for iteration, (tiles, target) in enumerate(data):
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
        yield


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

    for turn in range(DECODINGS // 2 + 1):
        seconds = in_turn(2, lambda: objective.decode(net, condition, noise, STEPS, euler), bare)
        if turn:
            yield seconds[0] / seconds[1]


def help_ratios() -> Iterator[float]:
    """Whole processes: `toyflow --help` against the help of a command that has nothing to it."""
    python, quiet = sys.executable, subprocess.DEVNULL
    ours, bare = [python, "-m", "toyflow", "--help"], [python, "-c", BARE_COMMAND]
    for turn in range(COMMANDS // 2 + 1):
        seconds = in_turn(
            2,
            lambda: subprocess.run(ours, check=True, stdout=quiet),
            lambda: subprocess.run(bare, check=True, stdout=quiet),
        )
        if turn:
            yield seconds[0] / seconds[1]


def in_turn(turns: int, *actions: Callable[[], object]) -> list[float]:
    """CPU-seconds of each action over some turns, of this process and of those that it waited for."""
    seconds = [0.0] * len(actions)
    for turn in range(turns):
        order = range(len(actions)) if turn % 2 == 0 else reversed(range(len(actions)))
        for index in order:
            start = cpu_seconds()
            actions[index]()
            seconds[index] += cpu_seconds() - start
    return seconds


def cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def model(task: Task) -> Model:
    torch.manual_seed(0)
    return task.build_model(task.model_options.parse({}))


if __name__ == "__main__":
    sys.exit(main())
