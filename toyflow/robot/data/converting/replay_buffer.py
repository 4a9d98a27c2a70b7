"""Reads the replay buffers in which Diffusion Policy's demonstrations are published: one array per feature
with all episodes end to end, and the ends of episodes. Files of strangers: pickled data are refused, never
loaded.

    SOURCE.zarr/data/{state,action,img}, SOURCE.zarr/meta/episode_ends     a folder, or a zip of one
    SOURCE.npz: state, action, img, episode_ends or ends                   or several of these together
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from toyflow.errors import UsageError, first_line

STATE, ACTION, IMAGES, ENDS = "state", "action", "img", "episode_ends"
NAMES = {STATE: STATE, ACTION: ACTION, IMAGES: IMAGES, ENDS: ENDS, "ends": ENDS}
"""Arrays that are read, and what toyflow calls them."""
CODECS = ("blosc", "zlib", "gzip", "bz2", "lzma", "lz4", "zstd")
"""Compressors of zarr arrays that are opened; others, such as `pickle`, could run code."""
BLOSC, BLOSC_HEADER, BLOSC_SIZE_AT = "blosc", 16, 12
"""A codec whose decompressor reads beyond a part that is cut off; where in a part's header its size is."""
NUMBERS = "fiu"
"""Kinds of NumPy's dtypes that are numbers."""
MEMORY_SHARE = 0.5
"""Of the machine's memory, what the arrays may take: some are converted, and exist twice."""


