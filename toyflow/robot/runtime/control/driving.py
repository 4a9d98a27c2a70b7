"""A whole run: opens the log, connects the robot, runs the control loop, and releases the robot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from toyflow.errors import ToyflowError, UsageError, named_line
from toyflow.robot.handover import Handover
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.clock import RealClock, SteppedClock
from toyflow.robot.runtime.control.control_loop import ControlLoop, Ending, LoopSettings
from toyflow.robot.runtime.control.letting_go import WAYS, LettingGo, announcement, check_way
from toyflow.robot.runtime.control.limits_file import file_limits, is_shipped
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.planning import Planning
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.slow_motion import OnSent, SlowMotion, logged
from toyflow.robot.runtime.control.smoothing import smoother_of
from toyflow.robot.runtime.control.summary import Summary
from toyflow.robot.runtime.robots.base import Robot, display_name
from toyflow.version import __version__

LOGS = Path("robot-runs")
"""Default folder of logs, in the working directory."""


@dataclass(frozen=True)
class DriveOptions:
    """What a user chooses of a run, whether by a policy or a replay.

    Attributes:
        robot: name, as `open_robot` takes it.
        rate: actions per second; None for the robot's or the policy's.
        seconds: longest episode, in seconds; None for the robot's own limit, see `Robot.longest`.
        episodes: number of episodes; None for 1, or one for each initial state.
        limits: a limits file; None for the limits of robot and data.
        log: path of the log, which must not exist; None for a new file in `LOGS`.
        dry_run: print every action and send none.
        limits_from: a data set whose actions give limits, in place of the policy's training data.
        at_end: what is done with a robot that would fall, see `LettingGo`.
        start_at: an action; a robot in real time moves there slowly before the first episode.

    Raises:
        UsageError: the rate or the seconds are not finite and above 0, or nothing is done so at the end.
    """

    robot: str
    rate: float | None = None
    seconds: float | None = None
    episodes: int | None = None
    limits: Path | None = None
    log: Path | None = None
    dry_run: bool = False
    limits_from: str | None = None
    at_end: str = WAYS[0]
    start_at: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for option, value in (("--rate", self.rate), ("--seconds", self.seconds)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{option} takes a finite number above 0, not {value:g}.")
        check_way(self.at_end)


def drive(
    robot: Robot,
    planning: Planning,
    handover: Handover,
    options: DriveOptions,
    rate: float,
    loop: LoopSettings,
    limits: tuple[Limits, Patience],
    header: Mapping[str, Any],
    print_line: Callable[[str], object],
    tell: Callable[[str], object] | None = None,
) -> int | None:
    """Connect a robot, run the control loop, bring the robot to rest, let go of it, and summarise the log.

    Args:
        robot: the robot, not yet connected.
        planning: how plans are made; see `setup.start_planning`.
        handover: chooses each step's action from the plans.
        options: the user's choices; here the log's path and whether this is a dry run.
        rate: actions per second.
        loop: how long to run, and how often to plan.
        limits: complete limits and the gate's patience; see `setup.final_limits`.
        header: more entries of the log's first line: `settings` (of the robot), `steps`, `sampler`, ...
        print_line: shows a line to the user: endings, the summary, and in a dry run every action.
        tell: shows a line that the user must not miss: what becomes of a robot that would fall; `print_line`
            by default.

    Returns:
        The number of the signal that ended the run; None if none did.

    Raises:
        ToyflowError: something failed on the way, a robot that falls could not be held after the run, or no
            action was ever sent.
        KeyboardInterrupt: a second signal came while robot or camera did not return.
    """
    path = options.log or LOGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{robot.name.replace(':', '-')}.jsonl"
    complete, patience = limits
    with RunLog(path) as log:
        log.write(
            "run", toyflow=__version__, time=time.time(), robot=robot.name, dry_run=options.dry_run,
            rate=rate, clock="stepped" if robot.stepped else "real", interface=robot.interface.as_dict(),
            units=dict(robot.units),
            action_names=robot.dimensions, limits=complete.as_dict(), patience=patience.as_dict(), **header,
        )  # fmt: skip
        own = None if is_shipped(options.limits) else options.limits
        smoother = smoother_of(file_limits(own, robot.dimensions), complete, rate)
        gate = Gate(robot, complete, patience, rate, robot.dimensions, not options.dry_run, smoother)
        clock = SteppedClock(rate) if robot.stepped else RealClock(rate)

        def on_step(step: int, action: Float[np.ndarray, "action"] | None, changes: tuple[str, ...]) -> None:
            if options.dry_run:
                sent = "nothing" if action is None else " ".join(f"{number:+.3f}" for number in action)
                print_line(f"step {step}: {sent} {', '.join(changes)}".rstrip())

        if options.dry_run:
            print_line(f"what would be sent: {', '.join(map(display_name, robot.dimensions))}")
        falls = robot.falls and not options.dry_run
        if falls:
            (tell or print_line)(announcement(robot, options.at_end))
        try:
            with StopSignals() as signals, _released(robot, signals), _end_logged(log):
                robot.connect()
                end = LettingGo(
                    gate, options.at_end, signals, tell or print_line, on_sent=logged(log, "park")
                )
                control = ControlLoop(robot, planning, handover, gate, clock, log, loop, on_step)
                orderly = False
                try:
                    if options.start_at is not None and not (options.dry_run or signals.asked):
                        with _stopped_by_errors(gate, planning):
                            _move_to_start(
                                gate, options.start_at, signals, tell or print_line, logged(log, "start")
                            )
                    with closing(control.run(signals)) as endings:
                        for ending in endings:
                            print_line(_ended(ending))
                    orderly = not signals.asked
                finally:
                    signals.finishing = True
                    if falls:
                        end.finish(orderly)
        except BaseException:
            with suppress(Exception):  # it would hide the first
                _summarise(path, print_line)
            raise
        summary = _summarise(path, print_line)
        if end.lost:
            raise ToyflowError(f"{robot.name} could not be held after the run: {end.lost}.")
    if signals.number is None and summary.is_idle:
        raise ToyflowError(f"no action was sent in {summary.steps} steps; the lines above tell why.")
    return signals.number


def _move_to_start(
    gate: Gate,
    start_at: Sequence[float],
    signals: StopSignals,
    tell: Callable[[str], object],
    on_sent: OnSent,
) -> None:
    """Raise ToyflowError unless the robot gets there, or a signal has come."""
    robot, clock = gate.robot, RealClock(gate.rate)
    motion, target = SlowMotion(gate, signals, clock, on_sent), np.array(start_at)
    tell(f"{robot.name} moves to where it starts: {motion.seconds(target):.0f} s")
    clock.start()
    why_not = motion.move(target)
    if why_not and not signals.asked:
        raise ToyflowError(f"{robot.name} is not where it starts: {why_not}.")


@contextmanager
def _stopped_by_errors(gate: Gate, planning: Planning) -> Iterator[None]:
    """Where the control loop has not begun and never will: bring the robot to rest, and end the planning."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            gate.stop()
        planning.close()
        raise


@contextmanager
def _end_logged(log: RunLog) -> Iterator[None]:
    """Log how a run ended, where it was before the control loop began, which logs it otherwise."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # it would hide the first
            if not read_log(log.path).of("end"):
                log.write("end", why=named_line(error), stopped=None)
        raise


@contextmanager
def _released(robot: Robot, signals: StopSignals) -> Iterator[None]:
    """Disconnect the robot in the end. What robots and planners raise becomes one line."""
    try:
        try:
            yield
        finally:
            signals.finishing = True
            robot.disconnect()
    except ToyflowError:
        raise
    except Exception as error:
        raise ToyflowError(f"the run ended by {named_line(error).rstrip('.')}.") from error


def _summarise(path: Path, print_line: Callable[[str], object]) -> Summary:
    print_line(f"log: {path} (toyflow robot-replay draws it)")
    summary = Summary.of(read_log(path))
    for line in summary.lines():
        print_line(line)
    return summary


def _ended(ending: Ending) -> str:
    late = f", {ending.late} of {ending.plans} plans late" if ending.late else ""
    score = "" if ending.score is None else f", score {ending.score:.3f}"
    return f"episode {ending.episode}: {ending.why} after {ending.steps} steps{score}{late}"
