"""The fingerprint of a data set: a hash of what training reads, kept until a file changes.

Hashing takes about 1.5 s per GB, so a fingerprint that took long is kept in CACHE/fingerprints, under the
state of the files: their paths, sizes and times.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.machine import cache_folder

if TYPE_CHECKING:  # heavy and optional
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

LOG = logging.getLogger(__name__)

KIND = "toyflow data set, 2"
"""Changes when the fingerprint covers something else."""
KEPT_ABOVE = 1.0
"""Seconds of hashing from which on a fingerprint is kept."""
SETTLED = 2.0
"""Seconds since the last change of a file after which another change is sure to alter its times."""
TOLD_AFTER, TOLD_EVERY = 2.0, 10.0
"""Seconds until a line says how far hashing is, and between two such lines."""
BLOCK = 1 << 20


class ContentHash:
    """A SHA-256 over named parts, each with its length, so that no two sequences of parts hash alike.

    Args:
        of: what is hashed, for messages.
        total: about how many bytes there are, for messages.

    >>> one, two = ContentHash("an example"), ContentHash("an example")
    >>> one.part("prompt", b"go left")
    >>> two.part("promp", b"tgo left")
    >>> one.hexdigest() == two.hexdigest()
    False
    """

    def __init__(self, of: str, total: int = 0) -> None:
        self._digest = hashlib.sha256(KIND.encode())
        self._of, self._total, self._done = of, total, 0
        # From the first part on, as finding the parts takes time of its own.
        self._began = self._tell_at = math.nan
        self.may_be_kept = True
        """False where a part lies outside of the files whose state tells a change."""

    def part(self, name: str, content: bytes | memoryview) -> None:
        """Add `content` under `name`."""
        self._head(name, len(content))
        self._add(content)

    def text(self, name: str, value: object) -> None:
        """Add the text of a value of plain types."""
        self.part(name, repr(value).encode())

    def array(self, name: str, values: np.ndarray) -> None:
        """Add an array: its type, shape and numbers."""
        self.part(f"{name} {values.dtype.str} {values.shape}", np.ascontiguousarray(values).tobytes())

    def file(self, name: str, path: Path) -> None:
        """Add the content of a file, block by block."""
        self._head(name, path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                self._add(block)

    def hexdigest(self) -> str:
        """The hash, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def seconds(self) -> float:
        """How long it has taken since the first part."""
        return time.monotonic() - self._began

    def _head(self, name: str, length: int) -> None:
        self._digest.update(f"\n{len(name)} {name} {length}\n".encode())

    def _add(self, content: bytes | memoryview) -> None:
        self._digest.update(content)
        self._done += len(content)
        now = time.monotonic()
        if math.isnan(self._began):
            self._began, self._tell_at = now, now + TOLD_AFTER
        if now > self._tell_at:
            self._tell_at = now + TOLD_EVERY
            LOG.warning(
                "%s is read for its fingerprint, once: %.1f of about %.1f GB so far.",
                self._of, self._done / 1e9, max(self._total, self._done) / 1e9,
            )  # fmt: skip


def hash_images(content: ContentHash, data: LeRobotDataset, name: str, feature: str) -> None:
    """Add, under `name`, the image files of a camera, which lie in the column `feature` of the tables."""
    for part in data.hf_dataset.data.column(feature).chunks:
        for image, path in zip(part.field("bytes"), part.field("path"), strict=True):
            if image.is_valid:
                content.part(name, memoryview(image.as_buffer()))
            else:
                content.may_be_kept = False
                content.file(name, Path(path.as_py()))


def hash_videos(content: ContentHash, data: LeRobotDataset, name: str, feature: str) -> None:
    """Add, under `name`, the videos of the camera `feature`, and where in them the frames of each episode
    are."""
    meta = data.meta
    files = [data.root / meta.get_video_file_path(each, feature) for each in range(meta.total_episodes)]
    places = {file: place for place, file in enumerate(dict.fromkeys(files))}
    content.text(f"files of {name}", [places[file] for file in files])
    content.text(f"starts in {name}", list(meta.episodes[f"videos/{feature}/from_timestamp"]))
    timestamps = data.hf_dataset.with_format("numpy")["timestamp"][:]
    content.array(f"times in {name}", np.asarray(timestamps, dtype=np.float64))
    for file in places:
        content.file(name, file)


class FilesState:
    """The files under a folder by path, size and times: equal as long as none is written, moved or replaced.

    Args:
        root: the folder; links in it are followed.
    """

    def __init__(self, root: Path) -> None:
        digest, self.bytes, self.changed = hashlib.sha256(f"{KIND} {root.resolve()}".encode()), 0, 0.0
        for folder, folders, names in os.walk(root, followlinks=True):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(OSError):  # removed meanwhile, or a link to nothing
                    state = path.stat()
                    facts = (str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
                    digest.update(repr(facts).encode())
                    self.bytes += state.st_size
                    self.changed = max(self.changed, state.st_mtime, state.st_ctime)
        self.key = digest.hexdigest()[:16]


def kept_fingerprint(root: Path, of: str, add: Callable[[ContentHash], None]) -> str:
    """First 12 hexadecimal digits of the hash of the parts that `add` adds, or those that were kept for the
    files under `root` as they are.

    Args:
        of: the data set, for messages.
    """
    state = FilesState(root)
    kept = cache_folder() / "fingerprints" / f"{state.key}.json"
    with suppress(DamagedError, KeyError):
        return str(read_sealed(kept)["fingerprint"])
    content = ContentHash(of, state.bytes)
    add(content)
    found = content.hexdigest()[:12]
    if content.may_be_kept and content.seconds > KEPT_ABOVE and time.time() - state.changed > SETTLED:
        with suppress(OSError):  # a cache that cannot be written to costs time alone
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(kept, {"fingerprint": found})
    return found
