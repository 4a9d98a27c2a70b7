"""`toyflow robot-run` and `robot-replay`: put a policy, a robot and the loop together, and say how it
went."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer
from jaxtyping import Float
from rich.console import Console
from rich.markup import escape

from toyflow.errors import ToyflowError, UsageError, named_line
from toyflow.machine import cores
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.opening import compile_planner, find_policy_for_robot, ready_planner, warnings_about
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.control.chunks import Handover, parse_handover
from toyflow.robot.runtime.control.clock import RealClock, SteppedClock
from toyflow.robot.runtime.control.limits_file import read_limits
from toyflow.robot.runtime.control.log import Recording, RunLog, read_log
from toyflow.robot.runtime.control.loop import ControlLoop, Ending, LoopSettings
from toyflow.robot.runtime.control.planning import Planning, SteppedPlanning, ThreadedPlanning
from toyflow.robot.runtime.control.replay import NoPlanning, Recorded
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.summary import Summary
from toyflow.robot.runtime.robots import Robot, RobotSettings, open_robot, shown
from toyflow.version import __version__

LOGS = Path("robot-runs")


@dataclass(frozen=True)
class Drive:
    """What `robot-run` and `robot-replay --robot` have in common.

    Raises:
        UsageError: the rate, or the time, is none.
    """

    robot: str
    rate: float | None
    seconds: float | None
    episodes: int | None
    limits: Path | None
    log: Path | None
    dry_run: bool

    def __post_init__(self) -> None:
        for option, value in (("--rate", self.rate), ("--seconds", self.seconds)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{option} takes a finite number above 0, not {value:g}.")


def run_policy(
    checkpoint: str,
    drive: Drive,
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

    Raises:
        UsageError: before anything moves.
        ToyflowError: something failed on the way; the robot has been stopped.
        typer.Exit: with 128 + N, after signal N.
    """
    how = parse_handover(handover)
    training, cameras = find_policy_for_robot(checkpoint, rename, out)
    # A processor is left to the loop that the policy acts in.
    planner = ready_planner(training, steps, sampler, device, threads or max(1, cores() - 1))
    for warning in warnings_about(training, planner, sampler):
        console.print(f"[yellow]{escape(warning)}[/]")
    # A simulator renders what the policy looks at.
    settings = {"image_size": planner.image_size, "cameras": cameras, **settings}
    robot = open_robot(drive.robot, RobotSettings(policy=planner.interface, **settings))
    if training.details.get("policy", {}).get("language") and not (robot.stepped or settings.get("prompt")):
        learned = ", ".join(map(repr, training.details.get("prompts", ())[:3]))
        hint = f", such as {learned}" if learned else ""
        console.print(f"[yellow]{escape(f'The policy reads a prompt; name one with --prompt{hint}.')}[/]")
    if latency_steps and not robot.stepped:
        raise UsageError(f"--latency-steps is for simulators; {robot.name} has a clock of its own.")
    guessed = "normalisation" in training.details and "motion" not in training.details
    if guessed and drive.limits is None and not robot.stepped:
        console.print(
            "[yellow]The policy does not say how far its data's actions went: limits are the robot's own and "
            "a guess from mean and spread. Name others by --limits FILE.[/]"
        )
    rate = _rate(robot, planner.interface, drive.rate)
    due = _replan(replan, planner, robot, handover, latency_steps)
    if compiled:
        with console.status("compiling the policy; a minute or more"):
            compile_planner(planner, 1)
    # A real robot is never driven by a plan's first call, which is the slowest.
    for _ in range(3 if not robot.stepped else 0):
        planner.plan([planner.any_observation()], [0])
    planning = SteppedPlanning(planner, latency_steps) if robot.stepped else ThreadedPlanning(planner)
    policy = {
        "checkpoint": checkpoint, "steps": steps, "sampler": sampler, "replan": due, "handover": handover,
        "latency_steps": latency_steps, "noise_seed": noise_seed, "horizon": planner.horizon,
    }  # fmt: skip
    episodes = drive.episodes or max(1, len(settings.get("states", ())))
    loop = LoopSettings(due, episodes, drive.seconds, planner.history, noise_seed)
    known = Limits.of_data(training.details).resampled(planner.interface.fps or rate, rate)
    # A simulator's own serve it, since nothing in it can break.
    limits = robot.limits.or_else(known) if robot.stepped else robot.limits.within(known)
    _drive(robot, planning, how, drive, rate, loop, limits, policy, settings, console)


