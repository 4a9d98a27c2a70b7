"""Images of a data set at the policy's size: decoded once into a cache, or batch by batch where that is too
big."""

from __future__ import annotations

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from toyflow.atomic import DamagedError, atomic_folder, remove_stale, verified
from toyflow.errors import ToyflowError
from toyflow.machine import cache_folder, cores
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.resize import resized

LOG = logging.getLogger(__name__)
CACHE_BYTES = 8 << 30
"""Data sets whose images take more than this at the policy's size are not cached."""

Images = dict[str, UInt8[Tensor, "batch 3 size size"]]
"""{camera: images}."""
OnProgress = Callable[[int, int], None]
"""Called with (frames decoded, frames in all)."""


class Frames(ABC):
    """The images of a data set by frame, resized to a square."""

    @abstractmethod
    def batches(self, indices: Iterator[Int64[Tensor, "batch"]]) -> Iterator[Images]:
        """The images of each batch of frame numbers, in order."""


def open_frames(
    data: DataSet,
    cameras: Sequence[str],
    size: int,
    on_progress: OnProgress = lambda done, total: None,
    cache_bytes: int = CACHE_BYTES,
    readers: int = 1,
) -> Frames:
    """The images of a data set at a policy's size. The first call for a data set and size fills the cache.

    Args:
        size: side of the images in pixels.
        on_progress: called while the cache is filled.
        cache_bytes: data sets whose images take more are decoded batch by batch instead.
        readers: processes on this machine that read at the same time, which share its cores.
    """
    if data.frames * len(cameras) * 3 * size * size > cache_bytes:
        return StreamedFrames(data, cameras, size, max(1, cores() // readers - 1))
    return CachedFrames(data, cameras, size, on_progress)


class CachedFrames(Frames):
    """Decoded images in a memory-mapped file, CACHE/frames/FINGERPRINT-SIZE-CAMERAS/frames.npy."""

    def __init__(self, data: DataSet, cameras: Sequence[str], size: int, on_progress: OnProgress) -> None:
        self.cameras = tuple(cameras)
        folder = cache_folder() / "frames" / f"{data.fingerprint}-{size}-{'+'.join(cameras) or 'none'}"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                self.images = _load(folder)
                if self.images is None:
                    remove_stale(folder.parent.glob(f".{folder.name}.*"))
                    _fill(folder, data, self.cameras, size, on_progress)
                    self.images = _load(folder)
        except OSError as error:
            raise ToyflowError(
                f"images cannot be cached in {folder}: {error.strerror or error}. Set TOYFLOW_CACHE to a "
                f"folder with {data.frames * len(cameras) * 3 * size * size / 1e9:.1f} GB free."
            ) from error
        assert self.images is not None

    def batches(self, indices: Iterator[Int64[Tensor, "batch"]]) -> Iterator[Images]:
        """See `Frames`."""
        assert self.images is not None
        for batch in indices:
            rows = torch.from_numpy(self.images[batch.numpy()])  # indexing copies from the map
            yield {camera: rows[:, i] for i, camera in enumerate(self.cameras)}


class StreamedFrames(Frames):
    """Images decoded by worker processes, batch by batch."""

    def __init__(self, data: DataSet, cameras: Sequence[str], size: int, workers: int) -> None:
        self.workers = workers
        self.decoded = _Decoded(data, cameras, size)

    def batches(self, indices: Iterator[Int64[Tensor, "batch"]]) -> Iterator[Images]:
        """See `Frames`."""
        loader = DataLoader(
            self.decoded,
            batch_sampler=(batch.tolist() for batch in indices),  # pyright: ignore[reportArgumentType]
            num_workers=self.workers,
            multiprocessing_context="spawn",
            persistent_workers=True,
        )
        for rows in loader:
            yield {camera: rows[:, i] for i, camera in enumerate(self.decoded.cameras)}


class _Decoded(torch.utils.data.Dataset):
    """From a frame's number to its resized images."""

    def __init__(self, data: DataSet, cameras: Sequence[str], size: int) -> None:
        self.where, self.renaming, self.frames = data.where, data.renaming, data.frames
        self.cameras, self.size = tuple(cameras), size
        self.data: DataSet | None = None  # opened in each worker: a video decoder cannot be shared

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, frame: int) -> UInt8[Tensor, "cameras 3 size size"]:
        if self.data is None:
            self.data = DataSet(self.where, self.renaming)
        images = self.data.images(frame, self.cameras) if self.cameras else {}
        square = [resized(images[camera][None], self.size) for camera in self.cameras]
        return torch.cat(square) if square else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)


def _load(folder: Path) -> np.ndarray | None:
    """The cached images, verified; None where there are none. Damaged ones are removed, with a warning."""
    if not folder.is_dir():
        return None
    try:
        return np.load(verified(folder, "frames.npy"), mmap_mode="r", allow_pickle=False)
    except DamagedError as error:
        LOG.warning("%s The images are decoded again.", error)
        shutil.rmtree(folder)
        return None


def _fill(folder: Path, data: DataSet, cameras: Sequence[str], size: int, on_progress: OnProgress) -> None:
    shape = (data.frames, len(cameras), 3, size, size)
    workers = cores() if data.frames > 2000 and cameras else 0
    loader = DataLoader(
        _Decoded(data, cameras, size),
        batch_size=32,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    # Written, not mapped: on a full disk, writing to a map kills the process.
    with atomic_folder(folder) as temporary, (temporary / "frames.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for rows in loader:
            file.write(rows.numpy().tobytes())
            done += len(rows)
            on_progress(done, data.frames)
