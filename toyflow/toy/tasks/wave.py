"""`wave`: from a phase to points of a sine wave. The smallest task on which the schedule shows.

The phase determines the wave, but a small network learns the map slowly. With `coin=on` a hidden fair coin
mirrors the whole wave, and the mean of the two possible waves is flat. Training draws fresh phases without
end; `split=validation` tests on other ones, for all that is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.anatomy import Moments
from toyflow.networks import VectorModel
from toyflow.optionset import OptionSet, choice, number, switch
from toyflow.toy.splits import SPLITS
from toyflow.toy.task import Task
from toyflow.training import Batch

TEST_EXAMPLES = 500
TURN = 6.28
"""The largest phase, in radians."""
CLOSE = 0.3
"""A wave is close if none of its points is farther off than this."""


@dataclass(frozen=True)
class WaveData(OptionSet):
    """What is drawn, whether a coin mirrors it, and which examples test."""

    points: int = number(8, low=1, high=64)
    frequency: float = number(1.0, low=0, high=10)
    coin: bool = switch(False)
    split: str = choice(*SPLITS)


@dataclass(frozen=True)
class WaveModel(OptionSet):
    """The size of the network."""

    width: int = number(128, low=1, high=1024)


class Wave(Task):
    """Draw a wave from its phase p: point i is sin(frequency p + i). Scored by whether every point is within
    0.3 of the wave, or, with a coin, of the wave or its mirror image."""

    name = "wave"
    metrics = ("close",)
    data_options = WaveData
    model_options = WaveModel
    data: WaveData

    @property
    def target_shape(self) -> tuple[int, ...]:
        """A number for each point."""
        return (self.data.points,)

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Random phases and their waves, each mirrored if the coin says so."""
        phase = TURN * torch.rand(size, 1, generator=generator)
        wave = self._wave(phase)
        if self.data.coin:
            wave = wave * (2 * torch.randint(2, (size, 1), generator=generator) - 1)
        return Batch(phase, wave)

    def test_set(self) -> Batch:
        """500 fixed examples for each `split`."""
        return self.train_batch(TEST_EXAMPLES, torch.Generator().manual_seed(SPLITS.index(self.data.split)))

    def build_model(self, options: WaveModel) -> VectorModel:
        """A `VectorModel`."""
        return VectorModel(observation=1, target=self.data.points, width=options.width)

    def score(self, sample: Float[Tensor, "batch points"], test: Batch) -> dict[str, Tensor]:
        """See the class."""
        signs = (1, -1) if self.data.coin else (1,)
        off = torch.stack([(sample - sign * test.target).abs().amax(1) for sign in signs])
        return {"close": (off.amin(0) < CLOSE).float()}

    def conditional_moments(self, observation: Float[Tensor, "batch 1"]) -> Moments:
        """The wave without variance; with the coin a mean of 0 and a variance of wave^2."""
        wave, zero = self._wave(observation), observation.new_zeros(len(observation), self.data.points)
        return Moments(zero, wave.square()) if self.data.coin else Moments(wave, zero)

    def _wave(self, phase: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch points"]:
        points = torch.arange(self.data.points, device=phase.device)
        return torch.sin(self.data.frequency * phase + points)
