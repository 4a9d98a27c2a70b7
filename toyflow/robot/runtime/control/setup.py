"""Choices made before a robot moves: rate, planning interval, limits, and whether robot and policy fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toyflow.errors import UsageError
from toyflow.robot.handover import check_overlap, usual_replan
from toyflow.robot.interface import Interface
from toyflow.robot.limits import Limits, Patience, is_guess
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.control.limits_file import is_shipped, read_limits
from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.control.planning import Planning, SteppedPlanning, ThreadedPlanning
from toyflow.robot.runtime.robots.base import Robot, RobotSettings

WARM_PLANS = 3
PROMPTS_SHOWN = 3


def choose_rate(robot: Robot, policy: Interface, asked: float | None) -> float:
    """Actions per second: `asked`, else the robot's, else the policy's.

    Raises:
        UsageError: none of them is known, or the robot does not fit the policy: it lacks a camera, has other
            dimensions, or runs at another rate that was not asked for.
    """
    rate = asked or robot.interface.fps or policy.fps
    if not rate:
        raise UsageError(f"neither {robot.name} nor the policy says how many steps per second: use --rate.")
    wanted = replace(policy, fps=0) if asked else policy
    replace(robot.interface, fps=rate).check_serves(wanted, robot.name)
    return rate


def choose_replan(
    robot: Robot, planner: Planner, asked: int | None, handover: str, latency_steps: int
) -> int:
    """Steps from one plan's observation to the next one's.

    As asked; else 1 for an ensemble; else `Planner.replan`, but early enough that a plan is there before the
    last one ends: in real time, and with `rtc`, at half the horizon at the latest, in a simulator
    `latency_steps` before its end.

    Raises:
        UsageError: more steps were asked for than the horizon has, or fewer than 1, or with `rtc` so many
            that nothing is left of a chunk.
    """
    if asked is not None:
        if not 1 <= asked <= planner.horizon:
            raise UsageError(f"--replan must be 1 to the horizon, {planner.horizon}, not {asked}.")
        replan = asked
    else:
        latest = planner.horizon - latency_steps if robot.stepped else planner.horizon // 2
        replan = usual_replan(planner.replan, handover, latest, planner.horizon)
    check_overlap(handover, replan, planner.horizon, latency_steps)
    return replan


def check_latency(robot: Robot, latency_steps: int) -> None:
    """Raise UsageError for a latency in steps on a robot in real time, whose plans take what they take."""
    if latency_steps and not robot.stepped:
        raise UsageError(f"--latency-steps is for simulators; {robot.name} has a clock of its own.")


def check_moves(robot: Robot, dry_run: bool, start_at: Sequence[float] | None = None) -> None:
    """Raise UsageError where a robot that takes no actions is to move, or `start_at` is no action of it."""
    if start_at is not None and robot.stepped:
        raise UsageError(f"--start-at is for robots in real time; {robot.name} starts where its states say.")
    if start_at is not None and len(start_at) != robot.interface.action_dim:
        raise UsageError(
            f"--start-at has {len(start_at)} numbers, an action of {robot.name} "
            f"{robot.interface.action_dim}: {', '.join(robot.dimensions)}."
        )
    if start_at is not None and robot.limits.lower is not None and robot.limits.upper is not None:
        for name, low, place, high in zip(
            robot.dimensions, robot.limits.lower, start_at, robot.limits.upper, strict=True
        ):
            if place < low or place > high:
                raise UsageError(
                    f"--start-at: {name} goes from {low:g} to {high:g} on {robot.name}, not to {place:g}."
                )
    if robot.read_only and not dry_run:
        raise UsageError(
            f"{robot.name} is read-only, as its configuration says: --set read_only=false lets it move, "
            "--dry-run prints what it would be sent."
        )


def start_planning(robot: Robot, planner: Planner, latency_steps: int, continues: bool = False) -> Planning:
    """Start what makes a robot's plans: for a simulator at once, with a latency in steps; else in a thread.

    In real time the policy plans a few times first, as its first plans are the slowest.

    Args:
        continues: whether plans go on from what is committed, see `Handover`.

    Raises:
        UsageError: the policy cannot.
    """
    if continues:
        planner.check_continues()
    if robot.stepped:
        return SteppedPlanning(planner, latency_steps)
    blank = [planner.any_observation()]
    for _ in range(WARM_PLANS):
        planner.plan(blank, [0])
        if continues:
            planner.continue_plan(blank, [0], [planner.any_commitment()])
    return ThreadedPlanning(planner)


def policy_limits(robot: Robot, details: Mapping[str, Any], trained_at: float, rate: float) -> Limits:
    """The narrower of the robot's limits and those of the training data.

    A simulator's own limits come first, since nothing in it can break.

    Args:
        details: what is known of the data's actions; see `Limits.of_data`.
        trained_at: actions per second of the training data; 0 if unknown, which counts as `rate`.
    """
    data = Limits.of_data(details).resampled(trained_at or rate, rate)
    return robot.limits.or_else(data) if robot.stepped else robot.limits.within(data)


def replay_limits(robot: Robot, recording: Recording, rate: float) -> Limits:
    """The narrower of the robot's limits and those of the recorded run."""
    unlimited = {"lower": -math.inf}
    recorded = Limits(
        **{
            kind: None
            if values is None
            else np.array([unlimited.get(kind, math.inf) if value is None else value for value in values])
            for kind, values in recording.header["limits"].items()
        }
    )
    return robot.limits.within(recorded.resampled(recording.header["rate"], rate))


