"""Decoding against LeRobot's sampler loop, and with torch.compile: ratios of alternating calls.

    python benchmarks/decoding.py [--pairs 100] [--threads 1]

1. toyflow's sampler loop against LeRobot's own, in ten steps, on the same network: a SmolVLA of two layers
   with random weights, so small that the loop takes a good part of the time.
2. A toyflow policy with `torch.compile` against the same policy without it, in one step and in ten.

Prints the median ratio with its quartiles, and how long compiling took. Exit code 1 if the two loops' samples
differ, or if toyflow's loop is slower by more than 5 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from robot_latency import planner
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from robot.lerobot.small_smolvla import options as small  # pyright: ignore[reportMissingImports]
from robot.lerobot.small_smolvla import save_vlm  # pyright: ignore[reportMissingImports]
from robot.lerobot_policies import save  # pyright: ignore[reportMissingImports]

from toyflow.flow import Decoding
from toyflow.flow.samplers import euler, uniform_grid

STEPS, LIMIT = 10, 1.05


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", default="nano", help="size of the policy that is compiled")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    table = Table("what", "ms", "ms", "ratio", "quartiles", title=f"{asked.pairs} pairs, CPU")
    ours, lerobots = sampler_loops()
    same = torch.allclose(ours(), lerobots(), atol=1e-5)
    loops = added(
        table, f"SmolVLA's network, K = {STEPS}: toyflow's loop / LeRobot's", ours, lerobots, asked.pairs
    )
    eager, compiled = (planner(asked.size, torch.device("cpu")) for _ in range(2))
    compiled.policy.load_state_dict(eager.policy.state_dict())
    compiled.compile()
    seen, began = eager.any_observation(), time.perf_counter()
    compiled.plan([seen], [0])
    seconds = time.perf_counter() - began
    for steps in (1, STEPS):
        eager.set_decoding(Decoding(steps))
        compiled.set_decoding(Decoding(steps))
        what = f"{asked.size}, a plan in {steps} step{'s' * (steps > 1)}: compiled / not"
        added(table, what, lambda: compiled.plan([seen], [0]), lambda: eager.plan([seen], [0]), asked.pairs)
    Console().print(table)
    print(f"Compiling took {seconds:.0f} s. The loops' samples are {'the same' if same else 'DIFFERENT'}.")
    return int(not same or loops > LIMIT)


@torch.inference_mode()
def sampler_loops() -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Two functions that decode an action chunk with SmolVLA: by toyflow's loop, and by LeRobot's."""
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, make_att_2d_masks

    with tempfile.TemporaryDirectory() as folder:
        vlm = save_vlm(Path(folder) / "vlm")
        policy = SmolVLAPolicy.from_pretrained(save(Path(folder) / "policy", "smolvla", **small(vlm))).eval()
    model: Any = policy.model
    model.config.num_steps = STEPS
    tokens, mask = torch.ones(1, 12, dtype=torch.long), torch.ones(1, 12, dtype=torch.bool)
    seen = ([torch.rand(1, 3, 64, 64)], [torch.ones(1, dtype=torch.bool)], tokens, mask)
    state = torch.zeros(1, policy.config.max_state_dim)
    noise, grid = torch.randn(1, policy.config.chunk_size, policy.config.max_action_dim), uniform_grid(STEPS)

    @torch.inference_mode()
    def ours() -> Tensor:
        embedded, pad_mask, attention_mask = model.embed_prefix(*seen, state=state)
        _, cache = model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(pad_mask, attention_mask),
            position_ids=torch.cumsum(pad_mask, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
            fill_kv_cache=True,
        )

        def velocity(x: Tensor, t: Tensor) -> Tensor:  # SmolVLA's time is the noise level, 1 - t
            return -model.denoise_step(
                x_t=x, prefix_pad_masks=pad_mask, past_key_values=cache, timestep=1 - t
            )

        return euler(velocity, noise, grid)

    @torch.inference_mode()
    def lerobots() -> Tensor:
        return model.sample_actions(*seen, state, noise=noise)

    return ours, lerobots


def added(
    table: Table, what: str, ours: Callable[[], object], others: Callable[[], object], pairs: int
) -> float:
    """Time both alternately, add a row to the table, and return the median ratio."""
    times = [(seconds(ours), seconds(others)) for _ in range(pairs + 3)][3:]
    ratios = [a / b for a, b in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    table.add_row(
        what,
        *(f"{1e3 * statistics.median(column):.2f}" for column in zip(*times, strict=True)),
        f"{middle:.3f}",
        f"{low:.3f} to {high:.3f}",
    )
    return middle


def seconds(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
