"""`dial`: where does one step stop being enough? Digits moved by a hidden die, with known probabilities.

The condition names n digits. A hidden die of `modes` faces shows k, and the target is each digit plus k
modulo 10, in the code of `grid-to-sequence`. Two options turn "the condition determines the target" into "the
condition says little": the number of `modes`, 1 to 10, and the `certainty` c, by which the first face has
probability c + (1 - c) / modes and the others share the rest. With all ten modes and no certainty a
tile's own distribution no longer depends on the condition.

`coupling` is what matters. Independent: each tile has a die of its own. An ideal one-step flow returns the
conditional mean, the nearest code of which is the likeliest digit: right with probability max p, where a
draw from the true distribution agrees with another with probability sum p^2. One step wins. Coupled: one die
moves all tiles, so the target has joint modes, and the mean falls between them.

`split=validation` tests on other examples, for all that is tuned. Training draws fresh ones without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from toyflow.flow import Model
from toyflow.flow.anatomy import Moments
from toyflow.flow.path import broadcast_time
from toyflow.networks import Denoiser, DenoisingModel
from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.networks.denoiser import DenoiserSize, Reading
from toyflow.optionset import OptionSet, choice, number
from toyflow.toy.codes import CLASSES, ONE_HOT
from toyflow.toy.splits import SPLITS
from toyflow.toy.task import Task
from toyflow.training import Batch

TEST_EXAMPLES = 2000
CLOSEST = 1e-3
"""Smallest 1 - t at which the closed form is evaluated."""
DECODERS = {
    "small": DenoiserSize(width=64, depth=2, heads=4),
    "base": DenoiserSize(width=96, depth=2, heads=4),
    "large": DenoiserSize(width=192, depth=4, heads=6),
}


class DigitReader(DenoisingModel):
    """Embedded digits and a denoiser; a digit and the target token at its place share one position."""

    def __init__(self, tiles: int, size: DenoiserSize, attention: AttentionKind) -> None:
        super().__init__()
        self.embed = nn.Embedding(CLASSES, size.width)
        self.denoiser = Denoiser(tiles, CLASSES, size, attention)

    def encode(self, observation: Int64[Tensor, "batch tiles"]) -> Reading:
        """What the denoiser needs of the digits."""
        return self.denoiser.read(self.embed(observation) + self.denoiser.position)


@dataclass(frozen=True)
class DialData(OptionSet):
    """The die, how many digits it moves, and which examples test."""

    modes: int = number(2, low=1, high=CLASSES)
    certainty: float = number(0.0, low=0, high=1)
    coupling: str = choice("coupled", "independent")
    tiles: int = number(4, low=1, high=16)
    split: str = choice(*SPLITS, added=True)


@dataclass(frozen=True)
class DialModel(OptionSet):
    """The sizes of `DigitReader`."""

    decoder: str = choice(*DECODERS, default="base")
    attention: AttentionKind = choice(*ATTENTION_KINDS)


class Dial(Task):
    """Digits plus a hidden die. Scored by joint validity (the decoded digits are a possible outcome), by
    agreement with a fresh draw, whole and per tile, by the root mean square distance to the nearest code,
    and by the total variation between the decoded outcomes and their known distribution."""

    name = "dial"
    shown_as = "digits"
    metrics = ("valid", "exact_match", "tile_accuracy", "distance_to_code")
    set_metrics = ("total_variation",)
    lower_is_better = ("distance_to_code", "total_variation")
    data_options = DialData
    model_options = DialModel
    data: DialData

    @property
    def tiles(self) -> int:
        """Digits of one example."""
        return self.data.tiles

    @property
    def coupled(self) -> bool:
        """Whether one die moves all tiles."""
        return self.data.coupling == "coupled"

    @property
    def probabilities(self) -> Float[Tensor, "modes"]:
        """Probabilities of the die's faces."""
        modes, certainty = self.data.modes, self.data.certainty
        even = torch.full((modes,), (1 - certainty) / modes, dtype=torch.float64)
        even[0] += certainty
        return even

    @property
    def target_shape(self) -> tuple[int, ...]:
        """A code for each tile."""
        return self.tiles, CLASSES

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Random digits, and their codes after the die was thrown."""
        digits = torch.randint(CLASSES, (size, self.tiles), generator=generator)
        throws = 1 if self.coupled else self.tiles
        faces = torch.multinomial(
            self.probabilities.expand(size * throws, -1), 1, generator=generator
        ).reshape(size, throws)
        return Batch(digits, ONE_HOT.write((digits + faces) % CLASSES))

    def test_set(self) -> Batch:
        """2000 fixed examples for each `split`."""
        return self.train_batch(TEST_EXAMPLES, torch.Generator().manual_seed(SPLITS.index(self.data.split)))

    def build_model(self, options: DialModel) -> Model:
        """A `DigitReader`."""
        return DigitReader(self.tiles, DECODERS[options.decoder], options.attention)

    def score(self, sample: Float[Tensor, "batch tiles code"], test: Batch) -> dict[str, Tensor]:
        """See the class."""
        right = (sample.argmax(-1) == test.target.argmax(-1)).float()
        faces = self._faces(sample, test)
        possible = (self.probabilities > 0).to(faces.device)
        valid = torch.isin(faces, possible.nonzero().flatten()).all(1)
        if self.coupled:
            valid &= (faces == faces[:, :1]).all(1)
        to_codes = (sample[:, :, None] - ONE_HOT.codes.to(sample)).square().mean(-1)
        return {
            "valid": valid.float(),
            "exact_match": right.amin(1),
            "tile_accuracy": right.mean(1),
            "distance_to_code": to_codes.amin(-1).mean(1).sqrt(),
        }

    def score_set(self, sample: Float[Tensor, "batch tiles code"], test: Batch) -> dict[str, float]:
        """Half the sum over joint outcomes of |observed share - probability|. Even an ideal sample of this
        size is not at 0: compare with the closed form's."""
        faces = self._faces(sample, test).cpu()
        outcomes, counts = faces.unique(dim=0, return_counts=True)
        observed = counts.double() / len(faces)
        known = self._probability(outcomes)
        return {"total_variation": float(((observed - known).abs().sum() + 1 - known.sum()) / 2)}

    def optimal_velocity(
        self,
        x: Float[Tensor, "batch tiles code"],
        t: Float[Tensor, "batch"],
        observation: Int64[Tensor, "batch tiles"],
    ) -> Float[Tensor, "batch tiles code"]:
        """(E[x1 | x_t, c] - x_t) / (1 - t), where the posterior of a mode m is proportional to
        p(m) exp(-|x_t - t m|^2 / (2 (1 - t)^2)), over all tiles at once if they share the die."""
        probabilities = self.probabilities.to(x)
        modes = self._modes(observation).to(x)
        left = broadcast_time((1 - t).clamp(min=CLOSEST), x)
        squared = (x[:, None] - broadcast_time(t, modes) * modes).square().sum(-1, keepdim=True)
        if self.coupled:
            squared = squared.sum(-2, keepdim=True)
        log_prior = probabilities.log()[None, :, None, None]
        posterior = (log_prior - squared / (2 * left.square()[:, None])).softmax(1)
        return ((posterior * modes).sum(1) - x) / left

    def conditional_moments(self, observation: Int64[Tensor, "batch tiles"]) -> Moments:
        """Of the codes of all faces, with their probabilities. The same for both couplings."""
        modes = self._modes(observation)
        weight = self.probabilities.to(modes)[:, None, None]
        mean = (weight * modes).sum(1)
        return Moments(mean, (weight * (modes - mean[:, None]).square()).sum(1))

    def _modes(self, observation: Int64[Tensor, "batch tiles"]) -> Float[Tensor, "batch modes tiles code"]:
        """The target that each face of the die would give, on the observation's device."""
        moved = observation[:, None] + torch.arange(self.data.modes, device=observation.device)[:, None]
        return ONE_HOT.codes.to(observation.device)[moved % CLASSES]

    def _faces(self, sample: Float[Tensor, "batch tiles code"], test: Batch) -> Int64[Tensor, "batch tiles"]:
        """The number of places that each decoded digit was moved, which is the die's face."""
        return (sample.argmax(-1) - test.observation) % CLASSES

    def _probability(self, outcomes: Int64[Tensor, "outcomes tiles"]) -> Float[Tensor, "outcomes"]:
        """Probability of joint outcomes, given as faces by tile."""
        padded = torch.zeros(CLASSES, dtype=torch.float64)
        padded[: len(self.probabilities)] = self.probabilities
        if not self.coupled:
            return padded[outcomes].prod(1)
        same = (outcomes == outcomes[:, :1]).all(1)
        return padded[outcomes[:, 0]] * same
