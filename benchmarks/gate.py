"""How long does the safety gate take to check one action, with and without smoothing?

    python benchmarks/gate.py                  # 14 joints, 3000 actions

Chunks of 20 actions that disagree where one follows the other, at 50 Hz. Every action is timed in several
passes over the same actions, of which the least counts: other programs on the machine then do not. Exits with
1 where the p99 of either is 0.2 ms or more.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.smoothing import Smoother
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.idle import IdleRobot

RATE, HORIZON, DIMS = 50.0, 20, 14
MOST_MS = 0.2
LIMITS = Limits(
    lower=np.full(DIMS, -2.0), upper=np.full(DIMS, 2.0), step=np.full(DIMS, 0.2),
    velocity=np.full(DIMS, 20.0), jerk=np.full(DIMS, 500.0),
)  # fmt: skip


def actions(count: int) -> np.ndarray:
    """Sine waves that jump by about 0.1 at every hand-over."""
    time_of = np.arange(count)[:, None] / RATE
    waves = 0.5 * np.sin(2 * np.pi * np.linspace(0.2, 1, DIMS) * time_of)
    jumps = 0.1 * np.random.default_rng(0).normal(size=(-(-count // HORIZON), DIMS))
    return waves + jumps.repeat(HORIZON, 0)[:count]


def measure(smooth: bool, asked: np.ndarray) -> np.ndarray:
    """Milliseconds of processor time per action."""
    interface = Interface((), state_dim=DIMS, action_dim=DIMS, fps=RATE)
    robot = IdleRobot.open(RobotSettings(interface))
    gate = Gate(robot, LIMITS, Patience(), RATE, smoother=Smoother(LIMITS, RATE) if smooth else None)
    gate.begin(asked[0], 0.0)
    times = np.zeros(len(asked) - 1)
    for step in range(len(asked) - 1):
        began = time.process_time_ns()
        gate.send(asked[step], step / RATE, asked[step + 1])
        times[step] = (time.process_time_ns() - began) / 1e6
    return times


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--actions", type=int, default=3000)
    parser.add_argument("--passes", type=int, default=7)
    options = parser.parse_args()
    asked, slowest = actions(options.actions), 0.0
    for smooth in (False, True):
        least = np.min([measure(smooth, asked) for _ in range(options.passes)], axis=0)
        p50, p99 = np.percentile(least, (50, 99))
        slowest = max(slowest, p99)
        print(f"{'smoothed' if smooth else 'clipped'}: p50 {p50:.3f} ms, p99 {p99:.3f} ms")
    return int(slowest >= MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
