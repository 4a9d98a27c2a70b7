"""Does the control loop hold its rate while a policy plans beside it? Jitter, missed steps, memory.

    python benchmarks/control_loop.py --seconds 600          # 50 Hz for ten minutes, planning in a thread
    python benchmarks/control_loop.py --handover rtc         # plans that go on from the chunk before
    python benchmarks/control_loop.py --planner none         # the loop alone: the jitter of the machine
    python benchmarks/control_loop.py --planner process      # planning in a process of its own
    chrt -f 10 python benchmarks/control_loop.py             # with priority, if the machine is not idle
    PYTHONPATH=tests/robot/yam_twin python benchmarks/control_loop.py --robot lerobot:bi_yam_follower \
        --set read_only=false                                # the tests' twin of two YAM arms

The policy is `nano` with random weights for the robot's cameras and numbers, decoded in --steps steps. The
robot is by default `idle` with two cameras of 64 pixels, which moves nothing and renders nothing. Every
action passes the gate and every step is logged, as in `toyflow robot-run`. Exits with 1 unless jitter p99 is
below --jitter-ms, every step was checked, and memory grew by less than 5 MB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from toyflow.robot.handover import parse_handover
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.control.clock import RealClock
from toyflow.robot.runtime.control.control_loop import ControlLoop, LoopSettings
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.planning import (
    Plan,
    Planning,
    PlanRequest,
    SteppedPlanning,
    ThreadedPlanning,
)
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.summary import Summary
from toyflow.robot.runtime.robots import RobotSettings, open_robot

RATE, HORIZON, ACTION = 50.0, 20, 14
GROWTH_MB = 5.0
INTERFACE = Interface(("front", "wrist"), state_dim=ACTION, action_dim=ACTION, fps=RATE)


def nano(interface: Interface, threads: int, steps: int) -> Planner:
    """A policy with random weights for this interface that decodes in so many steps."""
    import torch

    from toyflow.flow import Decoding, make_objective, parse_schedule
    from toyflow.robot.data.normalisation import Normalisation
    from toyflow.robot.policy.flow_planner import FlowPlanner
    from toyflow.robot.policy.policy import Policy
    from toyflow.robot.policy.spec import PolicySpec

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    state, action = (
        {"mean": [0.0] * dim, "std": [0.1] * dim} for dim in (interface.state_dim, interface.action_dim)
    )
    policy = Policy(PolicySpec("nano", interface, HORIZON), Normalisation.from_statistics(state, action))
    planner = FlowPlanner(policy.eval(), make_objective("flow", parse_schedule("shift:4")))
    planner.set_decoding(Decoding(steps))
    for _ in range(5):
        planner.plan([planner.any_observation()], [0])
        planner.continue_plan([planner.any_observation()], [0], [planner.any_commitment()])
    return planner


class NoPlans(Planning):
    """Answers at once with zeros."""

    def __init__(self, dims: int) -> None:
        self._plan: Plan | None = None
        self._dims = dims

    @property
    def busy(self) -> bool:
        return False

    def ask(self, request: PlanRequest) -> None:
        self._plan = Plan(request, np.zeros((HORIZON, self._dims), np.float32), 0.0)

    def received(self, step: int) -> Plan | None:
        plan, self._plan = self._plan, None
        return plan


class ProcessPlanning(Planning):
    """`ThreadedPlanning` in another process, for comparison."""

    def __init__(self, interface: Interface, threads: int, steps: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_work, args=(there, interface, threads, steps), daemon=True)
        self._process.start()
        self._pipe.recv()
        self._busy = False

    @property
    def busy(self) -> bool:
        return self._busy

    def ask(self, request: PlanRequest) -> None:
        self._busy = True
        self._pipe.send(request)

    def received(self, step: int) -> Plan | None:
        if not self._pipe.poll():
            return None
        self._busy = False
        return self._pipe.recv()

    def close(self) -> None:
        self._process.terminate()


def _work(pipe: Connection, interface: Interface, threads: int, steps: int) -> None:
    planning = SteppedPlanning(nano(interface, threads, steps))
    pipe.send("ready")
    while True:
        request = pipe.recv()
        planning.ask(request)
        pipe.send(planning.received(request.step))


def resident_mb() -> float:
    """Memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return 0 if the figures were reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--planner", choices=("thread", "process", "none"), default="thread")
    parser.add_argument("--threads", type=int, default=1, help="of the policy")
    parser.add_argument("--jitter-ms", type=float, default=5.0, help="most at p99; 5")
    parser.add_argument("--replan", type=int, default=HORIZON // 2)
    parser.add_argument("--handover", default="blend", help="switch, blend, ensemble or rtc")
    parser.add_argument("--steps", type=int, default=1, help="K")
    parser.add_argument("--robot", default="idle", help="as robot-run takes it")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="options of --robot")
    options = parser.parse_args(arguments)
    chosen = dict(pair.split("=", 1) for pair in options.set)
    robot = open_robot(options.robot, RobotSettings(INTERFACE, image_size=64, prompt="go", options=chosen))
    interface = replace(robot.interface, fps=RATE)
    dims = interface.action_dim
    planning: Planning = (
        NoPlans(dims) if options.planner == "none"
        else ProcessPlanning(interface, options.threads, options.steps) if options.planner == "process"
        else ThreadedPlanning(nano(interface, options.threads, options.steps))
    )  # fmt: skip
    free = Limits.unlimited_between(np.full(dims, -1.0), np.full(dims, 1.0))
    limits = robot.limits.or_else(free) if options.robot != "idle" else free
    memory: list[float] = []

    def on_step(step: int, action: object, changes: object) -> None:
        if step % RATE == 0:
            memory.append(resident_mb())

    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder) / "run.jsonl") as log:
        names = [f"action {place}" for place in range(dims)]
        log.write("run", rate=RATE, clock="real", action_names=names)
        gate = Gate(robot, limits, Patience(), RATE)
        settings = LoopSettings(options.replan, seconds=options.seconds)
        way = parse_handover(options.handover)
        loop = ControlLoop(robot, planning, way, gate, RealClock(RATE), log, settings, on_step)
        robot.connect()
        try:
            with StopSignals() as signals:
                [ending] = loop.run(signals)
        finally:
            robot.disconnect()
        summary = Summary.of(read_log(log.path))
        size = log.path.stat().st_size / 2**20
    settled = memory[min(5, len(memory) - 1)]  # the first seconds allocate
    print(
        f"robot: {robot.name}; planner: {options.planner}, {options.threads} threads, K = {options.steps}, "
        f"{options.handover}; {options.seconds:g} s at {RATE:g} Hz"
    )
    print("\n".join(summary.lines()))
    print(f"ending: {ending}")
    print(f"memory: {settled:.1f} MB after 5 s, {memory[-1]:.1f} MB at the end; log {size:.1f} MB")
    unchecked = summary.steps - summary.unsent - gate.checked
    well = summary.jitter.p99 < options.jitter_ms and not unchecked and memory[-1] - settled < GROWTH_MB
    verdict = "held" if well else "NOT held"
    print(f"{verdict}: jitter p99 {summary.jitter.p99:.2f} ms, {unchecked} actions unchecked")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