def take_shipped(robot: Robot, file: Path | None) -> Path | None:
    """Make limits that toyflow ships those of the robot, as if its driver had said them.

    Args:
        robot: not yet connected.
        file: what the user chose, see `find_limits`.

    Returns:
        The user's own file; None where there is none.

    Raises:
        UsageError: the limits are of other joints.
    """
    if file is None or not is_shipped(file):
        return file
    robot.limits = robot.limits.within(read_limits(file, robot.dimensions)[0])
    return None


def final_limits(robot: Robot, known: Limits, file: Path | None, rate: float) -> tuple[Limits, Patience]:
    """Complete limits: those of the limits file, else the `known` ones, else derived from these.

    A simulator is never called stale, and holds at once: its time passes only when it is sent something, and
    at rest its images are the same.

    Raises:
        UsageError: the file is wrong, or limits are missing or contradict each other.
    """
    patience, names = Patience(), robot.dimensions
    if file is not None:
        chosen, patience = read_limits(file, names)
        known = chosen.or_else(known)
    if robot.stepped:
        patience = replace(patience, hold_after=0.0, stale_after=math.inf)
    return known.completed(rate, names), patience


def policy_warnings(
    robot: Robot, details: Mapping[str, Any], prompt: str, limits_file: Path | None
) -> list[str]:
    """What to know before a policy drives a robot in real time, one line each; nothing for a simulator.

    Args:
        details: `StoredTraining.details` of the policy, and what else is known of its data's actions.
        prompt: what the robot's user gave; may be empty.
        limits_file: the user's limits file; without one, limits may be guessed.
    """
    if robot.stepped:
        return []
    warnings = []
    if details.get("policy", {}).get("language") and not prompt:
        learned = ", ".join(map(repr, details.get("prompts", ())[:PROMPTS_SHOWN]))
        hint = f", such as {learned}" if learned else ""
        warnings.append(f"The policy reads a prompt; name one with --prompt{hint}.")
    if is_guess(details) and limits_file is None:
        warnings.append(
            "The range of the policy's training actions is not known: limits are the robot's own, "
            "and a guess from the actions' mean and standard deviation. Set others by --limits FILE, or "
            "take them from demonstrations by --limits-from DATASET."
        )
    return warnings


def replay_warnings(recording: Recording) -> list[str]:
    """What to know before a log's actions are sent again, one line each."""
    warnings = [f"The log is damaged: {recording.damage}."] if recording.damage else []
    if recording.header["dry_run"]:
        warnings.append("The log is of a dry run: no robot has ever carried out these actions.")
    return warnings


def replay_settings(recording: Recording, robot: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `RobotSettings` for a replay: those `given`, else the recorded run's.

    A robot of another name inherits neither the recorded robot's options nor its cameras.
    """
    header = recording.header
    left_out = () if header["robot"] == robot else ("options", "cameras")
    inherited = {name: value for name, value in header["settings"].items() if name not in left_out}
    settings = {**inherited, **{name: value for name, value in given.items() if value != {}}}
    return {**settings, "states": tuple(settings.get("states", ()))}


def recorded_robot(recording: Recording, settings: Mapping[str, Any]) -> RobotSettings:
    """Settings of a robot that is to replay a log."""
    header = recording.header
    interface, names = Interface.from_dict(header["interface"]), tuple(header["action_names"])
    return RobotSettings(policy=interface, action_names=names, **settings)


def check_same_action(robot: Robot, recording: Recording) -> None:
    """Raise UsageError unless the robot's action has the dimensions of the log's."""
    own, recorded = robot.dimensions, tuple(recording.header["action_names"])
    if own != recorded:
        raise UsageError(
            f"{robot.name} takes actions of {len(own)} dimensions ({', '.join(own)}); the log was recorded "
            f"on {recording.header['robot']} with {len(recorded)} ({', '.join(recorded)})."
        )
