"""The settings on which `benchmarks/recommend.py` makes and tests the rule of `toyflow recommend`.

Four are for development: the rule was made by looking at them. The others test it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toyflow import Batch, Task, VectorModel
from toyflow.optionset import OptionSet, choice, number
from toyflow.toy.task import make_task

ALOHA, PUSHT = "TOYFLOW_ALOHA_STATE", "TOYFLOW_PUSHT"
"""Environment variables that say where the demonstrations are: the folder of `toyflow robot-demos
--environment aloha-state --suite transfer_cube --episodes 50`, and Push-T's human demonstrations as one .npz
of `state`, `action` and `ends` of the episodes."""


@dataclass(frozen=True)
class ChunkData(OptionSet):
    """Which episodes test."""

    split: str = choice("test", "validation")


@dataclass(frozen=True)
class ChunkModel(OptionSet):
    """Size of the network."""

    width: int = number(256, low=1, high=1024)


class Chunks(Task):
    """From a robot's state to its next actions, on episodes that were not trained on.

    A chunk is close where its root mean square error, in the training actions' standard deviations, is below
    `tolerance`, about the median error of a regression. Of the episodes, the last test, those before them are
    for validation, and the others train.
    """

    metrics = ("close",)
    data_options, model_options = ChunkData, ChunkModel
    horizon: int
    held_out: int
    tolerance: float

    def __init__(self, data: Mapping[str, str] | None = None) -> None:
        super().__init__(data)
        state, action, episode = (torch.tensor(part) for part in self.read())
        last = episode.bincount().cumsum(0)[episode] - 1  # episodes are numbered from 0, one after the other
        chosen = torch.minimum(torch.arange(len(state))[:, None] + torch.arange(self.horizon), last[:, None])
        left = episode.max() - episode  # episodes after this one
        trains = left >= 2 * self.held_out
        held = left < self.held_out if self.data.split == "test" else ~trains & (left >= self.held_out)
        state = _standard(state, state[trains])
        chunks = _standard(action, action[trains])[chosen]
        self.training, test = Batch(state[trains], chunks[trains]), held.nonzero().flatten()
        few = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:500]]
        self.test = Batch(state[few], chunks[few])

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, action and episode of every frame."""
        raise NotImplementedError

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        index = torch.randint(len(self.training.target), (size,), generator=generator)
        return Batch(self.training.observation[index], self.training.target[index].flatten(1))

    def test_set(self) -> Batch:
        return Batch(self.test.observation, self.test.target.flatten(1))

    def build_model(self, options: ChunkModel) -> VectorModel:
        state, chunk = self.training.observation, self.training.target
        return VectorModel(state.shape[1], chunk[0].numel(), width=options.width)

    def score(self, sample: Tensor, test: Batch) -> dict[str, Tensor]:
        error = (sample - test.target).square().mean(1).sqrt()
        return {"close": (error < self.tolerance).float()}


class Arms(Chunks):
    """Two arms that hand over a cube, from the demonstrations of a script."""

    name, horizon, held_out, tolerance = "arms", 20, 10, 0.1

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import pandas as pd

        files = sorted(Path(os.environ[ALOHA]).glob("data/**/*.parquet"))
        frames = pd.concat([pd.read_parquet(file) for file in files])
        state, action = (np.stack(list(frames[name])) for name in ("observation.state", "action"))
        return state, action, frames["episode_index"].to_numpy()


class ArmsSoon(Arms):
    """The same, less far ahead."""

    name, horizon = "arms-soon", 8


class PushT(Chunks):
    """Push a block, from people's demonstrations."""

    name, horizon, held_out, tolerance = "push-t", 8, 28, 0.25

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        stored = np.load(os.environ[PUSHT])
        state, angle = stored["state"][:, :4], stored["state"][:, 4:]
        state = np.concatenate([state, np.sin(angle), np.cos(angle)], 1).astype(np.float32)
        episode = np.searchsorted(stored["ends"], np.arange(len(state)), side="right")
        return state, stored["action"].astype(np.float32), episode


