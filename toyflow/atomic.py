"""Files and folders that appear whole or not at all, with checksums that are verified on reading.

What is written survives `kill -9` and a power cut: a file's content is flushed to disk before the file gets
its name, and the folder that holds the name after.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toyflow.errors import ToyflowError

MANIFEST = "manifest.json"
SEAL = "sha256"
"""The entry of a sealed JSON object that is the checksum of the others."""


class DamagedError(ToyflowError):
    """A file that toyflow wrote is missing, cut short or altered.

    Args:
        message: what is damaged, and how.
        hint: what to do; the command line prints it after the message.
    """

    hint = (
        "If it is a result, `toyflow runs prune --damaged --out FOLDER` deletes it, and the same sweep makes "
        "it again."
    )

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; on success it is flushed to disk and renamed to `path`."""
    with _named(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & _PERMISSIONS)
            temporary.replace(path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary folder to fill; on success it gets a manifest of checksums and is renamed to `path`.

    If another process has made `path` meanwhile, that one stays and this one is dropped. With `replace`, a
    folder that lies at `path` gives way, once all of this one is on disk.
    """
    replaced = path.with_name(f".{path.name}.replaced")
    with _named(path):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            files = sorted(p for p in temporary.rglob("*") if p.is_file())
            (temporary / MANIFEST).write_text(_json(_sealed(_checksums(temporary, files))))
            for file in [*files, temporary / MANIFEST]:
                file.chmod(0o666 & _PERMISSIONS)  # some libraries write for their owner alone
                _flush(file)
            temporary.chmod(_PERMISSIONS)
            for folder in [p for p in temporary.rglob("*") if p.is_dir()] + [temporary]:
                _flush(folder)
            if replace:
                remove_stale([replaced])
                path.rename(replaced)
            try:
                temporary.rename(path)
            except OSError:
                if replace:
                    replaced.rename(path)
                if replace or not path.is_dir():
                    raise
            else:
                _flush(path.parent)
                remove_stale([replaced] if replace else [])
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, files: Iterable[Path]) -> None:
    """Write the manifest of a folder whose files appeared one by one."""
    write_sealed(folder / MANIFEST, _checksums(folder, files))


def manifest_of(folder: Path) -> dict[str, str]:
    """Checksums of a folder's files, by name, from its manifest.

    Raises:
        DamagedError: the manifest is missing or not what was written.
    """
    return read_sealed(folder / MANIFEST, DamagedError.hint)


def verified(folder: Path, name: str) -> Path:
    """Path of the file `name` in a folder with a manifest, after its checksum was verified.

    Raises:
        DamagedError: it is missing or not what was written; the message names the file.
    """
    return _verified(folder, name, manifest_of(folder))


def _verified(folder: Path, name: str, manifest: Mapping[str, str]) -> Path:
    path = folder / name
    if name not in manifest:
        raise DamagedError(f"{folder / MANIFEST} does not list {name}.")
    if not path.is_file():
        raise DamagedError(f"{path} is missing.")
    if checksum(path) != manifest[name]:
        raise DamagedError(f"{path} is damaged: its checksum is not the one written with it.")
    return path


def read_json(path: Path) -> Any:
    """Parsed content of `path`. Raises DamagedError, which names it, if it is missing or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {error}.") from error


def write_json(path: Path, content: Any) -> None:
    """`content` as JSON at `path`, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(_json(content))


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, with its own checksum as one more entry, atomically."""
    write_json(path, _sealed(content))


def read_sealed(path: Path, hint: str = "Delete it if its contents can be regenerated.") -> dict[str, Any]:
    """What `write_sealed` wrote. Raises DamagedError, with `hint`, for anything else."""
    try:
        content = read_json(path)
    except DamagedError as error:
        raise DamagedError(str(error), hint) from None
    if not isinstance(content, dict) or content.pop(SEAL, None) != _seal(content):
        raise DamagedError(f"{path} is damaged: its checksum is not the one written with it.", hint)
    return content


def verify_all(folder: Path, hint: str) -> None:
    """Check every file of a folder made by `atomic_folder`.

    Raises:
        DamagedError: with `hint`; it names the first file that is not as it was written.
    """
    try:
        manifest = manifest_of(folder)
        for name in manifest:
            _verified(folder, name, manifest)
    except DamagedError as error:
        raise DamagedError(str(error), hint) from None


def remove_stale(paths: Iterable[Path]) -> None:
    """Delete files and folders that killed processes left half-written; what cannot be deleted stays."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add `path` to an error without a file name, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _checksums(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): checksum(file) for file in files}


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, SEAL: _seal(content)}


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    """Flush a file's content, or a folder's names, to disk.

    Some systems open no folders (Windows), or cannot flush them (some network file systems), and say so with
    an error of their own choice. Then only an error of the disk itself counts.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not path.is_dir() or error.errno in (errno.EIO, errno.ENOSPC):
            raise


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


_PERMISSIONS = 0o777 & ~_read_umask()
"""The umask's, for new folders; read once, as reading the umask sets it for a moment."""
