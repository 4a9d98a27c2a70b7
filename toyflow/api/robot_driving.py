"""`toyflow robot-run` and `robot-replay --robot`: drive a robot by a policy, or by a run's log."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from toyflow import plugins
from toyflow.flow import Decoding
from toyflow.machine import cores
from toyflow.robot.handover import Handover, parse_handover
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits
from toyflow.robot.policy_opening import compile_planner, find_policy_for_robot, ready_planner, warnings_about
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
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote
from toyflow.robot.runtime.robots import Robot, RobotSettings, open_robot
from toyflow.robot.simulation.environment import load_environment


def run_policy(
    checkpoint: str,
    options: DriveOptions,
    settings: Mapping[str, Any],
    console: Console,
    *,
    decoding: Decoding | None,
    replan: int | None,
    handover: str,
    latency_steps: int,
    noise_seed: int,
    device: str,
    threads: int | None,
    compiled: bool,
    rename: str | None,
    remote: RemoteOptions = RemoteOptions(),  # noqa: B008, which is frozen
    out: Path,
) -> int:
    """Drive a robot by a policy. One of LeRobot, or behind a server, becomes a cell of `out` first.

    Args:
        checkpoint: the folder of a trained policy, OUT/cells/KEY; or a LeRobot policy, a folder or a name on
            the hub; or servers' addresses, see `parse_addresses`.
        options: the robot, and how long and how fast it is driven.
        settings: fields of `RobotSettings` other than `policy`; those left out keep their defaults.
        console: prints warnings, how episodes ended and the summary.
        decoding: steps, sampler, grid and draws; None for one step or, of a server, for its own number.
        replan: control steps between two plans; None for the default, see `choose_replan`.
        handover: how one action chunk follows another: switch, blend:STEPS, ensemble:DECAY or rtc.
        latency_steps: for simulators only: control steps that pass while a plan is computed.
        noise_seed: seed of the noise that plans start from.
        device: auto, cpu, cuda or mps.
        threads: processor threads of the policy; None for all processors but one.
        compiled: whether PyTorch compiles the policy first, which takes a minute or more.
        rename: cameras with other names on the robot: POLICY_CAMERA=ROBOT_CAMERA, ...; None for none.
        remote: how servers are asked.
        out: results folder for a LeRobot policy.

    Returns:
        The exit code: 0, or 128 + N where signal N ended the run.

    Raises:
        UsageError: policy, robot and options do not fit each other; raised before anything moves.
        ToyflowError: something failed on the way; the robot has been stopped.

    Example:
        run_policy(
            "results/robot/cells/KEY", DriveOptions("libero"), {"suite": "libero_object"}, Console(),
            decoding=Decoding(steps=1), replan=None, handover="blend", latency_steps=0, noise_seed=0,
            device="auto", threads=None, compiled=False, rename=None, out=Path("results/robot"),
        )
    """
    way = parse_handover(handover)
    seen = _interface_of(options.robot, settings) if is_remote(checkpoint) else None
    with console.status("asking the server; its first plan may take a minute") if seen else nullcontext():
        training, cameras = find_policy_for_robot(checkpoint, rename, out, remote, seen)
    # A processor is left to the control loop.
    planner = ready_planner(training, decoding, device, threads or max(1, cores() - 1))
    decoding = planner.decoding
    _warn(console, warnings_about(training, planner))
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
    planning = start_planning(robot, planner, latency_steps, way.continues)
    header = {
        "settings": settings, "checkpoint": checkpoint, **asdict(decoding), "replan": due,
        "handover": handover, "latency_steps": latency_steps, "noise_seed": noise_seed,
        "horizon": planner.horizon,
    }  # fmt: skip
    episodes = options.episodes or max(1, len(settings.get("states", ())))
    loop = LoopSettings(due, episodes, options.seconds, planner.history, noise_seed)
    known = policy_limits(robot, training.details, planner.interface.fps, rate)
    return _drive(robot, planning, way, options, rate, loop, known, header, console)


def _interface_of(robot: str, settings: Mapping[str, Any]) -> Interface | None:
    """Cameras, state and action of a robot, for a policy whose server does not say its own; None for a robot
    that takes them from its policy."""
    if robot in plugins.available("environments"):
        return load_environment(robot).interface
    unknown = Interface((), 0, 0, 0)
    own = open_robot(robot, RobotSettings(policy=unknown, **settings)).interface
    return own if own.action_dim else None


def replay(path: Path, options: DriveOptions, given: Mapping[str, Any], console: Console) -> int:
    """Send a log's actions to a robot through the safety gate, by default at the rate of the recording.

    Args:
        path: the log of a run.
        options: the robot, and how long and how fast it is driven.
        given: fields of `RobotSettings` that differ from the recorded run's; see `replay_settings`.
        console: prints warnings, how episodes ended and the summary.

    Returns:
        The exit code, as of `run_policy`.

    Raises:
        UsageError, ToyflowError: as `run_policy`.
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
    return _drive(robot, NoPlanning(), recorded, options, rate, loop, known, header, console)


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
) -> int:
    limits = final_limits(robot, known, options.limits, rate)
    try:
        number = drive(
            robot, planning, handover, options, rate, loop, limits, header,
            lambda line: console.print(line, markup=False),
        )  # fmt: skip
    except KeyboardInterrupt:  # a second signal, while a robot or camera did not return
        return 128 + signal.SIGINT
    return 0 if number is None else 128 + number


def _warn(console: Console, warnings: list[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
