"""openpi's wire format: msgpack, with numpy arrays as maps. Nothing is unpickled, sizes are bounded.

An array is `{b"__ndarray__": True, b"data": bytes, b"dtype": "<f4", b"shape": [10, 7]}`, a numpy scalar
`{b"__npgeneric__": True, b"data": number, b"dtype": "<f4"}`, as `openpi-client` 0.1.2 writes them. An array
of one text, such as `np.asarray(prompt)`, is read as that text. Server and client speak through this module.
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
"""Most maps and lists of a frame, an array counting as two: it bounds the memory that a small frame takes."""
TEXT = 1 << 14
"""Most bytes of a text."""
DIMENSIONS = 4
"""Most dimensions of an array."""
DTYPES = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
"""Booleans, integers and floats: no objects and no structures."""
TEXTS = re.compile(r"[<>|=]?[US][0-9]{1,5}")
"""Texts, of which an array holds one."""


def pack(message: Mapping[str, Any]) -> bytes:
    """Encode a message of plain values and numpy arrays as a frame."""
    return msgpack.Packer(default=_as_map).pack(message)


def unpack(frame: bytes) -> dict[str, Any]:
    """Decode a frame. Arrays are read-only views of the frame's bytes, numpy scalars become numbers, and
    arrays of one text that text.

    Raises:
        FrameFault: the frame is no map with texts as keys, or exceeds a limit. No other error is raised,
            whatever the bytes.
    """
    reader = _Reader()
    try:
        message = msgpack.unpackb(
            frame, object_hook=reader.read_map, list_hook=reader.read_list,
            max_array_len=ITEMS, max_map_len=ITEMS, max_str_len=TEXT, max_ext_len=0,
        )  # fmt: skip
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise FrameFault(f"the frame is no msgpack that toyflow reads: {first_line(error)}") from error
    if not isinstance(message, dict):
        raise FrameFault(f"the frame holds a {type(message).__name__}, not a map of entries.")
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


def _array(entries: Mapping[bytes, Any]) -> np.ndarray | str:
    data, shape, name = entries.get(b"data"), entries.get(b"shape"), entries.get(b"dtype")
    is_text = isinstance(name, str) and TEXTS.fullmatch(name) is not None and shape in ([], [1])
    dtype = np.dtype(str(name)) if is_text else _dtype(name)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise FrameFault(f"an array's shape is a list of whole numbers, not {shape!r:.80}.")
    if len(shape) > DIMENSIONS:
        raise FrameFault(f"an array has at most {DIMENSIONS} dimensions, not {len(shape)}.")
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        has = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise FrameFault(f"an array of shape {shape} and dtype {dtype} does not have {has} of data.")
    if is_text:
        return _text(data, dtype)
    return np.ndarray(shape, dtype, buffer=data)


def _text(data: bytes, dtype: np.dtype[Any]) -> str:
    if len(data) > TEXT:
        raise FrameFault(f"a text has at most {TEXT} bytes, not {len(data)}.")
    coding = "utf-8" if dtype.kind == "S" else f"utf-32-{'be' if dtype.byteorder == '>' else 'le'}"
    try:
        return data.decode(coding).rstrip("\0")
    except ValueError as error:
        raise FrameFault(f"a text of dtype {dtype} cannot be decoded: {first_line(error)}") from error


def _number(entries: Mapping[bytes, Any]) -> bool | int | float:
    _dtype(entries.get(b"dtype"))
    number = entries.get(b"data")
    if not isinstance(number, (bool, int, float)):
        raise FrameFault(f"a numpy scalar holds a number, not {number!r:.40}.")
    return number


def _dtype(name: object) -> np.dtype[Any]:
    if not isinstance(name, str) or not DTYPES.fullmatch(name):
        raise FrameFault(
            f"the dtype of an array is of booleans, whole numbers or floats, such as |u1 or <f4, or of one "
            f"text, not {name!r:.40}."
        )
    return np.dtype(name)


def _as_map(value: object) -> object:
    if isinstance(value, np.ndarray):
        kind = {b"__ndarray__": True, b"data": value.tobytes()}
        return {**kind, b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")
