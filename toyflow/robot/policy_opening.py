"""Find a policy, a cell of a results folder or a LeRobot policy, and open it so that it can act."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from toyflow import plugins, scene_assets
from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.flow import Decoding, euler
from toyflow.machine import choose_device
from toyflow.parsing import parse_pairs
from toyflow.robot.interface import Interface
from toyflow.robot.lerobot import lerobot_format
from toyflow.robot.lerobot.imported import import_checkpoint, open_imported
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.planner import Planner
from toyflow.robot.policy.card import is_behind_server
from toyflow.robot.policy.checkpoint import find_checkpoint, load_policy
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.runtime.remote.addresses import RemoteOptions, check_no_web_page, is_remote
from toyflow.robot.runtime.serving import check_packages
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trials import Trials
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining

CLIENT_PACKAGES = ("websockets", "msgpack")
"""What asking a server needs."""


def find_policy(
    checkpoint: str,
    rename: str | None,
    out: Path,
    remote: RemoteOptions = RemoteOptions(),  # noqa: B008, which is frozen
    otherwise: Interface | None = None,
) -> StoredTraining:
    """Find a trained policy. One of LeRobot, or behind a server, becomes a cell of `out` first.

    Args:
        checkpoint: OUT/cells/KEY; a LeRobot policy: a folder, or a name on the hub; or servers' addresses,
            see `parse_addresses`.
        rename: renamed cameras of a LeRobot policy: POLICY_CAMERA=ROBOT_CAMERA, ...; None for none.
        out: the results folder for a policy of LeRobot or of a server.
        remote: how servers are asked.
        otherwise: cameras, state and action of a policy whose server does not say.

    Raises:
        UsageError: there is none, it cannot be loaded, or `rename` does not fit.

    Example:
        training = find_policy("results/robot/cells/KEY", None, Path("results/robot"))
        planner = ready_planner(training, Decoding(steps=1), device="cpu", threads=1)
    """
    cameras = _renamed(rename)
    check_no_web_page(checkpoint)
    if is_remote(checkpoint):
        if cameras:
            raise UsageError(
                "--rename is for LeRobot policies; --keys CAMERA=ENTRY names what a server reads."
            )
        return _served(checkpoint, remote, otherwise, out)
    lerobot = LeRobotCheckpoint.found(checkpoint)
    if cameras and lerobot is None:
        raise UsageError(
            "--rename is for LeRobot policies; this policy finds its cameras by their names in its training, "
            "and by those in its data."
        )
    return _stored(checkpoint, lerobot, cameras, out)


def find_policy_for_robot(
    checkpoint: str,
    rename: str | None,
    out: Path,
    remote: RemoteOptions = RemoteOptions(),  # noqa: B008, which is frozen
    otherwise: Interface | None = None,
) -> tuple[StoredTraining, dict[str, str]]:
    """Find a trained policy for a robot whose cameras may have other names.

    Args:
        checkpoint, rename, out, remote, otherwise: as for `find_policy`.

    Returns:
        The policy; and {robot camera: policy camera}, which the robot has to apply (see `RobotSettings`). It
        is empty for LeRobot's own types of policy, which rename cameras themselves.

    Raises:
        UsageError: as `find_policy`.
    """
    cameras = _renamed(rename)
    check_no_web_page(checkpoint)
    if is_remote(checkpoint):
        training = _served(checkpoint, remote, otherwise, out)
        return training, {robot: own for own, robot in cameras.items()}
    lerobot = LeRobotCheckpoint.found(checkpoint)
    if lerobot is not None and lerobot.kind != lerobot_format.TYPE:
        return _stored(checkpoint, lerobot, cameras, out), {}
    return _stored(checkpoint, lerobot, {}, out), {robot: own for own, robot in cameras.items()}


def open_planner(training: StoredTraining, device: torch.device, environment: str | None = None) -> Planner:
    """Load a trained or imported policy. It plans in one denoising step; `set_decoding` changes that.

    Args:
        training: the policy, from `find_policy`.
        device: where it computes.
        environment: the simulator that it acts in, or whose data it is asked about, as its actions are
            converted where a server answers in openpi's; None for a real robot and other data.

    Raises:
        UsageError: the cell is not a policy, or the policy cannot be loaded here.
        DamagedError: its weights are missing or altered.
    """
    if is_behind_server(training):
        check_packages("a policy behind a server", CLIENT_PACKAGES)
        from toyflow.robot.runtime.remote.remote_cells import open_server  # websockets is optional

        return open_server(training, environment)
    if "imported" in training.details and "policy" not in training.details:
        return open_imported(training, device)
    policy, objective = load_policy(training)
    return FlowPlanner(policy.to(device), objective)


def ready_planner(
    training: StoredTraining,
    decoding: Decoding | None,
    device: str,
    threads: int,
    environment: str | None = None,
) -> Planner:
    """Load a policy as it will act.

    Args:
        training: the policy, from `find_policy`.
        decoding: steps, sampler, grid and draws; None to leave it as it was opened: in one step, a server's
            in its own number.
        device: auto, cpu, cuda or mps.
        threads: processor threads of this process.
        environment: as for `open_planner`.

    Raises:
        UsageError: it cannot be loaded here, or not be decoded so.
        DamagedError: its weights are missing or altered.
    """
    torch.set_num_threads(threads)
    planner = open_planner(training, torch.device(choose_device(device)), environment)
    if decoding is not None:
        planner.set_decoding(decoding)
    return planner


def action_ranges(training: StoredTraining, planner: Planner) -> Mapping[str, Any]:
    """What is known of the actions that a policy was trained on, as `Limits.of_data` takes it: the policy's
    details, or the statistics in a LeRobot policy's own checkpoint."""
    return planner.checkpoint.action_ranges() if isinstance(planner, LeRobotPlanner) else training.details