@dataclass(frozen=True)
class ReplayBuffer:
    """Episodes end to end.

    Attributes:
        state, action: a row per control step.
        images: RGB in 0..255; None where the source has none.
        ends: where each episode ends: the number of steps up to and with its last.
    """

    state: Float32[np.ndarray, "steps state"]
    action: Float32[np.ndarray, "steps action"]
    ends: Int64[np.ndarray, "episodes"]
    images: UInt8[np.ndarray, "steps height width 3"] | None = None

    @property
    def episodes(self) -> list[slice]:
        """The rows of each episode."""
        return [slice(a, b) for a, b in zip([0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=True)]


def read_replay_buffer(
    sources: Sequence[Path], state_dim: int, action_dim: int, images: bool
) -> ReplayBuffer:
    """Read and check a replay buffer.

    Args:
        sources: a zarr archive, or files whose arrays belong together.
        state_dim, action_dim: numbers of a state and of an action that it must have.
        images: whether to read images.

    Raises:
        UsageError: a source cannot be read or is cut off, holds pickled data, lacks an array, or its arrays
            do not fit together or into memory; in one line.
    """
    wanted = {name for name, array in NAMES.items() if images or array != IMAGES}
    arrays: dict[str, np.ndarray] = {}
    for source in sources:
        for name, array in _read(source, wanted):
            if NAMES[name] in arrays:
                raise UsageError(f"{source}: {name} is there twice; convert one of them.")
            arrays[NAMES[name]] = array
    where = ", ".join(map(str, sources))
    needed = [STATE, ACTION, ENDS, *([IMAGES] if images else [])]
    if missing := [name for name in needed if name not in arrays]:
        raise UsageError(
            f"{where} has no {', '.join(missing)}; found: {', '.join(sorted(arrays)) or 'nothing'}."
        )
    return _checked(where, arrays, state_dim, action_dim)


def _read(source: Path, wanted: set[str]) -> list[tuple[str, np.ndarray]]:
    """The wanted arrays of a source, by their names."""
    if not source.exists():
        raise UsageError(f"{source} does not exist.")
    try:
        if not source.is_dir() and not zipfile.is_zipfile(source):
            raise UsageError(f"{source} is neither a zarr archive nor an npz file, or it is cut off.")
        files = _Files(source)
        if source.is_dir() or files.named(".zarray"):
            return _read_zarr(files, wanted)
        return _read_npz(files, wanted)
    except UsageError:
        raise
    except Exception as error:  # of the codecs, each with errors of its own
        raise UsageError(f"{source} cannot be read, it may be cut off: {first_line(error)}.") from error


class _Files:
    """The files of a folder or a zip.

    Attributes:
        source: the folder or the zip.
        sizes: unpacked bytes of each file, by its path within.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        if source.is_dir():
            paths = [path for path in source.rglob("*") if path.is_file()]
            self.sizes = {path.relative_to(source).as_posix(): path.stat().st_size for path in paths}
        else:
            with zipfile.ZipFile(source) as archive:
                self.sizes = {info.filename: info.file_size for info in archive.infolist()}

    def named(self, name: str) -> list[str]:
        """Folders that hold a file of this name."""
        paths = map(PurePosixPath, self.sizes)
        return [str(path.parent) for path in paths if path.name == name]

    def starts(self, names: Sequence[str], length: int = -1) -> list[bytes]:
        """The first bytes of files; all of them by default."""
        if self.source.is_dir():
            starts = []
            for name in names:
                with (self.source / name).open("rb") as file:
                    starts.append(file.read(length))
            return starts
        with zipfile.ZipFile(self.source) as archive:
            return [archive.open(name).read(length) for name in names]


def _check_fits(source: Path, size: int) -> None:
    """Raise UsageError for more bytes of arrays than memory can hold: a small file may unpack to any."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > MEMORY_SHARE * memory:
        raise UsageError(
            f"{source} unpacks to {size / 1e9:,.1f} GB, and this machine has {memory / 1e9:.1f} GB of memory."
        )


def _read_npz(files: _Files, wanted: set[str]) -> list[tuple[str, np.ndarray]]:
    """The wanted arrays of an npz file."""
    source, found = files.source, []
    _check_fits(source, sum(files.sizes.get(f"{name}.npy", 0) for name in wanted))
    with np.load(source, allow_pickle=False) as file:
        for name in sorted(wanted & {*file.files}):
            try:
                array = file[name]
            except ValueError as error:
                if "pickle" in str(error):
                    raise UsageError(
                        f"{source}: {name} is pickled, and could run code: toyflow never loads such data."
                    ) from error
                raise
            if not isinstance(array, np.ndarray):  # NumPy returns the bytes of what is none
                raise UsageError(f"{source}: {name} is not an array.")
            found.append((name, array))
    return found


def _read_zarr(files: _Files, wanted: set[str]) -> list[tuple[str, np.ndarray]]:
    """The wanted arrays of a zarr archive, format 2."""
    source = files.source
    try:
        import zarr  # optional
        from zarr.storage import ZipStore
    except ImportError as error:
        raise UsageError(f"{source} is read by zarr: pip install 'toyflow[pusht]'.") from error
    if not (places := files.named(".zarray")):
        raise UsageError(f"{source} holds no zarr arrays of format 2.")
    places = [place for place in places if PurePosixPath(place).name in wanted]
    newer, found = files.named("zarr.json"), []
    store: Any = str(source) if source.is_dir() else ZipStore(source, mode="r")
    for place, content in zip(places, files.starts([f"{place}/.zarray" for place in places]), strict=True):
        about = json.loads(content)
        _check_harmless(source, place, about)
        if place in newer:  # zarr would read this description, and not the one that was checked
            raise UsageError(f"{source}: {place} has a zarr.json beside its .zarray; remove one of them.")
        _check_fits(source, math.prod(about["shape"]) * np.dtype(about["dtype"]).itemsize)
        _check_parts(files, place, about)
        array: Any = zarr.open_array(store, mode="r", path=place)
        found.append((PurePosixPath(place).name, np.asarray(array[:])))
    return found


def _check_parts(files: _Files, place: str, about: Mapping[str, Any]) -> None:
    """Raise UsageError unless all parts of an array are there and whole: for those that lack zarr fills in
    zeros, and Blosc takes what memory holds for the rest of one that is cut off."""
    counts = [math.ceil(length / part) for length, part in zip(about["shape"], about["chunks"], strict=True)]
    separator, parts = about.get("dimension_separator") or ".", []
    for name in files.sizes:
        key = name.removeprefix(f"{place}/").split(separator)
        if len(key) == len(counts) and all(
            number.isdecimal() and int(number) < count for number, count in zip(key, counts, strict=True)
        ):
            parts.append(name)
    if len(parts) < (wanted := math.prod(counts)):
        raise UsageError(
            f"{files.source}: {len(parts)} of {wanted} parts of {place} are there. {_why_parts_lack(about)}"
        )
    if (about.get("compressor") or {}).get("id") == BLOSC:
        for name, start in zip(parts, files.starts(parts, BLOSC_HEADER), strict=True):
            if int.from_bytes(start[BLOSC_SIZE_AT:], "little") != max(files.sizes[name], BLOSC_HEADER):
                raise UsageError(f"{files.source}: {name} is cut off: get it again.")


def _why_parts_lack(about: Mapping[str, Any]) -> str:
    """Whether an array with these entries of `.zarray` is cut off, as far as that can be told: parts that are
    all of the fill value may have been left out, and nothing in an archive says which those are."""
    if about.get("fill_value") is None:
        return "It is cut off: get it again."
    return (
        f"It is cut off, or its writer left out parts in which all is {about['fill_value']}, as zarr 3 does, "
        "which cannot be told apart: get it again, or write it with write_empty_chunks=True, or as npz."
    )


def _check_harmless(source: Path, path: str, about: Any) -> None:
    """Raise UsageError unless an array holds plain numbers behind a known compressor."""
    compressor, filters = about.get("compressor"), about.get("filters") or ()
    odd = [codec["id"] for codec in filters]
    if compressor and compressor["id"] not in CODECS:
        odd.append(compressor["id"])
    if odd or np.dtype(about["dtype"]).kind not in NUMBERS:
        raise UsageError(
            f"{source}: {path} holds {odd[0] if odd else 'objects'}, not plain numbers, and could run code: "
            "toyflow never loads such data."
        )


def _checked(where: str, arrays: Mapping[str, np.ndarray], state_dim: int, action_dim: int) -> ReplayBuffer:
    """The buffer, once its arrays fit together."""
    for name, array in arrays.items():
        if array.dtype.kind not in NUMBERS:
            raise UsageError(f"{where}: {name} has type {array.dtype}, which is not one of numbers.")
    state = _as_rows(where, STATE, arrays[STATE], state_dim)
    action = _as_rows(where, ACTION, arrays[ACTION], action_dim)
    images = _as_images(where, arrays[IMAGES]) if IMAGES in arrays else None
    ends = arrays[ENDS].reshape(-1)
    if ends.dtype.kind == "f" or not len(ends) or (np.diff(ends, prepend=0) <= 0).any():
        raise UsageError(
            f"{where}: its arrays do not fit together: the ends of episodes, {len(ends)} numbers of type "
            f"{ends.dtype}, are not whole numbers that rise."
        )
    lengths = {STATE: len(state), ACTION: len(action), **({} if images is None else {IMAGES: len(images)})}
    if {*lengths.values()} != {int(ends[-1])}:
        told = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
        raise UsageError(
            f"{where}: its arrays do not fit together, or are cut off: steps of {told}; the last episode "
            f"ends at {ends[-1]}."
        )
    return ReplayBuffer(state, action, ends.astype(np.int64), images)


def _as_rows(where: str, name: str, array: np.ndarray, width: int) -> Float32[np.ndarray, "steps width"]:
    """An array of `width` numbers a step, as they are stored."""
    if array.ndim != 2 or array.shape[1] != width:
        raise UsageError(f"{where}: {name} has shape {array.shape}, not (steps, {width}).")
    with np.errstate(over="ignore"):  # becomes infinite
        rows = array.astype(np.float32)
    if not np.isfinite(rows).all():
        raise UsageError(f"{where}: {name} has numbers that are not finite.")
    return rows


def _as_images(where: str, images: np.ndarray) -> UInt8[np.ndarray, "steps height width 3"]:
    """As bytes; Diffusion Policy's archive has floats of 0 to 255."""
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or not images.size:
        raise UsageError(f"{where}: img has shape {images.shape}, not (steps, side, side, 3).")
    if images.dtype == np.uint8:
        return images
    if not (images.min() >= 0 and 1 < images.max() <= 255):
        raise UsageError(f"{where}: img has values of {images.min():g} to {images.max():g}, not 0 to 255.")
    return images.round().astype(np.uint8)
