"""`toyflow robot-setup yam`: install packages and OpenGL, get the model files, render an image."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import installed_version
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.installation import (
    image_row,
    install_missing,
    look,
    provide_opengl,
    seen_apart,
)
from toyflow.robot.simulation.environments.pip_commands import Run, run_command
from toyflow.robot.simulation.environments.yam import model_files
from toyflow.robot.simulation.environments.yam.yam_environment import Yam

PACKAGES = {"mujoco": "mujoco>=3.3.3,<3.9", model_files.REDUCER: "fast-simplification>=0.1.9"}
"""Requirement by module, as the extra `yam` has them."""

CHECK = "from toyflow.robot.simulation.environments.yam.yam_setup import print_check; print_check()"


def setup_yam(assets: Path | None = None, console: Console | None = None, run: Run = run_command) -> None:
    """Install what the YAM station needs, render an image, and print a summary. A second call takes seconds.

    Args:
        assets: must be None, as the station has none but those of the registry.
        run: runs the commands of pip and apt.

    Raises:
        UsageError: `assets` is given, or OpenGL is missing and cannot be installed.
        ToyflowError: an installation or the download failed, a disk is full, or no image came out.
    """
    if assets is not None:
        raise UsageError("the YAM station takes no --assets: its files come from the package registry.")
    console = console or Console()
    install_missing(PACKAGES, console, run)
    provide_opengl(console, run)
    if not model_files.is_complete(model_files.folder()):
        console.print("downloading the YAM station's files from the package registry (33 MB) ...")
        model_files.files().get(run)
    model_files.station_file()
    console.print("rendering an image ...")
    seen = seen_apart("the YAM station", CHECK)
    table = Table(show_header=False)
    for row in (
        ("packages", f"mujoco {installed_version('mujoco')}"),
        ("suites", ", ".join(f"{suite} ({len(Yam.tasks(suite))})" for suite in Yam.suites())),
        ("OpenGL", rendering.choose_backend()),
        ("files", f"{model_files.folder()}: {model_files.WHEEL.name} {model_files.WHEEL.version}"),
        image_row(seen),
    ):
        table.add_row(*row)
    console.print(table)


def print_check() -> None:
    """Render the first task, and print a summary as JSON."""
    try:
        seen = look(Yam, Yam.suites()[0], 0)
    except ToyflowError as error:
        raise SystemExit(str(error)) from error
    print(json.dumps(seen))
