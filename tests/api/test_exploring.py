"""Examples that are decoded for the page: what is kept of them, when, and what is refused."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toyflow import Batch, Model, Task, VectorModel
from toyflow.api.exploring import EXAMPLES, _to_decode, denoise, explore
from toyflow.api.study import run_study
from toyflow.errors import UsageError
from toyflow.flow import uniform_grid
from toyflow.report.explore.denoising import BOUND, FOLDER, Denoising, read_denoising, write_denoising
from toyflow.report.explore.studies import read_study
from toyflow.report.results import load_results
from toyflow.toy.models import load_model
from toyflow.toy.tasks.dial import Dial
from toyflow.toy.tasks.wave import Wave

STEPS, DRAWS = (1, 4), (1, 8)
LIBERO = Path(__file__).parents[2] / "results/reference/one-step/libero"
"""Results with evaluations of noise seeds 0 and 1."""


def study(out: Path, steps=STEPS, **more):
    return run_study(
        Wave(), schedules=["uniform"], predict=["velocity"], steps=steps, draws=DRAWS, seeds=[0, 1],
        iterations=20, device="cpu", out=out, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def waves(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("waves")
    study(out)
    return out


@pytest.fixture
def out(waves, tmp_path) -> Path:
    return Path(shutil.copytree(waves, tmp_path / "waves"))


def numbers(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """What `in_8_bits` wrote, as the page's script reads it."""
    content = np.frombuffer(base64.b64decode(text), np.uint8)
    return content.reshape(shape) * (2 * BOUND / 255) - BOUND


def kept(out: Path):
    found = read_denoising(out, [path.stem for path in (out / FOLDER).glob("*.json")])
    assert found is not None
    return found


def test_one_model_of_each_kind_is_decoded_and_kept(out):
    page = explore(out, device="cpu")
    assert page == out / "explore.html"
    [path] = (out / FOLDER).iterdir()  # of two seeds
    assert path.stat().st_size < 20_000
    found = kept(out)
    assert found.kind == "curve" and list(found.shape) == [8]
    assert {(each.steps, each.draws, each.calls) for each in found.decodings} == {
        (steps, draws, steps) for steps in STEPS for draws in DRAWS
    }
    assert len(found.conditions) == EXAMPLES and float(found.conditions[0]) > 0


def test_the_frames_are_the_samplers_path_from_the_evaluations_noise(out):
    explore(out, device="cpu")
    found, results = kept(out), load_results(out)
    training = next(e.training for e in results.evaluations if e.training.record.key == found.key)
    model, objective = load_model(Wave(), training)
    test = Wave().test_set()
    noise = torch.randn(test.target.shape, generator=_noise())[:EXAMPLES]
    condition = model.encode(test.observation[:EXAMPLES])
    [way] = [each for each in found.decodings if (each.steps, each.draws) == (4, 1)]
    frames = numbers(way.frames, (1, 5, EXAMPLES, 8))[0]
    x, grid = noise, uniform_grid(4)
    with torch.inference_mode():
        for place, t in enumerate(grid):
            np.testing.assert_allclose(frames[place], x.clamp(-BOUND, BOUND), atol=BOUND / 255 + 1e-6)
            if place < 4:
                x = x + objective.velocity(model, x, t.expand(len(x)), condition) / 4
    np.testing.assert_allclose(numbers(way.answer, (EXAMPLES, 8)), frames[-1], atol=1e-6)
    np.testing.assert_allclose(numbers(found.target, (EXAMPLES, 8)), test.target[:EXAMPLES], atol=BOUND / 255)


def _noise() -> torch.Generator:
    from toyflow.seeds import generator

    return generator(0, "test noise")


def test_the_answer_of_several_draws_is_their_mean(out):
    explore(out, device="cpu")
    [way] = [each for each in kept(out).decodings if (each.steps, each.draws) == (1, 8)]
    frames = numbers(way.frames, (8, 2, EXAMPLES, 8))
    np.testing.assert_allclose(frames[0::2, 0], -frames[1::2, 0], atol=2 * BOUND / 255)  # pairs of noise
    within = np.abs(frames[:, 1]).max() < BOUND - 0.1
    assert within  # none is cut off
    np.testing.assert_allclose(frames[:, 1].mean(0), numbers(way.answer, (EXAMPLES, 8)), atol=2 * BOUND / 255)


def test_what_is_kept_is_not_made_again_and_needs_no_weights(out):
    explore(out, device="cpu")
    [path] = (out / FOLDER).iterdir()
    before = path.stat().st_mtime_ns
    for weights in out.glob("cells/*/weights.safetensors"):
        weights.unlink()
    page = explore(out, device="cpu").read_text()
    assert path.stat().st_mtime_ns == before and kept(out).decodings[0].frames in page


def test_decodings_that_came_later_are_added(out):
    explore(out, device="cpu")
    study(out, steps=(1, 2, 4))
    explore(out, device="cpu")
    assert {each.steps for each in kept(out).decodings} == {1, 2, 4}


def test_a_model_that_was_trained_again_is_decoded_again(out):
    explore(out, device="cpu")
    before = kept(out)
    write_denoising(replace(before, weights="of an earlier training", target=""), out)
    explore(out, device="cpu")
    assert kept(out) == before
    other = replace(before, weights="of an earlier training")
    write_denoising(other, out)
    for weights in out.glob("cells/*/weights.safetensors"):
        weights.unlink()
    explore(out, device="cpu")
    assert kept(out) == other  # it can only be shown


