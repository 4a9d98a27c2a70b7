"""`toyflow robot-data convert`: published demonstrations by people as a LeRobot data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from toyflow.robot.data.converting import convert
from toyflow.robot.data.converting.converter import ENVIRONMENTS


def convert_data(sources: Sequence[Path], out: Path, environment: str, console: Console) -> None:
    """Convert Push-T's demonstrations, and say what was made.

    Args:
        sources: a zarr archive, a folder or a zip; or npz files whose arrays belong together.
        out: a new or empty folder.
        environment: `pusht-state` or `pusht`.
        console: where progress is printed.

    Raises:
        UsageError: the sources cannot be converted, or `out` is not free; nothing was made.
    """
    with console.status("converting"):
        made = convert(sources, out, environment)
    console.print(f"{made.episodes} episodes, {made.steps} steps: [bold]{escape(str(made.out))}[/]")
    reads = "" if ENVIRONMENTS[environment].interface.cameras else " --size mlp --cameras none --no-language"
    console.print(f"Train on it: toyflow robot-train --dataset {escape(str(made.out))}{reads}")
