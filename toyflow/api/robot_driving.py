"""`toyflow robot-run` and `robot-replay --robot`: drive a robot by a policy, or by a run's log."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from toyflow import plugins
from toyflow.flow import Decoding
from toyflow.machine import cores
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.handover import parse_handover
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.planner import Planner
from toyflow.robot.policy_opening import (
    action_ranges,
    compile_planner,
    find_policy_for_robot,
    ready_planner,
    warnings_about,
)
from toyflow.robot.runtime.control.control_loop import LoopSettings
from toyflow.robot.runtime.control.driving import DriveOptions, drive
from toyflow.robot.runtime.control.limit_sources import check_same_names, check_same_units, limits_lines
from toyflow.robot.runtime.control.limits_file import file_limits
from toyflow.robot.runtime.control.log import read_log
from toyflow.robot.runtime.control.replay import NoPlanning, RecordedActions
from toyflow.robot.runtime.control.setup import (
    check_latency,
    check_moves,
    check_same_action,
    check_start,
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
    take_shipped,
)
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote
from toyflow.robot.runtime.robots import Robot, RobotSettings, open_robot, simulator_of
from toyflow.robot.simulation.environment import load_environment
from toyflow.sweep.stored import StoredTraining


@dataclass(frozen=True)
class PolicyUse:
    """How a policy is loaded and asked for plans.

    Attributes:
        out: results folder for a policy of LeRobot or behind a server.
        replan: control steps between two plans; None for the default, see `choose_replan`.
        handover: how one action chunk follows another: switch, blend:STEPS, ensemble:DECAY or rtc.
        latency_steps: for simulators only: control steps that pass while a plan is computed.
        noise_seed: seed of the noise that plans start from.
        device: auto, cpu, cuda or mps.
        threads: processor threads of the policy; None for all processors but one.
        compiled: whether PyTorch compiles the policy first, which takes a minute or more.
        rename: cameras with other names on the robot: POLICY_CAMERA=ROBOT_CAMERA, ...; None for none.
        remote: how servers are asked.
    """

    out: Path
    replan: int | None = None
    handover: str = "blend"
    latency_steps: int = 0
    noise_seed: int = 0
    device: str = "auto"
    threads: int | None = None
    compiled: bool = False
    rename: str | None = None
    remote: RemoteOptions = RemoteOptions()  # noqa: RUF009, which is frozen


@dataclass
class PolicyDrive:
    """A policy that is ready to drive a robot; nothing has moved yet.

    Attributes:
        key: the policy's, of its training record.
        planner: the policy, in the first of the decodings.
        options: the user's choices of the run.
        settings: fields of `RobotSettings` other than `policy`.
        use: the user's choices of how it is asked for plans.
        rate: actions per second.
        replan: control steps between two plans.
        limits: complete, with the gate's patience.
        limits_from: where the limits come from, in sentences.
        checkpoint: what the user named.
    """

    key: str
    planner: Planner
    options: DriveOptions
    settings: dict[str, Any]
    use: PolicyUse
    rate: float
    replan: int
    limits: tuple[Limits, Patience]
    limits_from: list[str]
    checkpoint: str

    def open_robot(self, **changed: Any) -> Robot:
        """The robot, not yet connected, with these settings changed."""
        settings = RobotSettings(policy=self.planner.interface, **{**self.settings, **changed})
        return open_robot(self.options.robot, settings)

    def run(
        self,
        robot: Robot,
        episodes: int,
        noise_seed: int,
        print_line: Callable[[str], object],
        log: Path | None,
        tell: Callable[[str], object] | None = None,
    ) -> int | None:
        """Run episodes on a robot of `open_robot`, in the planner's present decoding. As `drive`."""
        planner = self.planner
        header = {
            "settings": self.settings, "checkpoint": self.checkpoint, **asdict(planner.decoding),
            "replan": self.replan, "handover": self.use.handover, "latency_steps": self.use.latency_steps,
            "noise_seed": noise_seed, "horizon": planner.horizon, "limits_from": self.limits_from,
        }  # fmt: skip
        loop = LoopSettings(self.replan, episodes, self.options.seconds, planner.history, noise_seed)
        way = parse_handover(self.use.handover)
        planning = start_planning(robot, planner, self.use.latency_steps, way.continues)
        return drive(
            robot, planning, way, replace(self.options, log=log), self.rate, loop, self.limits, header,
            print_line, tell,
        )  # fmt: skip