def replay(path: Path, drive: Drive, settings: Mapping[str, Any], console: Console) -> None:
    """Send a log's actions to a robot, at the rate at which they were recorded, through the same gate.

    Raises:
        UsageError, ToyflowError, typer.Exit: as `run_policy`.
    """
    recording = read_log(path)
    recorded = Recorded(recording)
    header = recording.header
    for warning in _warnings(recording):
        console.print(f"[yellow]{escape(warning)}[/]")
    of_the_robot = () if header["robot"] == drive.robot else ("options", "cameras")
    inherited = {name: value for name, value in header["settings"].items() if name not in of_the_robot}
    settings = {**inherited, **{name: value for name, value in settings.items() if value != {}}}
    settings["states"] = tuple(settings.get("states", ()))
    interface = Interface.from_dict(header["interface"])
    names = tuple(header["action_names"])
    robot = open_robot(drive.robot, RobotSettings(policy=interface, action_names=names, **settings))
    if (robot.interface.action_dim, _names(robot)) != (interface.action_dim, names):
        raise UsageError(
            f"{robot.name} moves {_listed(_names(robot), robot.interface)}, the log, of "
            f"{header['robot']}, has {_listed(names, interface)}."
        )
    rate = drive.rate or header["rate"]
    known = Limits(
        **{
            key: None if values is None else np.array([_edge(key) if v is None else v for v in values])
            for key, values in header["limits"].items()
        }
    )
    limits = robot.limits.within(known.resampled(header["rate"], rate))
    episodes = min(drive.episodes or len(recorded.episodes), len(recorded.episodes))
    loop = LoopSettings(1, episodes, drive.seconds)
    _drive(
        robot, NoPlanning(), recorded, drive, rate, loop, limits, {"replays": str(path)}, settings, console
    )


def _drive(
    robot: Robot,
    planning: Planning,
    handover: Handover,
    drive: Drive,
    rate: float,
    loop: LoopSettings,
    limits: Limits,
    policy: Mapping[str, Any],
    settings: Mapping[str, Any],
    console: Console,
) -> None:
    limits, patience = _limits(robot, limits, drive, rate)
    path = drive.log or LOGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{robot.name.replace(':', '-')}.jsonl"
    with RunLog(path) as log:
        log.write(
            "run", toyflow=__version__, time=time.time(), robot=robot.name, dry_run=drive.dry_run, rate=rate,
            clock="stepped" if robot.stepped else "real", interface=robot.interface.as_dict(),
            action_names=_names(robot), limits=limits.as_dict(), patience=patience.as_dict(),
            settings=settings, **policy,
        )  # fmt: skip
        gate = Gate(robot, limits, patience, rate, _names(robot), moves=not drive.dry_run)
        clock = SteppedClock(rate) if robot.stepped else RealClock(rate)

        def on_step(step: int, action: Float[np.ndarray, "action"] | None, changes: tuple[str, ...]) -> None:
            if drive.dry_run:
                sent = "nothing" if action is None else " ".join(f"{number:+.3f}" for number in action)
                console.print(f"step {step}: {sent} {', '.join(changes)}".rstrip(), markup=False)

        if drive.dry_run:
            console.print(f"what would be sent: {', '.join(map(shown, _names(robot)))}", markup=False)
        try:
            with StopSignals() as signals, _let_go(robot, signals):
                robot.connect()
                control = ControlLoop(robot, planning, handover, gate, clock, log, loop, on_step)
                with closing(control.run(signals)) as endings:
                    for ending in endings:
                        _tell(ending, console)
        except BaseException:
            with suppress(Exception):  # which would hide the first
                _conclude(path, console)
            raise
        summary = _conclude(path, console)
    if signals.number is not None:
        raise typer.Exit(128 + signals.number)
    if summary.is_idle:
        raise ToyflowError(f"no action was sent in {summary.steps} steps; the lines above say why.")


