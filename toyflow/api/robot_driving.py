"""`toyflow robot-run` and `robot-replay --robot`: drive a robot by a policy, or by a run's log."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from toyflow.machine import cores
from toyflow.robot.limits import Limits
from toyflow.robot.policy_opening import compile_planner, find_policy_for_robot, ready_planner, warnings_about
from toyflow.robot.runtime.control.chunks import Handover, parse_handover
from toyflow.robot.runtime.control.control_loop import LoopSettings
from toyflow.robot.runtime.control.driving import DriveOptions, drive
from toyflow.robot.runtime.control.log import read_log
from toyflow.robot.runtime.control.planning import Planning
from toyflow.robot.runtime.control.replay import NoPlanning, RecordedActions
from toyflow.robot.runtime.control.setup import (
    check_latency,
    check_same_action,
    choose_rate,
    choose_replan,
    final_limits,
    policy_limits,
    policy_warnings,
    recorded_robot,
    replay_limits,
    replay_settings,
    replay_warnings,
    start_planning,
)
from toyflow.robot.runtime.robots import Robot, RobotSettings, open_robot


def run_policy(
    checkpoint: str,
    options: DriveOptions,
    settings: Mapping[str, Any],
    console: Console,
    *,
    steps: int,
    replan: int | None,
    handover: str,
    latency_steps: int,
    noise_seed: int,
    sampler: str,
    device: str,
    threads: int | None,
    compiled: bool,
    rename: str | None,
    out: Path,
) -> None:
    """Drive a robot by a policy; one of LeRobot's becomes a cell of `out` first.

    Args:
        settings: fields of `RobotSettings` that were given on the command line.

    Raises:
        UsageError: before anything moves.
        ToyflowError: something failed on the way; the robot has been stopped.
        typer.Exit: with 128 + N, after signal N.
    """
    way = parse_handover(handover)
    training, cameras = find_policy_for_robot(checkpoint, rename, out)
    # A processor is left to the control loop.
    planner = ready_planner(training, steps, sampler, device, threads or max(1, cores() - 1))
    _warn(console, warnings_about(training, planner, sampler))
    # A simulator renders images of the policy's size.
    settings = {"image_size": planner.image_size, "cameras": cameras, **settings}
    robot = open_robot(options.robot, RobotSettings(policy=planner.interface, **settings))
    check_latency(robot, latency_steps)
    _warn(console, policy_warnings(robot, training.details, settings.get("prompt", ""), options.limits))
    rate = choose_rate(robot, planner.interface, options.rate)
    due = choose_replan(robot, planner, replan, handover, latency_steps)
    if compiled:
        with console.status("compiling the policy; a minute or more"):
            compile_planner(planner, 1)
    planning = start_planning(robot, planner, latency_steps)
    header = {
        "settings": settings, "checkpoint": checkpoint, "steps": steps, "sampler": sampler, "replan": due,
        "handover": handover, "latency_steps": latency_steps, "noise_seed": noise_seed,
        "horizon": planner.horizon,
    }  # fmt: skip
    episodes = options.episodes or max(1, len(settings.get("states", ())))
    loop = LoopSettings(due, episodes, options.seconds, planner.history, noise_seed)
    known = policy_limits(robot, training.details, planner.interface.fps, rate)
    _drive(robot, planning, way, options, rate, loop, known, header, console)


def replay(path: Path, options: DriveOptions, given: Mapping[str, Any], console: Console) -> None:
    """Send a log's actions to a robot, by default at the rate at which they were recorded, through the gate.

    Args:
        given: fields of `RobotSettings` that were given on the command line.

    Raises:
        UsageError, ToyflowError, typer.Exit: as `run_policy`.
    """
    recording = read_log(path)
    recorded = RecordedActions(recording)
    _warn(console, replay_warnings(recording))
    settings = replay_settings(recording, options.robot, given)
    robot = open_robot(options.robot, recorded_robot(recording, settings))
    check_same_action(robot, recording)
    rate = options.rate or recording.header["rate"]
    known = replay_limits(robot, recording, rate)
    episodes = min(options.episodes or len(recorded.episodes), len(recorded.episodes))
    loop = LoopSettings(1, episodes, options.seconds)
    header = {"settings": settings, "replays": str(path)}
    _drive(robot, NoPlanning(), recorded, options, rate, loop, known, header, console)


def _drive(
    robot: Robot,
    planning: Planning,
    handover: Handover,
    options: DriveOptions,
    rate: float,
    loop: LoopSettings,
    known: Limits,
    header: Mapping[str, Any],
    console: Console,
) -> None:
    limits = final_limits(robot, known, options.limits, rate)
    try:
        number = drive(
            robot, planning, handover, options, rate, loop, limits, header,
            lambda line: console.print(line, markup=False),
        )  # fmt: skip
    except KeyboardInterrupt:  # a second signal, while a robot or camera did not return
        raise typer.Exit(128 + signal.SIGINT) from None
    if number is not None:
        raise typer.Exit(128 + number)


def _warn(console: Console, warnings: list[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
