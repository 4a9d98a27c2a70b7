"""MNIST, embedded: no network. The package carries the four gzip files; a cache holds them unpacked."""

from __future__ import annotations

import gzip
import hashlib
import logging
import zlib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from jaxtyping import Int64, UInt8
from torch import Tensor

from toyflow.atomic import atomic_file
from toyflow.errors import ToyflowError
from toyflow.machine import cache_folder, check_torchvision

LOG = logging.getLogger(__name__)

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""The published checksums of the unpacked files."""

MEAN, STD = 0.1307, 0.3081
"""Mean and standard deviation of the training pixels, scaled to [0, 1]."""


class Digits(NamedTuple):
    """Images and their labels, 0 to 9."""

    images: UInt8[Tensor, "n 28 28"]
    labels: Int64[Tensor, "n"]


def load_digits(train: bool) -> Digits:
    """The 60,000 training or 10,000 test digits."""
    from torchvision.datasets import MNIST  # takes a second, which planning has no use for

    data = MNIST(str(unpack_mnist()), train=train, download=False)
    return Digits(data.data, data.targets)


def unpack_mnist() -> Path:
    """Folder in torchvision's layout (MNIST/raw/...) with all four files, verified.

    Missing or damaged files are unpacked from the package; each appears whole or not at all, and of
    several processes one unpacks and the others wait.

    Raises:
        BrokenTorchError: torchvision, which reads them, cannot be imported.
        ToyflowError: the cache cannot be written, or the package's own copy is damaged.
    """
    check_torchvision()
    root = cache_folder()
    raw = root / "MNIST" / "raw"
    if not _faulty(raw):
        return root
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / ".lock"):
            for name in _faulty(raw):
                if (raw / name).exists():
                    LOG.warning("%s is damaged and is unpacked again.", raw / name)
                _unpack(name, raw / name)
    except OSError as error:
        raise ToyflowError(
            f"MNIST cannot be unpacked into {raw}: {error.strerror or error}. "
            "Set TOYFLOW_CACHE to a folder that can be written, with 60 MB free."
        ) from error
    return root


def mnist_state() -> str:
    """Whether the cache is whole, in words; changes nothing."""
    raw = cache_folder() / "MNIST" / "raw"
    faulty = _faulty(raw)
    if not faulty:
        return f"embedded; unpacked and verified in {raw}"
    return f"embedded; the first run unpacks {len(faulty)} of {len(MD5)} files into {raw}"


def _faulty(raw: Path) -> list[str]:
    return [name for name in MD5 if not ((raw / name).is_file() and _is_whole(raw / name, name))]


def _is_whole(path: Path, name: str) -> bool:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == MD5[name]


def _unpack(name: str, path: Path) -> None:
    try:
        content = gzip.decompress((files("toyflow.toy") / "data" / f"{name}.gz").read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ToyflowError(
            f"toyflow's own copy of {name} is damaged ({error}); reinstall toyflow."
        ) from error
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
        if not _is_whole(temporary, name):
            raise ToyflowError(f"toyflow's own copy of {name} has the wrong checksum; reinstall toyflow.")
