"""The wave, whose targets are known, and what earlier results of it are called."""

import json
from pathlib import Path

import pytest
import torch

from toyflow import Batch, Task, VectorModel, run_study
from toyflow.errors import UsageError
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.models import task_of
from toyflow.toy.tasks.wave import Wave

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize("data", [{}, {"points": "3", "frequency": "2.5"}])
def test_targets_are_the_wave_of_their_phase(data, generator):
    task = Wave(data)
    phase, wave = task.train_batch(50, generator)
    points = torch.arange(task.data.points)
    torch.testing.assert_close(wave, torch.sin(task.data.frequency * phase + points))
    assert wave.shape[1:] == task.target_shape


def test_a_coin_mirrors_half_of_the_waves(generator):
    phase, wave = Wave({"coin": "on"}).train_batch(4000, generator)
    plain = torch.sin(phase + torch.arange(8))
    mirrored = (wave + plain).abs().amax(1) < 1e-5
    assert ((wave - plain).abs().amax(1) < 1e-5).logical_xor(mirrored).all()
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("coin", ["off", "on"])
def test_moments_are_those_of_many_draws_under_one_phase(coin, monkeypatch, generator):
    task, phase = Wave({"coin": coin, "points": "3"}), torch.tensor([[0.7]])
    monkeypatch.setattr(torch, "rand", lambda size, _, generator: (phase / 6.28).expand(size, 1))
    drawn = task.train_batch(20_000, generator).target
    mean, variance = task.conditional_moments(phase)
    torch.testing.assert_close(drawn.mean(0, keepdim=True), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.var(0, keepdim=True), variance, atol=0.01, rtol=0)


def test_a_wave_is_close_if_all_of_its_points_are():
    task, test = Wave(), Wave().test_set()
    off = torch.zeros_like(test.target)
    off[0, 3], off[1, 3] = 0.29, 0.31
    assert task.score(test.target + off, test)["close"][:3].tolist() == [1, 0, 1]
    assert task.score(-test.target, test)["close"].sum() == 0


def test_with_a_coin_the_mirror_image_is_close_and_the_mean_is_not():
    task = Wave({"coin": "on"})
    test = task.test_set()
    assert task.score(-test.target, test)["close"].all()
    mean, _ = task.conditional_moments(test.observation)
    assert not task.score(mean, test)["close"].any()


def test_the_validation_split_is_of_other_phases():
    test, other = (Wave({"split": split}).test_set().observation for split in ("test", "validation"))
    assert test.shape == other.shape and not torch.isin(test, other).any()
    assert torch.equal(test, Wave().test_set().observation)


def test_cells_of_the_wave_of_recommend_are_found():
    """They were made before the wave was a task of toyflow, by a class of `benchmarks/recommend.py`."""
    cells = plan_sweep(
        SweepOptions(task="wave", schedules=("uniform", "shift:4", "shift:8"), predict=("velocity", "data"))
    )
    stored = {path.name for path in (REFERENCE / "recommend" / "wave" / "full" / "cells").iterdir()}
    assert stored >= {cell.training.key for cell in cells} and len(cells) == 18


class Shorter(Task):
    """README's example while it was called `wave`, with fewer points."""

    name, metrics = "wave", ("close",)

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        phase = 6.28 * torch.rand(size, 1, generator=generator)
        return Batch(phase, torch.sin(phase + torch.arange(4)))

    def test_set(self) -> Batch:
        return self.train_batch(20, torch.Generator().manual_seed(0))

    def build_model(self, options: object) -> VectorModel:
        return VectorModel(observation=1, target=4, width=8)

    def score(self, sample: torch.Tensor, test: Batch) -> dict[str, torch.Tensor]:
        return {"close": ((sample - test.target).abs().amax(1) < 0.3).float()}


def test_a_task_of_the_same_name_shares_no_cell_and_is_not_taken_for_this_one(tmp_path):
    asked = {"schedules": ["beta"], "steps": [1], "seeds": [0], "iterations": 2, "out": tmp_path}
    run_study(Shorter(), **asked)
    both = run_study(Wave(), **asked)
    assert len(both.frame) == 1 and len(list((tmp_path / "cells").glob("[!.]*"))) == 2
    records = [
        TrainingRecord.from_dict(json.loads(path.read_text())["record"])
        for path in tmp_path.glob("cells/*/config.json")
    ]
    [theirs] = [record for record in records if not record.data]
    with pytest.raises(UsageError, match=r"another task named 'wave' .* lacks the options coin, freq"):
        task_of(theirs)
    assert task_of(theirs, Shorter()).target_shape == (4,)
