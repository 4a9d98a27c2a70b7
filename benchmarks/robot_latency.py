"""Time a plan by policy size: T(1), T(10), and whether T(10)/T(1) agrees with the times of its parts.

    python benchmarks/robot_latency.py [--sizes nano,tiny] [--threads 1] [--device cpu] [--rounds 5]

T(K) is the time of a plan in K steps. The policies have random weights, two cameras, and LIBERO's state and
action. Each round times condition, step, T(1) and T(10), interleaved. Prints medians over the rounds, and for
the last ratio also the smallest and largest value, because other programs on the machine disturb it.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from rich.console import Console
from rich.table import Table

from toyflow.flow import Decoding, make_objective, parse_schedule
from toyflow.machine import choose_device
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec

LIBERO = Interface(cameras=("image", "image2"), state_dim=8, action_dim=7, fps=20)


def planner(size: str, device: torch.device) -> FlowPlanner:
    """A policy of this size with random weights."""
    state, action = ({"mean": [0.0] * n, "std": [1.0] * n} for n in (LIBERO.state_dim, LIBERO.action_dim))
    policy = Policy(PolicySpec(size, LIBERO), Normalisation.from_statistics(state, action))
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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(choose_device(options.device))
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
            acting.set_decoding(Decoding(1))
            one = acting.latency()
            acting.set_decoding(Decoding(10))
            ten = acting.latency()
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


if __name__ == "__main__":
    main()
