"""Push-T's published demonstrations as a LeRobot data set.

    OUT/                    the data set, as LeRobot reads it: meta/, data/
    OUT/converted.json      what it was converted from, and where a policy is evaluated by default
    OUT/manifest.json       checksums of all files

OUT appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toyflow.atomic import atomic_folder, checksum, remove_stale, write_json
from toyflow.errors import UsageError, unknown
from toyflow.machine import describe_environment
from toyflow.robot.data.converting.replay_buffer import ReplayBuffer, read_replay_buffer
from toyflow.robot.data.demo_source import CONVERTED
from toyflow.robot.data.demos.data_set_writer import Demonstration, check_lerobot, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.simulation.environments.pusht import PushT, PushTState
from toyflow.robot.simulation.environments.pusht.pusht_environment import CAMERA, PROMPT, SUITE, full_state

FORMAT = 1
"""Version of converted.json's format."""
POSE = 5
"""Numbers of a published state: agent x, y, block x, y, angle."""
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
        UsageError: `out` is not free, LeRobot is not installed, or the sources cannot be converted; nothing
            was made.
    """
    if environment not in ENVIRONMENTS:
        raise unknown("environment of Push-T", environment, ENVIRONMENTS)
    check_lerobot()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; choose another --out, or remove it.")
    interface = ENVIRONMENTS[environment].interface
    buffer = read_replay_buffer(sources, POSE, interface.action_dim, images=bool(interface.cameras))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {out.parent}: {error.strerror or error}.") from error
    remove_stale(out.parent.glob(f".{out.name}.{'?' * 8}"))  # of a conversion that was killed
    side = 0 if buffer.images is None else buffer.images.shape[1]
    if out.exists():
        out.rmdir()  # empty
    with atomic_folder(out) as folder:
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


def _demonstrations(buffer: ReplayBuffer) -> Iterator[Demonstration]:
    for rows in buffer.episodes:
        pose, action = buffer.state[rows], buffer.action[rows]
        if buffer.images is None:
            yield Demonstration(PROMPT, Trajectory({}, full_state(pose), action))
        else:
            yield Demonstration(PROMPT, Trajectory({CAMERA: buffer.images[rows]}, pose[:, :2], action))
