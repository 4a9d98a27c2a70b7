"""Time a plan by policy size: T(1), T(10), and whether T(10)/T(1) agrees with the times of its parts; or what
several draws cost.

    python benchmarks/robot_latency.py [--sizes nano,tiny] [--threads 1] [--device cpu] [--rounds 5]
    python benchmarks/robot_latency.py --draws 2,8 [--repeats 100] [--attention joint]

T(K) is the time of a plan in K steps, and T(K, M) that of a plan from M noises. The policies have random
weights, two cameras, and LIBERO's state and action. Each round times condition, step, T(1) and T(10),
interleaved. Prints medians over the rounds, and for the last ratio also the smallest and largest value,
because other programs on the machine disturb it.

With --draws, T(1, M) / T(1, 1) of plans by turns, the median over the turns with its quartiles: of a whole
plan, from camera images to actions (`Planner.plan`), and of its network alone, from resized images. On one
thread of a processor, time is that which the thread was given, so that other programs count only by the
caches that they share.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from toyflow.flow import Decoding, make_objective, parse_schedule
from toyflow.machine import choose_device, synchronise
from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec

LIBERO = Interface(cameras=("image", "image2"), state_dim=8, action_dim=7, fps=20)


def planner(size: str, device: torch.device, attention: AttentionKind = "joint") -> FlowPlanner:
    """A policy of this size with random weights."""
    state, action = ({"mean": [0.0] * n, "std": [1.0] * n} for n in (LIBERO.state_dim, LIBERO.action_dim))
    policy = Policy(
        PolicySpec(size, LIBERO, attention=attention), Normalisation.from_statistics(state, action)
    )
    return FlowPlanner(policy.to(device).eval(), make_objective("flow", parse_schedule("shift:4")))


def main() -> None:
    """Time the sizes and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="nano,tiny")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draws", help="numbers of draws, such as 2,8")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--attention", default="joint", choices=ATTENTION_KINDS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(choose_device(options.device))
    if options.draws:
        Console().print(cost_of_draws(options, device))
        return
    table = Table(title=f"milliseconds (medians), one observation, {device}, threads: {options.threads}")
    for column in (
        "size",
        "condition",
        "step",
        "T(1)",
        "T(10)",
        "T(10)/T(1)",
        "from the parts",
        "measured / from parts",
    ):
        table.add_column(column, justify="right")
    for size in options.sizes.split(","):
        acting = planner(size, device)
        rows = []
        for _ in range(options.rounds):
            one, ten = acting.latencies([Decoding(1), Decoding(10)])
            condition = (one.condition.p50 + ten.condition.p50) / 2
            step = (one.step.p50 + ten.step.p50) / 2
            whole = ten.plan.p50 / one.plan.p50
            parts = (condition + 10 * step) / (condition + step)
            rows.append((condition, step, one.plan.p50, ten.plan.p50, whole, parts, whole / parts))
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        shares = [row[-1] for row in rows]
        table.add_row(
            size,
            *(f"{value:.2f}" for value in medians[:-1]),
            f"{medians[-1]:.3f} ({min(shares):.3f} to {max(shares):.3f})",
        )
    Console().print(table)


def cost_of_draws(options: argparse.Namespace, device: torch.device) -> Table:
    """T(1, M) / T(1, 1)."""
    table = Table(
        title=f"one step, {options.attention} attention, {device}, threads: {options.threads}; turns: "
        f"{options.repeats}"
    )
    for column in ("size", "of", "M", "T(1, 1), ms", "T(1, M), ms", "ratio [quartiles]"):
        table.add_column(column, justify="right")
    clock = time.thread_time if device.type == "cpu" and options.threads == 1 else time.perf_counter
    many = [int(each) for each in options.draws.split(",")]
    for size in options.sizes.split(","):
        acting = planner(size, device, options.attention)
        with torch.inference_mode():
            observation = acting.any_observation()
            seen = acting.policy.prepare([observation])
            calls: dict[tuple[str, int], Callable[[], object]] = {
                ("whole plan", m): partial(acting.answers, [observation], [0], m) for m in (1, *many)
            }
            calls |= {("network", m): acting._plan_of(seen, Decoding(draws=m)) for m in (1, *many)}
            taken: dict[tuple[str, int], list[float]] = {name: [] for name in calls}
            for _ in range(3 + options.repeats):
                for name, call in calls.items():
                    synchronise(str(device))
                    began = clock()
                    call()
                    synchronise(str(device))
                    taken[name].append(1000 * (clock() - began))
        times = {name: np.array(values[3:]) for name, values in taken.items()}
        for (of, m), values in times.items():
            if m > 1:
                one = times[of, 1]
                low, mid, high = np.percentile(values / one, [25, 50, 75])
                told = (f"{np.median(each):.2f}" for each in (one, values))
                table.add_row(size, of, str(m), *told, f"{mid:.3f} [{low:.3f}, {high:.3f}]")
    return table


if __name__ == "__main__":
    main()
