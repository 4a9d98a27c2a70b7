"""Reads the replay buffers in which Diffusion Policy's demonstrations are published: one array per feature
with all episodes end to end, and the ends of episodes. Files of strangers: pickled data are refused, never
loaded.

    SOURCE.zarr/data/{state,action,img}, SOURCE.zarr/meta/episode_ends     a folder, or a zip of one
    SOURCE.npz: state, action, img, episode_ends or ends                   or several of these together
"""

from __future__ import annotations

import json
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
NUMBERS = "fiu"
"""Kinds of NumPy's dtypes that are numbers."""


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
            do not fit together; in one line.
    """
    wanted = {name for name, array in NAMES.items() if images or array != IMAGES}
    arrays: dict[str, np.ndarray] = {}
    for source in sources:
        arrays |= _read(source, wanted)
    where = ", ".join(map(str, sources))
    needed = [STATE, ACTION, ENDS, *([IMAGES] if images else [])]
    if missing := [name for name in needed if name not in arrays]:
        raise UsageError(
            f"{where} has no {', '.join(missing)}; found: {', '.join(sorted(arrays)) or 'nothing'}."
        )
    return _checked(where, arrays, state_dim, action_dim)


def _read(source: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    if not source.exists():
        raise UsageError(f"{source} does not exist.")
    try:
        if source.is_dir() or _is_zarr(source):
            return _read_zarr(source, wanted)
        return _read_npz(source, wanted)
    except UsageError:
        raise
    except Exception as error:  # of the codecs, each with errors of its own
        raise UsageError(f"{source} cannot be read, it may be cut off: {first_line(error)}.") from error


def _read_npz(source: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted arrays of an npz file."""
    if not zipfile.is_zipfile(source):
        raise UsageError(f"{source} is neither a zarr archive nor an npz file, or it is cut off.")
    found: dict[str, np.ndarray] = {}
    with np.load(source, allow_pickle=False) as file:
        for name in wanted & {*file.files}:
            try:
                found[NAMES[name]] = file[name]
            except ValueError as error:
                if "pickle" in str(error):
                    raise UsageError(
                        f"{source}: {name} is pickled, and could run code: toyflow never loads such data."
                    ) from error
                raise
    return found


def _is_zarr(source: Path) -> bool:
    """Whether a file is a zip of a zarr archive."""
    if not zipfile.is_zipfile(source):
        return False
    with zipfile.ZipFile(source) as archive:
        return any(PurePosixPath(name).name == ".zarray" for name in archive.namelist())


def _read_zarr(source: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted arrays of a zarr archive, format 2."""
    try:
        import zarr  # optional
        from zarr.storage import ZipStore
    except ImportError as error:
        raise UsageError(f"{source} is read by zarr: pip install 'toyflow[pusht]'.") from error
    described = dict(_described(source))
    newer = _folders_with(source, "zarr.json")
    found: dict[str, np.ndarray] = {}
    store: Any = str(source) if source.is_dir() else ZipStore(source, mode="r")
    for path, about in described.items():
        name = PurePosixPath(path).name
        if name not in wanted:
            continue
        _check_harmless(source, path, about)
        if path in newer:  # zarr would read this description, and not the one that was checked
            raise UsageError(f"{source}: {path} has a zarr.json beside its .zarray; remove one of them.")
        array: Any = zarr.open_array(store, mode="r", path=path)
        if (there := array.nchunks_initialized) < array.nchunks:  # zarr would fill in zeros
            raise UsageError(
                f"{source}: {there} of {array.nchunks} parts of {path} are there. {_why_parts_lack(about)}"
            )
        found[NAMES[name]] = np.asarray(array[:])
    return found


def _why_parts_lack(about: Mapping[str, Any]) -> str:
    """Whether an array with these entries of `.zarray` is cut off, as far as that can be told: parts that are
    all of the fill value may have been left out, and nothing in an archive says which those are."""
    if about.get("fill_value") is None:
        return "It is cut off: get it again."
    return (
        f"It is cut off, or its writer left out parts in which all is {about['fill_value']}, as zarr 3 does, "
        "which cannot be told apart: get it again, or write it with write_empty_chunks=True, or as npz."
    )


def _folders_with(source: Path, name: str) -> set[str]:
    """Folders of an archive that hold a file of this name."""
    if source.is_dir():
        return {path.parent.relative_to(source).as_posix() for path in source.rglob(name)}
    with zipfile.ZipFile(source) as archive:
        paths = map(PurePosixPath, archive.namelist())
        return {str(path.parent) for path in paths if path.name == name}


def _described(source: Path) -> Mapping[str, Any]:
    """What `.zarray` says of each array, by the array's path in the archive."""
    if source.is_dir():
        files = {path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob(".zarray")}
    else:
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).name == ".zarray"]
            files = {name: archive.read(name) for name in names}
    if not files:
        raise UsageError(f"{source} holds no zarr arrays of format 2.")
    return {str(PurePosixPath(name).parent): json.loads(content) for name, content in files.items()}


def _check_harmless(source: Path, path: str, about: Any) -> None:
    """Raise UsageError unless an array holds plain numbers behind known compressors."""
    codecs = [about.get("compressor"), *(about.get("filters") or ())]
    odd = [codec["id"] for codec in codecs if codec and codec["id"] not in CODECS]
    if odd or np.dtype(about["dtype"]).kind not in NUMBERS:
        raise UsageError(
            f"{source}: {path} holds {odd[0] if odd else 'objects'}, not plain numbers, and could run code: "
            "toyflow never loads such data."
        )


def _checked(where: str, arrays: Mapping[str, np.ndarray], state_dim: int, action_dim: int) -> ReplayBuffer:
    """The buffer, once its arrays fit together."""
    state, action, ends = arrays[STATE], arrays[ACTION], arrays[ENDS].reshape(-1)
    for name, array, width in ((STATE, state, state_dim), (ACTION, action, action_dim)):
        if array.dtype.kind not in NUMBERS or array.ndim != 2 or array.shape[1] != width:
            raise UsageError(f"{where}: {name} has shape {array.shape}, not (steps, {width}).")
        if not np.isfinite(array).all():
            raise UsageError(f"{where}: {name} has numbers that are not finite.")
    lengths = {name: len(array) for name, array in arrays.items() if name != ENDS}
    rising = len(ends) and ends.dtype.kind in "iu" and (np.diff(ends, prepend=0) > 0).all()
    if not rising or set(lengths.values()) != {int(ends[-1])}:
        told = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
        last = int(ends[-1]) if len(ends) else "none"
        raise UsageError(
            f"{where}: its arrays do not fit together, or are cut off: steps of {told}; the last episode "
            f"ends at {last}."
        )
    return ReplayBuffer(
        state.astype(np.float32), action.astype(np.float32), ends.astype(np.int64),
        _as_images(where, arrays[IMAGES]) if IMAGES in arrays else None,
    )  # fmt: skip


def _as_images(where: str, images: np.ndarray) -> UInt8[np.ndarray, "steps height width 3"]:
    """As bytes; Diffusion Policy's archive has floats of 0 to 255."""
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or images.dtype.kind not in NUMBERS:
        raise UsageError(f"{where}: img has shape {images.shape}, not (steps, side, side, 3).")
    if images.dtype == np.uint8:
        return images
    if not (images.min() >= 0 and 1 < images.max() <= 255):
        raise UsageError(f"{where}: img has values of {images.min():g} to {images.max():g}, not 0 to 255.")
    return images.round().astype(np.uint8)
