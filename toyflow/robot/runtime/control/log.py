"""A run's log: JSON lines, each with a checksum and written at once, so that it is readable after kill -9.

Every line ends in `"crc"`: the CRC-32 of its text before that, continued from the CRC of the line before, so
that a line that is altered, missing or cut short is detected. A power cut may cost the last seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation


class RunLog:
    """Writes lines to a new file; use as a context.

    Raises:
        UsageError: the file exists, or cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            if isinstance(error, FileExistsError) and path.exists():
                raise UsageError(
                    f"{path} exists; a log is never overwritten: name another file by --log."
                ) from None
            raise UsageError(f"the log {path} cannot be created: {error.strerror}.") from error
        self._crc = 0

    def write(self, kind: str, **values: Any) -> None:
        """Write a line. Arrays become lists, and their numbers that are not finite null."""
        text = json.dumps({"kind": kind, **values}, default=_json, separators=(",", ":"), allow_nan=False)
        body = text[:-1].encode()
        self._crc = zlib.crc32(body, self._crc)
        line = b'%s,"crc":"%08x"}\n' % (body, self._crc)
        while line:  # where the disk is nearly full, only a part may be written
            line = line[self._file.write(line) :]

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


class Recording(NamedTuple):
    """The content of a log.

    Attributes:
        lines: those before the first damaged one, in order; the first is of kind `run`.
        damage: what is wrong with the rest; None if nothing is.
    """

    path: Path
    lines: list[dict[str, Any]]
    damage: str | None

    @property
    def header(self) -> Mapping[str, Any]:
        """The first line: the robot, its limits and the run's settings."""
        return self.lines[0]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind."""
        return [line for line in self.lines if line["kind"] == kind]


def read_log(path: Path) -> Recording:
    """Read the log at `path`, up to the first line whose checksum is wrong.

    Raises:
        UsageError: the file cannot be read, or its first line is damaged or no log's.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the log {path} cannot be read: {error.strerror}.") from error
    lines: list[dict[str, Any]] = []
    crc, damage = 0, None
    for number, line in enumerate(raw.splitlines(keepends=True), 1):
        body, mark, rest = line.rpartition(b',"crc":"')
        crc = zlib.crc32(body, crc)
        if not mark or rest != b'%08x"}\n' % crc:
            damage = f"line {number} is damaged or cut short; what follows is not read"
            break
        lines.append(json.loads(body + b"}"))
    if not lines or lines[0]["kind"] != "run":
        raise UsageError(f"{path} is no log of `toyflow robot-run`, or its first line is damaged.")
    return Recording(path, lines, damage)


STATE_PART = "state"
"""What `Digests.freshness` calls the state, beside the names of cameras."""


class Digests(NamedTuple):
    """BLAKE2b hashes of an observation's parts, 16 hexadecimal digits each."""

    cameras: dict[str, str]
    state: str

    @classmethod
    def of(cls, observation: Observation) -> Digests:
        """Hash each image, and the state."""
        cameras = {camera: _digest(image) for camera, image in observation.images.items()}
        return cls(cameras, _digest(observation.state))

    @property
    def freshness(self) -> dict[str, str]:
        """The hashes that show whether observations are still updated: the cameras', whose noise never
        repeats, or the state's if there is no camera."""
        return self.cameras or {STATE_PART: self.state}


def _digest(values: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=8).hexdigest()


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(number) if math.isfinite(number) else None for number in value]
    raise TypeError(f"a log cannot hold a {type(value).__name__}")
