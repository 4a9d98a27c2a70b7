"""The YAM station: control steps per second, what a look costs, and how often the scripted experts succeed.

    python benchmarks/yam.py [--suite hanoi] [--tasks 0-2] [--states 5] [--seeds 0]

Steps and looks are counted in this process's processor time (time.process_time), which is what they take on a
core of their own however busy the machine is; wall time stands beside. An expert acts from official initial
states (--states) or random ones (--seeds), so that the arms move and touch things; steps are timed by
carrying out its actions again, without the expert's own time. Software OpenGL is limited to one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

os.environ.setdefault("LP_NUM_THREADS", "1")  # threads of llvmpipe; read when OpenGL is first used

import numpy as np

from toyflow.parsing import parse_numbers
from toyflow.robot.simulation.environments.yam import Yam
from toyflow.stats import wilson

LOOKS = 20


def main() -> None:
    """Time and try tasks of a suite."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="hanoi")
    parser.add_argument("--tasks", default="all", help="all, or numbers such as 0-2")
    parser.add_argument("--states", type=int, default=3, help="official initial states, from 0")
    parser.add_argument("--seeds", type=int, default=0, help="random initial states, by seeds from 0")
    parser.add_argument("--noise", type=float, default=0.0, help="as of robot-demos, for the random ones")
    options = parser.parse_args()
    every = range(len(Yam.tasks(options.suite)))
    chosen = every if options.tasks == "all" else parse_numbers(options.tasks, "--tasks")
    for task in chosen:
        environment = Yam(options.suite, task)
        starts = [(0, state) for state in range(options.states)]
        starts += [(seed, None) for seed in range(options.seeds)]
        _try(environment, starts, options.noise)
        environment.close()
    _look(options.suite)


def _try(environment: Yam, starts: Sequence[tuple[int, int | None]], noise: float) -> None:
    solved, lengths, wall, processor, contacts = 0, [], 0.0, 0.0, []
    generator = np.random.default_rng(0)
    for number, (seed, state) in enumerate(starts):
        environment.reset(seed, state)
        expert, actions, done = environment.expert(seed), [], False
        while not done and len(actions) < environment.task.max_steps:
            action = expert.act().astype(np.float64)
            if state is None:
                action += noise * expert.noise_scale * generator.standard_normal(action.shape)
            actions.append(environment.clipped(action))
            done = environment.step(actions[-1])
            contacts.append(environment.station.data.ncon)
        solved += done
        lengths.append(len(actions))
        environment.reset(seed, state)
        began, used = time.perf_counter(), time.process_time()
        again = [environment.step(action) for action in actions]
        wall += time.perf_counter() - began
        processor += time.process_time() - used
        if again[-1] != done:
            print(f"start {number} ended otherwise when its actions were carried out again")
    share = wilson(solved, len(starts))
    print(
        f"{environment.task.name}: {solved} of {len(starts)} solved "
        f"[{100 * share.low:.0f} %, {100 * share.high:.0f} %], {np.mean(lengths):.0f} control steps each; "
        f"{sum(lengths) / processor:.0f} steps/s of processor time, {sum(lengths) / wall:.0f} of wall time; "
        f"{np.mean(contacts):.1f} contacts, at most {max(contacts)}",
        flush=True,
    )


def _look(suite: str) -> None:
    for size in (128, 224):
        environment = Yam(suite, 0, image_size=size)
        environment.reset(0, 0)
        environment.observe()
        began, used = time.perf_counter(), time.process_time()
        for _ in range(LOOKS):
            environment.observe()
        used, began = time.process_time() - used, time.perf_counter() - began
        print(
            f"three cameras at {size} px: {1000 * used / LOOKS:.1f} ms of processor time, "
            f"{1000 * began / LOOKS:.1f} of wall time"
        )
        environment.close()


if __name__ == "__main__":
    main()
