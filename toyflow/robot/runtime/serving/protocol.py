"""openpi's frames: msgpack, with numpy arrays as maps. Nothing is unpickled, and little is allocated.

An array is `{b"__ndarray__": True, b"data": bytes, b"dtype": "<f4", b"shape": [10, 7]}`, a numpy scalar
`{b"__npgeneric__": True, b"data": number, b"dtype": "<f4"}`, as `openpi-client` 0.1.2 writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

from toyflow.errors import first_line
from toyflow.robot.runtime.serving.faults import FrameFault

ITEMS = 256
"""Most entries of one map or list."""
CONTAINERS = 256
"""Most maps and lists of a frame; an array is two. What is not an array can so not grow far beyond its
bytes."""
TEXT = 1 << 14
"""Most bytes of a text."""
DIMENSIONS = 4
"""Most dimensions of an array."""
DTYPES = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
"""Booleans, whole numbers and floats: no objects, structures or texts."""


def pack(message: Mapping[str, Any]) -> bytes:
    """A frame of a message of plain values and numpy arrays."""
    return msgpack.Packer(default=_as_map).pack(message)


def unpack(frame: bytes) -> dict[str, Any]:
    """The message of a frame. Its arrays are read-only views of their bytes, numpy scalars are numbers.

    Raises:
        FrameFault: it is no map with text as keys, or exceeds a limit; whatever the bytes.
    """
    reader = _Reader()
    try:
        message = msgpack.unpackb(
            frame, object_hook=reader.read_map, list_hook=reader.read_list,
            max_array_len=ITEMS, max_map_len=ITEMS, max_str_len=TEXT, max_ext_len=0,
        )  # fmt: skip
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise FrameFault(f"the frame is no msgpack that this server reads: {first_line(error)}") from error
    if not isinstance(message, dict):
        raise FrameFault(
            f"the frame holds a {type(message).__name__}, not a map of an observation's entries."
        )
    return message


class _Reader:
    def __init__(self) -> None:
        self.containers = 0

    def read_map(self, entries: dict[Any, Any]) -> Any:
        self._count()
        if b"__ndarray__" in entries:
            return _array(entries)
        if b"__npgeneric__" in entries:
            return _number(entries)
        for key in entries:
            if not isinstance(key, str):
                raise FrameFault(f"the keys of a map are texts, not {key!r:.40}.")
        return entries

    def read_list(self, items: list[Any]) -> list[Any]:
        self._count()
        return items

    def _count(self) -> None:
        self.containers += 1
        if self.containers > CONTAINERS:
            raise FrameFault(f"a frame has at most {CONTAINERS} maps and lists; send numbers as arrays.")


def _array(entries: Mapping[bytes, Any]) -> np.ndarray:
    data, shape = entries.get(b"data"), entries.get(b"shape")
    dtype = _dtype(entries.get(b"dtype"))
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise FrameFault(f"an array's shape is a list of whole numbers, not {shape!r:.80}.")
    if len(shape) > DIMENSIONS:
        raise FrameFault(f"an array has at most {DIMENSIONS} dimensions, not {len(shape)}.")
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        has = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise FrameFault(f"an array of shape {shape} and dtype {dtype} does not have {has} of data.")
    return np.ndarray(shape, dtype, buffer=data)


def _number(entries: Mapping[bytes, Any]) -> bool | int | float:
    _dtype(entries.get(b"dtype"))
    number = entries.get(b"data")
    if not isinstance(number, (bool, int, float)):
        raise FrameFault(f"a numpy scalar holds a number, not {number!r:.40}.")
    return number


def _dtype(name: object) -> np.dtype[Any]:
    if not isinstance(name, str) or not DTYPES.fullmatch(name):
        raise FrameFault(
            f"the dtype of an array is of booleans, whole numbers or floats, such as |u1 or <f4, not "
            f"{name!r:.40}."
        )
    return np.dtype(name)


def _as_map(value: object) -> object:
    if isinstance(value, np.ndarray):
        kind = {b"__ndarray__": True, b"data": value.tobytes()}
        return {**kind, b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")
