"""`toyflow robot-setup`: install what a simulator needs."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from toyflow.errors import unknown
from toyflow.robot.simulation.environments.libero.libero_setup import (
    setup_libero,
    setup_plus,
    setup_pro,
)
from toyflow.robot.simulation.environments.yam.yam_setup import setup_yam


def set_up(environment: str, assets: Path | None, console: Console) -> None:
    """Install a simulator: its packages, OpenGL and assets; then render a frame.

    Args:
        environment: libero; libero-pro or libero-plus, which are LIBERO with the benchmark LIBERO-Pro or
            LIBERO-Plus; or yam.
        assets: an archive or a folder with the simulator's assets; None for those that are there,
            the registry's, or the hub's. Of libero-plus it is that benchmark's archive.
        console: where progress is printed.

    Raises:
        UsageError: a simulator that needs no setting up or is unknown, or assets that are none.
        ToyflowError: an installation failed.
    """
    setups = {"libero": setup_libero, "libero-pro": setup_pro, "libero-plus": setup_plus, "yam": setup_yam}
    if environment not in setups:
        raise unknown("environment to set up", environment, setups)
    setups[environment](assets, console)
