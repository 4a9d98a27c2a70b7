"""Labelled images of ten classes: MNIST, embedded, and through torchvision Fashion-MNIST and CIFAR-10."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import cache_folder, check_torchvision
from toyflow.toy import mnist

check_torchvision()
from torchvision.datasets import CIFAR10, MNIST, FashionMNIST  # noqa: E402

CLASSES = 10
SILENCE = 20.0
"""Seconds without an answer after which a download is given up."""


class Images(NamedTuple):
    """Pixels, 0 to 255, and labels, 0 to 9."""

    pixels: UInt8[Tensor, "n channels side side"]
    labels: Int64[Tensor, "n"]


@dataclass(frozen=True)
class ImageSet:
    """A data set of square images, with the moments of its training pixels, scaled to [0, 1], by channel."""

    name: str
    title: str
    torchvision: Callable[..., Any]
    folder: str
    """Name of the folder that torchvision looks for in the folder that it is given."""
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of one image."""
        return len(self.mean), self.side, self.side

    def normalised(
        self, pixels: UInt8[Tensor, "batch channels side side"]
    ) -> Float[Tensor, "batch channels side side"]:
        """Images of mean 0 and variance 1 over the training set, as the noise has."""
        mean, std = (torch.tensor(of)[:, None, None] for of in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std

    def fetch(self, data_dir: str | None = None) -> None:
        """Make sure that the data set can be loaded: unpack MNIST, find or download another.

        A download appears whole or not at all, and of several processes one downloads.

        Raises:
            UsageError: it is not there and cannot be downloaded.
            ToyflowError: it is damaged.
        """
        if self.name == "mnist":
            mnist.unpack_mnist()
            return
        root = _root(data_dir)
        if not (root / self.folder).exists():
            self._download(root)
        for train in (True, False):
            self.load(train, data_dir)

    def load(self, train: bool, data_dir: str | None = None) -> Images:
        """All training or test images, which `fetch` has made sure of."""
        if self.name == "mnist":
            digits = mnist.load_digits(train)
            return Images(digits.images[:, None], digits.labels)
        root = _root(data_dir)
        try:
            # CIFAR-10 is published as pickles; torchvision opens them after it has verified their MD5.
            data = self.torchvision(str(root), train=train, download=False)
            pixels, labels = torch.as_tensor(data.data), torch.as_tensor(data.targets)
            pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
            if pixels.shape[1:] != self.shape or len(pixels) != len(labels):
                raise ValueError(f"{len(labels)} labels, images of shape {tuple(pixels.shape)}")
        except Exception as error:  # whatever torchvision meets in a file that is not what it should be
            raise ToyflowError(
                f"{self.title} in {root / self.folder} is incomplete or damaged ({_line(error)}): remove "
                "that folder to have it downloaded again, or name another with --data-dir."
            ) from error
        return Images(pixels, labels)

    def _download(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{self.folder}.lock"):
                if (root / self.folder).exists():
                    return
                with tempfile.TemporaryDirectory(dir=root, prefix=".download.") as temporary, _patience():
                    self.torchvision(temporary, download=True)
                    (Path(temporary) / self.folder).rename(root / self.folder)
        except Exception as error:  # of the network, of the disk, or a server that sends something else
            raise UsageError(
                f"{self.title} is not in {root} and cannot be downloaded ({_line(error)}): put {self.folder} "
                "there or name the folder that holds it with --data-dir, or choose --set dataset=mnist."
            ) from error


IMAGE_SETS = {
    images.name: images
    for images in (
        ImageSet("mnist", "MNIST", MNIST, "MNIST", 28, (mnist.MEAN,), (mnist.STD,)),
        ImageSet("fashion-mnist", "Fashion-MNIST", FashionMNIST, "FashionMNIST", 28, (0.2860,), (0.3530,)),
        ImageSet(
            "cifar-10", "CIFAR-10", CIFAR10, "cifar-10-batches-py", 32,
            (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
        ),
    )
}  # fmt: skip


def _root(data_dir: str | None) -> Path:
    return Path(data_dir).expanduser() if data_dir else cache_folder()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _patience() -> Iterator[None]:
    """Give up on a silent server; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