def _conclude(path: Path, console: Console) -> Summary:
    console.print(f"log: {escape(str(path))} (toyflow robot-replay draws it)")
    summary = Summary.of(read_log(path))
    for line in summary.lines():
        console.print(escape(line))
    return summary


@contextmanager
def _let_go(robot: Robot, signals: StopSignals) -> Iterator[None]:
    """Let go of the robot in the end; what robots and planners raise becomes one line."""
    try:
        try:
            yield
        finally:
            signals.finishing = True
            robot.disconnect()
    except ToyflowError:
        raise
    except KeyboardInterrupt:  # the second signal: a robot or camera has not returned
        raise typer.Exit(128 + signal.SIGINT) from None
    except Exception as error:
        raise ToyflowError(f"the run ended by {named_line(error).rstrip('.')}.") from error


def _tell(ending: Ending, console: Console) -> None:
    late = f", {ending.late} of {ending.plans} plans late" if ending.late else ""
    console.print(f"episode {ending.episode}: {ending.why} after {ending.steps} steps{late}")


def _limits(robot: Robot, limits: Limits, drive: Drive, rate: float) -> tuple[Limits, Patience]:
    """What the file says, else `limits`, else what follows from these."""
    patience = Patience()
    names = _names(robot)
    if drive.limits is not None:
        chosen, patience = read_limits(drive.limits, names)
        limits = chosen.or_else(limits)
    if robot.stepped:  # its time passes only when something is done, and without noise rest looks frozen
        patience = replace(patience, hold_after=0.0, stale_after=math.inf)
    return limits.completed(rate, names), patience


def _rate(robot: Robot, policy: Interface, asked: float | None) -> float:
    """Actions per second: as asked, or the robot's, or the policy's; and the robot must suit the policy."""
    rate = asked or robot.interface.fps or policy.fps
    if not rate:
        raise UsageError(f"neither {robot.name} nor the policy says how many steps per second: use --rate.")
    wanted = replace(policy, fps=0) if asked else policy
    replace(robot.interface, fps=rate).check_serves(wanted, robot.name)
    return rate


def _replan(asked: int | None, planner: Planner, robot: Robot, handover: str, latency: int) -> int:
    """As asked; else as the policy is meant to (`Planner.replan`), on a real clock at half the horizon at
    latest, so that a plan may take as long as the other half; and at every step for an ensemble."""
    if asked is not None:
        if not 1 <= asked <= planner.horizon:
            raise UsageError(f"--replan must be 1 to the horizon, {planner.horizon}, not {asked}.")
        return asked
    if handover.startswith("ensemble"):
        return 1
    latest = planner.horizon - latency if robot.stepped else planner.horizon // 2
    return max(1, min(planner.replan, latest))


def _warnings(recording: Recording) -> list[str]:
    """What is to be known of a log before its actions are sent again."""
    warnings = [f"The log is damaged: {recording.damage}."] if recording.damage else []
    if recording.header["dry_run"]:
        warnings.append("The log is of a dry run: no robot has ever carried out these actions.")
    return warnings


def _names(robot: Robot) -> tuple[str, ...]:
    """Of the numbers of its action, or the numbers from 0."""
    return robot.action_names or tuple(map(str, range(robot.interface.action_dim)))


def _listed(names: tuple[str, ...], interface: Interface) -> str:
    return f"{interface.action_dim} numbers" + (f" ({', '.join(names)})" if names else "")


def _edge(key: str) -> float:
    return -float("inf") if key == "lower" else float("inf")
