"""`grid-to-sequence`: a 4x4 grid of MNIST digits to its 16 digits, row by row.

A rich condition (the images all but determine the answer) and a compact target: 16 tokens of 10 numbers.

The code of a digit is its one-hot vector of length 10, shifted and scaled to mean 0 and variance 1
over the digits: 3 at its own place and -1/3 elsewhere. The ten codes are equally far from each other, so no
confusion is cheaper than another; the conditional mean of a code is an affine function of the digit's
probabilities, so the code nearest to an ideal one-step answer is the likeliest digit; and target and
noise have equal mean and variance, so that a network starts where its answer is neither trivial nor
offset. (With the plain +-1 code, whose mean is -0.8, objectives without noise in their input spent
hundreds of iterations on that offset alone.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from toyflow.flow import Model
from toyflow.networks import Denoiser, DenoiserSize
from toyflow.networks.denoiser import ATTENTION_KINDS, AttentionKind, Memory
from toyflow.toy.encoder import ENCODER_CHANNELS, TileEncoder
from toyflow.toy.mnist import Digits, load_digits, unpack_mnist
from toyflow.toy.task import Batch, Task

SIDE = 4
TILES = SIDE * SIDE
CLASSES = 10
CODES = (torch.eye(CLASSES) - 0.1) / 0.3

DECODERS = {
    "small": DenoiserSize(width=64, depth=2, heads=4),
    "base": DenoiserSize(width=96, depth=2, heads=4),
    "large": DenoiserSize(width=192, depth=4, heads=6),
}


class GridReader(Model):
    """Tile CNN and denoiser. A tile and the target token at its place share one position embedding."""

    def __init__(self, encoder: str, decoder: str, attention: AttentionKind) -> None:
        super().__init__()
        size = DECODERS[decoder]
        self.encoder = TileEncoder(ENCODER_CHANNELS[encoder], size.width)
        self.denoiser = Denoiser(TILES, CLASSES, size, attention)

    def encode(self, observation: UInt8[Tensor, "batch tiles 28 28"]) -> list[Memory]:
        """Keys and values of the 16 tiles for every block of the denoiser."""
        return self.denoiser.read(self.encoder(observation) + self.denoiser.position)

    def forward(
        self, x: Float[Tensor, "batch tiles code"], t: Float[Tensor, "batch"], condition: list[Memory]
    ) -> Float[Tensor, "batch tiles code"]:
        """One model call at the times `t`."""
        return self.denoiser(x, t, condition)


class GridToSequence(Task):
    """Read a 4x4 grid of digits. Scored by exact match of all 16 and by the share that is right."""

    name = "grid-to-sequence"
    metrics = ("exact_match", "digit_accuracy")
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "encoder": ("base", "small", "large"),
        "decoder": ("base", "small", "large"),
        "attention": ATTENTION_KINDS,
    }

    def __init__(self) -> None:
        self.digits = load_digits(train=True)

    @classmethod
    def prepare(cls) -> None:
        """Unpack MNIST."""
        unpack_mnist()

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Grids of training digits, each drawn at random and with replacement."""
        index = torch.randint(len(self.digits.labels), (size, TILES), generator=generator)
        return _grids(self.digits, index)

    def test_set(self) -> Batch:
        """625 disjoint grids: every test digit once, dealt by a fixed permutation."""
        order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
        return _grids(load_digits(train=False), order.reshape(-1, TILES))

    def build_model(self, options: Mapping[str, str]) -> Model:
        """A `GridReader` of the sizes named in `options`."""
        attention: Any = options["attention"]
        return GridReader(options["encoder"], options["decoder"], attention)

    def score(
        self, sample: Float[Tensor, "batch tiles code"], target: Float[Tensor, "batch tiles code"]
    ) -> dict[str, Float[Tensor, "batch"]]:
        """The code nearest to each token is read as its digit; of equal-length codes it is the argmax."""
        right = (sample.argmax(-1) == target.argmax(-1)).float()
        return {"exact_match": right.amin(1), "digit_accuracy": right.mean(1)}


def _grids(digits: Digits, index: Int64[Tensor, "batch tiles"]) -> Batch:
    return Batch(digits.images[index], CODES[digits.labels[index]])
