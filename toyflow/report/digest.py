"""A digest of everything that a report was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from toyflow.atomic import MANIFEST


def digest_of(out: Path, folders: Iterable[Path]) -> str:
    """SHA-256 of the results in `folders`, which lie in `out`: of the manifests of their cells, which hold a
    checksum of every file, and of what was probed. It is the same wherever `out` lies."""
    files = [
        path
        for folder in folders
        for path in (*(folder / "cells").rglob(MANIFEST), *(folder / "probe").glob("*"))
        if path.is_file()
    ]
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(out).as_posix(), path) for path in files):
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
