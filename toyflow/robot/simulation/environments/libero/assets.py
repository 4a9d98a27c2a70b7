"""LIBERO's meshes, textures and scenes, which its package lacks: where they are, and how to get them."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from gzip import BadGzipFile
from importlib.resources import files
from lzma import LZMAError
from pathlib import Path

from toyflow import scene_assets
from toyflow.atomic import checksum
from toyflow.errors import UsageError, first_line
from toyflow.robot.simulation.environments.libero import package
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError, staged

HUB = "lerobot/libero-assets"
"""Data set on the Hugging Face hub."""

FOLDERS = (
    "articulated_objects",
    "scenes",
    "stable_hope_objects",
    "stable_scanned_objects",
    "textures",
    "turbosquid_objects",
)


def own_folder() -> Path:
    """Where LIBERO keeps downloaded assets, so that other programs find them, too."""
    return Path.home() / ".cache" / "libero" / "assets"


def find() -> Path:
    """The assets to use: $LIBERO_ASSETS; else those in LIBERO's package, or in its cache.

    Raises:
        UsageError: there are none, or LIBERO_ASSETS is not a tree of them.
    """
    if chosen := os.environ.get("LIBERO_ASSETS"):
        if not is_complete(Path(chosen)):
            raise UsageError(
                f"LIBERO_ASSETS={chosen} is not a complete tree of assets, which has {', '.join(FOLDERS)}."
            )
        return Path(chosen)
    places = [package.folder() / "assets", own_folder()]
    for place in places:
        if is_complete(place):
            return place
    raise UsageError(
        f"LIBERO's assets are missing (looked in {', '.join(map(str, places))}); "
        "`toyflow robot-setup libero` gets them."
    )


def is_complete(folder: Path) -> bool:
    """Whether a folder has every part of the assets, none empty and none half downloaded."""
    parts = all((folder / name).is_dir() and any((folder / name).iterdir()) for name in FOLDERS)
    return parts and not any((folder / ".cache").rglob("*.incomplete"))


def kind(folder: Path) -> str:
    """Whose files these are, as results record it: `scene_assets.WHOLE` where all that LIBERO's suites use
    are LIBERO's own, else `scene_assets.replaced` of those that differ or are missing. Reads 344 MB."""
    expected = checksums()
    differing = [name for name, digest in expected.items() if not _has(folder / name, digest)]
    return scene_assets.replaced(len(differing), len(expected)) if differing else scene_assets.WHOLE


def checksums() -> dict[str, str]:
    """SHA-256 of each of the files that LIBERO's suites use, by path in the tree."""
    listed = files("toyflow.robot.simulation.environments.libero").joinpath("asset_checksums.txt").read_text()
    return {name: digest for digest, name in (line.split("  ", 1) for line in listed.splitlines())}


def from_archive(archive: Path) -> Path:
    """Unpack a tar archive of assets, or copy a folder of them, into LIBERO's cache; returns that folder.

    Raises:
        UsageError: there is no such file, it is damaged, has unsafe paths, or does not hold the assets.
        ToyflowError: the cache cannot be written.
    """
    if not archive.exists():
        raise UsageError(f"there is no {archive}.")
    with _staged() as staging:
        if archive.is_dir():
            shutil.copytree(archive, staging, dirs_exist_ok=True)
        else:
            unpack_tar(archive, staging)
        root = root_of(staging, "scenes", is_complete)
        if root is None:
            raise UsageError(f"{archive} does not hold LIBERO's assets: {', '.join(FOLDERS)}.")
        lift(root, staging)
    return own_folder()


def from_hub() -> Path:
    """Download LIBERO's assets from the Hugging Face hub into LIBERO's cache; returns that folder.

    Raises:
        UnavailableError: the hub cannot be reached, or its copy is not complete.
        ToyflowError: the cache cannot be written. Nothing is left behind.
    """
    from huggingface_hub import snapshot_download  # heavy and optional

    with _staged() as staging:
        try:
            snapshot_download(HUB, repo_type="dataset", local_dir=staging)
        except Exception as error:  # its own, requests' or httpx's, by version
            raise UnavailableError(f"{HUB} cannot be downloaded: {first_line(error)}") from error
        shutil.rmtree(staging / ".cache", ignore_errors=True)
        if not is_complete(staging):
            raise UnavailableError(f"{HUB} is not complete: it does not hold {', '.join(FOLDERS)}.")
    return own_folder()


def _staged() -> AbstractContextManager[Path]:
    return staged(own_folder(), is_complete, "LIBERO's assets")


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar archive. Raises UsageError where it is damaged or has unsafe paths."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, BadGzipFile, LZMAError, zlib.error) as error:
        raise UsageError(f"{archive} cannot be unpacked: {first_line(error).rstrip(': .')}.") from error


def root_of(folder: Path, part: str, holds: Callable[[Path], bool]) -> Path | None:
    """Where in `folder` something unpacked lies: `folder` itself, or where a `part` of it is, if it `holds`;
    None where it is nowhere."""
    places = (folder, *(found.parent for found in sorted(folder.rglob(part))))
    return next(filter(holds, places), None)


def lift(root: Path, folder: Path) -> None:
    """Move what lies in `root`, somewhere in `folder`, to the top of `folder`."""
    if root != folder:
        for part in root.iterdir():
            part.rename(folder / part.name)


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and checksum(path) == digest