def compile_planner(planner: Planner, largest_batch: int, continues: bool) -> None:
    """Let PyTorch compile a policy, which takes a minute or more.

    Args:
        planner: the policy.
        largest_batch: most observations that are planned for at once.
        continues: whether plans will go on from what is committed, which is compiled apart.

    Raises:
        UsageError: it cannot be compiled, or not on this machine.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns where there is no GPU
    planner.compile()
    # PyTorch compiles for one, for two and then, once sizes are seen to vary, for any number.
    for size in range(1, min(largest_batch, 3) + 1):
        seen, seeds = [planner.any_observation()] * size, [0] * size
        try:
            planner.plan(seen, seeds)
            if continues:
                planner.continue_plan(seen, seeds, [planner.any_commitment()] * size)
        except Exception as error:
            raise UsageError(
                f"--compile does not work here ({first_line(error)}); on a processor it needs a C++ "
                "compiler, on a GPU Triton."
            ) from error


def warnings_about(training: StoredTraining, planner: Planner) -> list[str]:
    """Warnings, a line each, before a policy moves a robot: not evaluated in this decoding, or only
    on assets that are not the suite's own. A simulator is named only where one has the policy's robot.

    Args:
        training: the policy.
        planner: the policy as it will act.
    """
    asked = planner.decoding
    done = [each.record for each in Store(training.folder.parent.parent).evaluations(training)]
    sampler = asked.sampler or euler.name
    same = [  # an objective that needs no sampler records none
        each
        for each in done
        if each.sampler in (None, sampler) and replace(each.decoding, sampler=asked.sampler) == asked
    ]
    if not same:
        others = ", ".join(dict.fromkeys(each.label for each in done))
        draws = f" --draws {asked.draws}" if asked.draws > 1 else ""
        grid = f" --grid {asked.grid}" if asked.grid else ""
        never = (
            f"This policy was never evaluated with {asked.label}{f', only with {others}' if others else ''}"
        )
        if not done and not _simulated(planner.interface):
            return [
                f"{never}, and no simulator that is installed has its robot: compare numbers of steps on the "
                "robot itself by `toyflow robot-run ... --steps 1,10 --blind`."
            ]
        return [
            f"{never}: try `toyflow robot-eval {training.folder} --steps {asked.steps}{grid}{draws}` before "
            "it moves a robot."
        ]
    trials = [Trials.parse(each.test_set) for each in same]
    caveats = [scene_assets.caveat(each.environment, each.assets) for each in trials]
    return [f"This policy was evaluated only {' and '.join(dict.fromkeys(caveats))}."] if all(caveats) else []


def _served(addresses: str, remote: RemoteOptions, otherwise: Interface | None, out: Path) -> StoredTraining:
    check_packages("a policy behind a server", CLIENT_PACKAGES)
    from toyflow.robot.runtime.remote.remote_cells import import_server  # websockets is optional

    return import_server(addresses, remote, otherwise, Store(out))


def _simulated(interface: Interface) -> bool:
    """Whether some simulator that is installed has the robot that a policy was made for."""
    for name in plugins.available("environments"):
        try:
            load_environment(name).interface.check_serves(interface, name)
        except ToyflowError:
            continue
        return True
    return False


def _stored(
    checkpoint: str, lerobot: LeRobotCheckpoint | None, cameras: dict[str, str], out: Path
) -> StoredTraining:
    return import_checkpoint(lerobot, cameras, Store(out)) if lerobot else find_checkpoint(Path(checkpoint))


def _renamed(text: str | None) -> dict[str, str]:
    """{policy camera: robot camera} of the text `front=image,wrist=image2`."""
    items = (text or "").split(",")
    cameras = parse_pairs(items, "--rename", "POLICY_CAMERA=ROBOT_CAMERA, such as front=image,wrist=image2")
    if len({*cameras.values()}) < len([*filter(str.strip, items)]):
        raise UsageError(f"--rename takes each camera once, of the policy and of the robot, not {text!r}.")
    return cameras
