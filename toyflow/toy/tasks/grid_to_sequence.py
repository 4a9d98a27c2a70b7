"""`grid-to-sequence`: a 4x4 grid of MNIST digits to its 16 digits, row by row.

A rich condition (the images all but determine the answer) and a compact target: 16 tokens of 10 numbers. Two
options make it harder: the grid's side, 2 to 6, and noise on the images. `code=scalar` writes a digit as one
number instead of ten (`toyflow/toy/codes.py`); `split=validation` tests on held-out training digits, for all
that is tuned: the test digits are for final numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from toyflow.flow import Model
from toyflow.networks import Denoiser, DenoiserSize, DenoisingModel
from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.networks.denoiser import Reading
from toyflow.optionset import OptionSet, choice, number
from toyflow.toy.codes import DIGIT_CODES, DigitCode
from toyflow.toy.encoder import ENCODERS, TileEncoder
from toyflow.toy.mnist import Digits, load_digits, unpack_mnist
from toyflow.toy.splits import SPLITS, examples_to_test, examples_to_train
from toyflow.toy.task import Task
from toyflow.training import Batch

DECODERS = {
    "small": DenoiserSize(width=64, depth=2, heads=4),
    "base": DenoiserSize(width=96, depth=2, heads=4),
    "large": DenoiserSize(width=192, depth=4, heads=6),
    "256x4": DenoiserSize(width=256, depth=4, heads=8),
    "512x8": DenoiserSize(width=512, depth=8, heads=8),
}
"""Decoder sizes by name; the last two are those of the paper's autoregressive baseline."""


class GridReader(DenoisingModel):
    """Tile CNN and denoiser. A tile and the target token at its place share one position embedding."""

    def __init__(self, target: tuple[int, int], encoder: str, decoder: str, attention: AttentionKind) -> None:
        super().__init__()
        size = DECODERS[decoder]
        self.encoder = TileEncoder(ENCODERS[encoder], size.width)
        self.denoiser = Denoiser(*target, size, attention)

    def encode(self, observation: UInt8[Tensor, "batch tiles 28 28"]) -> Reading:
        """What the denoiser needs of the tiles."""
        return self.denoiser.read(self.encoder(observation) + self.denoiser.position)


@dataclass(frozen=True)
class GridData(OptionSet):
    """How hard the grid is to read, how its digits are written, and which test."""

    side: int = number(4, low=2, high=6)
    condition_noise: float = number(0.0, low=0, high=2)
    code: str = choice(*DIGIT_CODES, added=True)
    split: str = choice(*SPLITS, added=True)


@dataclass(frozen=True)
class GridModel(OptionSet):
    """The sizes of `GridReader`."""

    encoder: str = choice(*ENCODERS, default="base")
    decoder: str = choice(*DECODERS, default="base")
    attention: AttentionKind = choice(*ATTENTION_KINDS)


class GridToSequence(Task):
    """Read a grid of digits. Scored by exact match of all of them and by the share that is right."""

    name = "grid-to-sequence"
    shown_as = "digits"
    metrics = ("exact_match", "digit_accuracy")
    data_options = GridData
    model_options = GridModel
    data: GridData

    @property
    def tiles(self) -> int:
        """Digits of one grid."""
        return self.data.side**2

    @property
    def target_shape(self) -> tuple[int, int]:
        """A code for each tile."""
        return self.tiles, self.code.length

    @property
    def code(self) -> DigitCode:
        """How digits are written."""
        return DIGIT_CODES[self.data.code]

    @cached_property
    def digits(self) -> Digits:
        """What training grids are made of."""
        return examples_to_train(load_digits, self.data.split)

    def prepare(self) -> None:
        """Unpack MNIST."""
        unpack_mnist()

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Grids of training digits, each drawn at random and with replacement."""
        index = torch.randint(len(self.digits.labels), (size, self.tiles), generator=generator)
        return self._grids(self.digits, index, generator)

    def test_set(self) -> Batch:
        """Disjoint grids, 625 of side 4: every digit that tests at most once, dealt by a fixed
        permutation."""
        digits = examples_to_test(load_digits, self.data.split)
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(digits.labels), generator=generator)
        whole = len(order) // self.tiles * self.tiles
        return self._grids(digits, order[:whole].reshape(-1, self.tiles), generator)

    def build_model(self, options: GridModel) -> Model:
        """A `GridReader`."""
        return GridReader(self.target_shape, options.encoder, options.decoder, options.attention)

    def score(self, sample: Float[Tensor, "batch tiles code"], test: Batch) -> dict[str, Tensor]:
        """The code nearest to each token is read as its digit."""
        right = (self.code.read(sample) == self.code.read(test.target)).float()
        return {"exact_match": right.amin(1), "digit_accuracy": right.mean(1)}

    def _grids(
        self, digits: Digits, index: Int64[Tensor, "batch tiles"], generator: torch.Generator
    ) -> Batch:
        images, level = digits.images[index], self.data.condition_noise
        if level:
            noise = level * 255 * torch.randn(images.shape, generator=generator)
            images = (images + noise).clamp(0, 255).to(torch.uint8)
        return Batch(images, self.code.write(digits.labels[index]))