class PushTFar(PushT):
    """The same, farther ahead."""

    name, horizon = "push-t-far", 16


@dataclass(frozen=True)
class Setting:
    """A task with its options, and the recipe of the full training."""

    name: str
    make: Callable[[Mapping[str, str]], Task]
    """A task with these data options."""
    data: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    iterations: int = 300
    batch_size: int = 16
    seeds: tuple[int, ...] = (0, 1)
    metric: str | None = None
    """The metric of regret; None for the headline."""
    development: bool = False
    """Whether the rule was made by looking at it."""
    needs: str | None = None
    """The environment variable that says where its data are."""

    def task(self, split: str) -> Task:
        """The task, scored on the `test` or `validation` split."""
        return self.make({**self.data, "split": split})

    @property
    def folder(self) -> str:
        """Name of its results folder."""
        return self.name.replace(", ", "-").replace(" ", "-")


def _grid(data: Mapping[str, str]) -> Task:
    return make_task("grid-to-sequence", data)


def _wave(data: Mapping[str, str]) -> Task:
    return make_task("wave", data)


def _dial(data: Mapping[str, str]) -> Task:
    return make_task("dial", data)


def _standard(values: Tensor, of: Tensor) -> Tensor:
    return (values - of.mean(0)) / of.std(0).clamp(min=1e-6)


_COIN = {"modes": "2", "certainty": "0"}
_DIAL: dict[str, Any] = {"iterations": 600, "batch_size": 64}
_WAVE: dict[str, Any] = {"iterations": 1000, "seeds": (0, 1, 2)}
_CHUNKS: dict[str, Any] = {"iterations": 1500, "batch_size": 64}
SETTINGS = (
    Setting("grid side 2", _grid, {"side": "2"}, development=True),
    Setting("dial 2 modes", _dial, _COIN, **_DIAL, development=True),
    Setting("wave", _wave, **_WAVE, development=True),
    Setting("grid side 3 scalar", _grid, {"side": "3", "code": "scalar"}, metric="digit_accuracy",
            development=True),
    Setting("wave 32 points", _wave, {"points": "32"}, **_WAVE),
    Setting("dial 2 modes certainty 0.4", _dial, {**_COIN, "certainty": "0.4"}, **_DIAL),
    Setting("grid side 3", _grid, {"side": "3"}),
    Setting("two arms", Arms, **_CHUNKS, needs=ALOHA),
    Setting("grid side 2 scalar", _grid, {"side": "2", "code": "scalar"}, metric="digit_accuracy"),
    Setting("wave width 32", _wave, model={"width": "32"}, **_WAVE),
    Setting("dial 10 modes certainty 0.4", _dial, {"modes": "10", "certainty": "0.4"}, **_DIAL),
    Setting("grid side 3 noise 0.5", _grid, {"side": "3", "condition-noise": "0.5"}),
    Setting("push-t", PushT, **_CHUNKS, needs=PUSHT),
    Setting("wave frequency 3", _wave, {"frequency": "3"}, **_WAVE),
    Setting("wave with a coin", _wave, {"coin": "on"}, **_WAVE),
    Setting(
        "dial independent certainty 0.4", _dial, {**_COIN, "certainty": "0.4", "coupling": "independent"},
        **_DIAL, metric="exact_match",
    ),
    Setting("grid side 3 joint", _grid, {"side": "3"}, {"attention": "joint"}),
    Setting("dial 2 modes 2 tiles", _dial, {**_COIN, "tiles": "2"}, **_DIAL),
    Setting("grid side 4 small", _grid, {"side": "4"}, {"encoder": "small"}),
    Setting("two arms horizon 8", ArmsSoon, **_CHUNKS, needs=ALOHA),
    Setting("push-t horizon 16", PushTFar, **_CHUNKS, needs=PUSHT),
    Setting("wave frequency 2", _wave, {"frequency": "2"}, **_WAVE),
)  # fmt: skip