def prepare_policy(
    checkpoint: str,
    options: DriveOptions,
    settings: Mapping[str, Any],
    console: Console,
    use: PolicyUse,
    decodings: Sequence[Decoding | None],
) -> tuple[PolicyDrive, Robot]:
    """Load a policy, open the robot, and check that they fit. A policy of LeRobot, or behind a server,
    becomes a cell of `use.out` first.

    Args:
        checkpoint, options, settings, console, use: as for `run_policy`.
        decodings: those in which the policy will act, one or more; None for a server's own.

    Raises:
        UsageError: policy, robot and options do not fit each other.
    """
    way = parse_handover(use.handover)
    seen = _interface_of(options.robot, settings) if is_remote(checkpoint) else None
    with console.status("asking the server; its first plan may take a minute") if seen else nullcontext():
        training, cameras = find_policy_for_robot(checkpoint, use.rename, use.out, use.remote, seen)
    # A processor is left to the control loop.
    threads = use.threads or max(1, cores() - 1)
    planner = ready_planner(training, decodings[0], use.device, threads, simulator_of(options.robot))
    for decoding in reversed(decodings):
        if decoding is not None:
            planner.set_decoding(decoding)
        _warn(console, warnings_about(training, planner))
    if way.continues:
        planner.check_continues()
    # A simulator renders images of the policy's size.
    settings = {"image_size": planner.image_size, "cameras": cameras, **settings}
    robot = open_robot(options.robot, RobotSettings(policy=planner.interface, **settings))
    check_latency(robot, use.latency_steps)
    rate = choose_rate(robot, planner.interface, options.rate)
    file = take_shipped(robot, options.limits, rate)
    check_moves(robot, options.dry_run, options.start_at)
    data, data_rate, whose = _data_of(options.limits_from, robot, training, planner)
    if (names := data.get("action_names")) and (options.limits_from or not robot.stepped):
        _warn(console, check_same_names(robot, names, whose, trusted=file is not None))
    details = {**training.details, **data}
    _warn(console, policy_warnings(robot, details, settings.get("prompt", ""), file))
    check_same_units(robot, data, file_limits(file, robot.dimensions), whose)
    said = limits_lines(robot, data, whose, options.limits)
    for line in said:
        console.print(line, markup=False)
    limits = final_limits(robot, policy_limits(robot, data, data_rate, rate), file, rate)
    check_start(robot, options.start_at, file_limits(file, robot.dimensions))
    due = choose_replan(robot, planner, use.replan, use.handover, use.latency_steps)
    if use.compiled:
        with console.status("compiling the policy; a minute or more"):
            compile_planner(planner, 1, way.continues)
    ready = PolicyDrive(
        training.record.key, planner, options, settings, use, rate, due, limits, said, checkpoint
    )
    return ready, robot


def run_policy(
    checkpoint: str,
    options: DriveOptions,
    settings: Mapping[str, Any],
    console: Console,
    use: PolicyUse,
    decoding: Decoding | None,
) -> int:
    """Drive a robot by a policy. One of LeRobot, or behind a server, becomes a cell of `use.out` first.

    Args:
        checkpoint: the folder of a trained policy, OUT/cells/KEY; or a LeRobot policy, a folder or a name on
            the hub; or servers' addresses, see `parse_addresses`.
        options: the robot, and how long and how fast it is driven.
        settings: fields of `RobotSettings` other than `policy`; those left out keep their defaults.
        console: prints warnings, how episodes ended and the summary.
        use: how the policy is loaded and asked for plans.
        decoding: steps, sampler, grid and draws; None for one step or, of a server, for its own number.

    Returns:
        The exit code: 0, or 128 + N where signal N ended the run.

    Raises:
        UsageError: policy, robot and options do not fit each other; raised before anything moves.
        ToyflowError: something failed on the way; the robot has been stopped.

    Example:
        run_policy(
            "results/robot/cells/KEY", DriveOptions("libero"), {"suite": "libero_object"}, Console(),
            PolicyUse(Path("results/robot"), handover="rtc"), Decoding(steps=1),
        )
    """
    ready, robot = prepare_policy(checkpoint, options, settings, console, use, [decoding])
    episodes = options.episodes or max(1, len(settings.get("states", ())))
    return exit_code(
        lambda: ready.run(
            robot, episodes, use.noise_seed, lambda line: console.print(line, markup=False), options.log
        )
    )


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
    check_moves(robot, options.dry_run)
    rate = options.rate or recording.header["rate"]
    file = take_shipped(robot, options.limits, rate)
    limits = final_limits(robot, replay_limits(robot, recording, rate), file, rate)
    episodes = min(options.episodes or len(recorded.episodes), len(recorded.episodes))
    loop = LoopSettings(1, episodes, options.seconds)
    header = {"settings": settings, "replays": str(path)}

    def print_line(line: str) -> None:
        console.print(line, markup=False)

    return exit_code(
        lambda: drive(robot, NoPlanning(), recorded, options, rate, loop, limits, header, print_line)
    )


def _data_of(
    data_set: str | None, robot: Robot, training: StoredTraining, planner: Planner
) -> tuple[Mapping[str, Any], float, str]:
    """What is known of the actions of the data set, else of the policy's training data, see `Limits.of_data`,
    with their `action_names`; its actions per second, 0 if unknown; and what messages call it."""
    if data_set is None:
        return action_ranges(training, planner), planner.interface.fps, "the policy's training data"
    data = open_data_set(data_set)
    known = {"motion": data.motion(), "action_names": data.action_names}
    return known, data.interface.fps, f"data set {data_set}"


def exit_code(run: Callable[[], int | None]) -> int:
    """The exit code of a run that returns the number of the signal that ended it, None for none."""
    try:
        number = run()
    except KeyboardInterrupt:  # a second signal, while a robot or camera did not return
        return 128 + signal.SIGINT
    return 0 if number is None else 128 + number


def _warn(console: Console, warnings: list[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