def test_only_evaluations_of_noise_seed_0_are_decoded(monkeypatch):
    monkeypatch.setattr("toyflow.api.exploring._can_decode", lambda training: True)
    models = _to_decode(LIBERO)
    assert models and {each.record.noise_seed for model in models for each in model} == {0}


def test_no_film_is_shown_for_another_noise_seed(monkeypatch):
    film = Denoising("abc", "0", "curve", [2], "CCCC", ["0.5"], [""], [])
    monkeypatch.setattr("toyflow.report.explore.studies.read_denoising", lambda folder, keys: film)
    study = read_study("libero", LIBERO)
    assert {setting.noise_seed for setting in study.settings} == {0, 1}
    assert {study.settings[place].noise_seed for place in study.denoising} == {0}


def test_a_damaged_file_is_made_again_where_weights_are_and_else_left_out(out, caplog):
    explore(out, device="cpu")
    [path] = (out / FOLDER).iterdir()
    whole = path.read_text()
    damaged = whole.replace('"draws": 8', '"draws": 6', 1)
    path.write_text(damaged)
    explore(out, device="cpu")
    assert path.read_text() == whole and path.name in caplog.text
    path.write_text(damaged)
    for weights in out.glob("cells/*/weights.safetensors"):
        weights.unlink()
    caplog.clear()
    page = explore(out, device="cpu").read_text()
    assert '"denoising":{}' in page and '"score":' in page
    [warned] = [each.message for each in caplog.records if path.name in each.message]
    assert "left out" in warned and "\n" not in warned


def test_models_that_cannot_be_decoded_are_warned_of_and_the_page_is_written(out, caplog):
    for weights in out.glob("cells/*/weights.safetensors"):
        weights.write_bytes(b"not weights")
    page = explore(out, device="cpu").read_text()
    assert "is not shown denoising" in caplog.text and not (out / FOLDER).exists()
    assert '"denoising":{}' in page


def test_digits_are_shown_as_digits_of_one_draw(tmp_path):
    results = run_study(
        Dial({"tiles": "8"}), schedules=["uniform"], steps=[2], draws=[2], seeds=[0], iterations=2,
        device="cpu", out=tmp_path,
    )  # fmt: skip
    found = denoise(results.evaluations[0].training, results.evaluations, torch.device("cpu"))
    [way] = found.decodings
    assert found.kind == "digits" and list(found.shape) == [8, 10] and way.draws_shown == 1
    assert len(found.conditions[0].split()) == 8
    assert numbers(way.frames, (1, 3, EXAMPLES, 8, 10)).shape


class Arm(Task):
    """Three joints over five actions, no plug-in."""

    name, metrics = "arm", ("close",)

    def train_batch(self, size, generator):
        goal = torch.rand(size, 1, generator=generator)
        return Batch(goal, goal[:, :, None].expand(-1, 5, 3).contiguous())

    def test_set(self):
        return self.train_batch(10, torch.Generator().manual_seed(0))

    def build_model(self, options):
        return Joints()

    def score(self, sample, test):
        return {"close": ((sample - test.target).abs().amax((1, 2)) < 0.3).float()}


class Joints(Model):
    """A `VectorModel` of 15 numbers."""

    def __init__(self):
        super().__init__()
        self.vector = VectorModel(observation=1, target=15, width=16)

    def forward(self, x, t, condition, r=None):
        return self.vector(x.flatten(1), t, condition, r).unflatten(1, (5, 3))


def test_a_task_that_is_no_plug_in_is_handed_over(tmp_path, caplog):
    run_study(
        Arm(), schedules=["uniform", "shift:4"], steps=[1], seeds=[0], iterations=2, device="cpu",
        out=tmp_path,
    )  # fmt: skip
    caplog.clear()
    explore(tmp_path, device="cpu")
    [said] = [each.message for each in caplog.records]  # once, though it is so of both models
    assert "nor is 1 more" in said and "not installed" in said and not (tmp_path / FOLDER).exists()
    explore(tmp_path, task=Arm(), device="cpu")
    found = kept(tmp_path)
    assert found.kind == "curve" and list(found.shape) == [5, 3]


@pytest.mark.parametrize("objective", ["regression", "mip", "meanflow", "shortcut"])
def test_every_objective_ends_at_its_answer(tmp_path, objective):
    results = run_study(
        Wave(), objectives=[objective], schedules=["uniform"], steps=[1, 2], seeds=[0], iterations=2,
        device="cpu", out=tmp_path,
    )  # fmt: skip
    found = denoise(results.evaluations[0].training, results.evaluations, torch.device("cpu"))
    for way in found.decodings:
        frames = numbers(way.frames, (1, way.calls + 1, EXAMPLES, 8))
        assert np.array_equal(frames[0, -1], numbers(way.answer, (EXAMPLES, 8)))
        assert way.calls >= 1


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="holds no results"):
        explore(tmp_path)


def test_another_versions_results_are_one_line(out):
    (out / "toyflow.json").write_text(json.dumps({"format": 9, "written_by": "7.0"}))
    with pytest.raises(UsageError, match="results of format 9"):
        explore(out)


def test_of_several_folders_those_that_cannot_be_read_are_named_on_the_page(out):
    broken = Path(shutil.copytree(out, out.parent / "broken"))
    next(broken.glob("cells/*/config.json")).write_text("{")  # half-written
    page = explore(out.parent, device="cpu").read_text()
    assert "Not shown" in page and "<b>broken</b>" in page
