"""Push-T's published demonstrations as a LeRobot data set.

    OUT/                    the data set, as LeRobot reads it: meta/, data/
    OUT/converted.json      what it was converted from, and where a policy is evaluated by default
    OUT/manifest.json       checksums of all files

OUT appears whole or not at all.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from toyflow.atomic import atomic_folder, checksum, remove_stale, write_json
from toyflow.errors import UsageError, unknown
from toyflow.machine import describe_environment
from toyflow.robot.data.converting.replay_buffer import ReplayBuffer, read_replay_buffer
from toyflow.robot.data.demo_source import CONVERTED
from toyflow.robot.data.demos.data_set_writer import Demonstration, check_lerobot, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.simulation.environments.pusht import PushT, PushTState
from toyflow.robot.simulation.environments.pusht.board import SIDE
from toyflow.robot.simulation.environments.pusht.pusht_environment import CAMERA, PROMPT, SUITE, full_state

FORMAT = 1
"""Version of converted.json's format."""
POSE = 5
"""Numbers of a published state: agent x, y, block x, y, angle."""
TURNS = 4 * np.pi
"""Angles beyond are not radians: the published ones are 0 to 2 pi."""
ENVIRONMENTS = {environment.name: environment for environment in (PushT, PushTState)}


@dataclass(frozen=True)
class Conversion:
    """A finished data set: its folder and its size."""

    out: Path
    episodes: int
    steps: int


def convert(sources: Sequence[Path], out: Path, environment: str = PushTState.name) -> Conversion:
    """Write Push-T's demonstrations as a LeRobot data set, for policies that act in `environment`.

    Args:
        sources: the authors' zarr archive, a folder or a zip; or npz files whose arrays belong together.
        out: a new or empty folder.
        environment: `pusht-state` for the whole state without images, `pusht` for images and the agent's
            position.

    Raises:
        UsageError: `out` is not free, another process is making it, LeRobot is not installed, or the sources
            cannot be converted; nothing was made.
    """
    if environment not in ENVIRONMENTS:
        raise unknown("environment of Push-T", environment, ENVIRONMENTS)
    check_lerobot()
    _check_free(out)
    interface = ENVIRONMENTS[environment].interface
    buffer = read_replay_buffer(sources, POSE, interface.action_dim, images=bool(interface.cameras))
    _check_units(buffer)
    side = 0 if buffer.images is None else buffer.images.shape[1]
    with _claimed(out), atomic_folder(out) as folder:
        write_data_set(folder, _demonstrations(buffer), interface, side)
        content = {
            "recipe": {"format": FORMAT, "environment": environment, "suite": SUITE, "tasks": [0]},
            "converted_from": [
                {"name": source.name, **({"sha256": checksum(source)} if source.is_file() else {})}
                for source in sources
            ],
            "made_on": describe_environment(),
        }
        write_json(folder / CONVERTED, content)
    return Conversion(out, len(buffer.ends), len(buffer.state))


def _check_units(buffer: ReplayBuffer) -> None:
    """Raise UsageError unless positions are in pixels of the board and the block's angle is in radians."""
    for name, values, low, high in (
        ("positions of the state", buffer.state[:, :4], 0.0, SIDE),
        ("actions", buffer.action, 0.0, SIDE),
        ("angles of the state", buffer.state[:, 4], -TURNS, TURNS),
    ):
        if values.min() < low or values.max() > high:
            raise UsageError(
                f"{name} are {values.min():g} to {values.max():g}; Push-T has pixels of 0 to {SIDE:g} and "
                "angles in radians."
            )


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; choose another --out, or remove it.")


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Lock `out` for this process, and remove what a killed one left. Raises UsageError."""
    path = out.parent / f".{out.name}.lock"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path).acquire(timeout=0)
    except Timeout:
        raise UsageError(f"another process is making {out}; wait for it, or choose another --out.") from None
    except OSError as error:
        raise UsageError(f"cannot write to {out.parent}: {error.strerror or error}.") from error
    with lock:
        try:
            _check_free(out)
            killed = out.parent.glob(f".{glob.escape(out.name)}.{'?' * 8}")
            remove_stale(each for each in killed if each.suffix != ".replaced")
            if out.exists():
                out.rmdir()  # empty
            yield
        finally:
            remove_stale([path])


def _demonstrations(buffer: ReplayBuffer) -> Iterator[Demonstration]:
    for rows in buffer.episodes:
        pose, action = buffer.state[rows], buffer.action[rows]
        if buffer.images is None:
            yield Demonstration(PROMPT, Trajectory({}, full_state(pose), action))
        else:
            yield Demonstration(PROMPT, Trajectory({CAMERA: buffer.images[rows]}, pose[:, :2], action))
