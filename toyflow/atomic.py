"""Files and folders that are there whole or not at all, each with a checksum that is verified on reading."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toyflow.errors import ToyflowError

MANIFEST = "manifest.json"


class DamagedError(ToyflowError):
    """A file that toyflow wrote is missing, cut short or altered."""

    mend = "`toyflow runs prune --damaged --out FOLDER` removes damaged cells; a sweep makes them again."


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; on success it is flushed to disk and becomes `path`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; on success it gets a manifest of checksums and becomes `path`.

    If `path` has come to exist meanwhile, the one that was there first stays and this one is dropped.
    """
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        files = sorted(p for p in temporary.rglob("*") if p.is_file())
        manifest = {p.relative_to(temporary).as_posix(): checksum(p) for p in files}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        for file in [*files, temporary / MANIFEST]:
            _flush(file)
        temporary.chmod(0o777 & ~_umask())
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verified(folder: Path, name: str) -> Path:
    """Path of the file `name` in a folder made by `atomic_folder`, after its checksum was verified.

    Raises:
        DamagedError: it is missing or not what was written; the message names the file.
    """
    manifest = read_json(folder / MANIFEST)
    path = folder / name
    if not isinstance(manifest, dict) or name not in manifest:
        raise DamagedError(f"{folder / MANIFEST} is damaged: it does not list {name}.")
    if not path.is_file():
        raise DamagedError(f"{path} is missing.")
    if checksum(path) != manifest[name]:
        raise DamagedError(f"{path} is damaged: its checksum is not the one written with it.")
    return path


def read_json(path: Path) -> Any:
    """Parsed content of `path`; a DamagedError that names it where there is none."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except (ValueError, OSError) as error:
        raise DamagedError(f"{path} is damaged: {error}.") from error


def write_json(path: Path, content: Any) -> None:
    """`content` as JSON at `path`, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
