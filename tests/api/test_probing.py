"""`toyflow probe` on small folders that `run_study` leaves."""

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console

from toyflow.api.probing import probe
from toyflow.api.study import run_study
from toyflow.atomic import checksum, manifest_of
from toyflow.errors import UsageError
from toyflow.flow.samplers import euler
from toyflow.report.probe_report import IDEAL, Probed, over_models, show_probe, velocity_error, write_probe
from toyflow.report.style import Style
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained
from toyflow.toy.models import decode, load_model, task_of
from toyflow.toy.probe_examples import bench_of
from toyflow.toy.task import Task, make_task
from toyflow.toy.tasks.dial import Dial

SMALL = {"steps": 4, "examples": 60, "device": "cpu"}
STUDY = {"steps": [1], "batch_size": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def points(tmp_path_factory) -> Path:
    """Two schedules of two seeds, and two objectives besides."""
    out = tmp_path_factory.mktemp("points")
    for seeds, objectives in (([0, 1], ["flow"]), ([0], ["regression", "shortcut"])):
        run_study(
            make_task("points"), schedules=["uniform", "shift:4@beta"], objectives=objectives, seeds=seeds,
            iterations=8, out=out, **STUDY,
        )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Probed:
    """Of two settings of `dial`, and a model of another task, which only an older version puts beside it."""
    out, other = (tmp_path_factory.mktemp(name) for name in ("mixed", "other"))
    for task, model, folder in (
        (Dial({"modes": "1"}), {"decoder": "small"}, out),
        (Dial({"modes": "2"}), {"decoder": "small"}, out),
        (make_task("points"), None, other),
    ):
        run_study(task, schedules=["beta"], seeds=[0], iterations=2, model=model, out=folder, **STUDY)
    shutil.copytree(other / "cells", out / "cells", dirs_exist_ok=True)
    return probe(out, **SMALL)


@pytest.fixture(scope="module")
def probed(points) -> Probed:
    return probe(points, **SMALL)


def shown(probed: Probed) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show_probe(probed, console)
    return " ".join(console.export_text().split())


def key_of(out: Path, label: str, seed: int = 0) -> str:
    trainings = existing_store(out).trainings()
    return next(t.record.key for t in trainings if (t.record.label, t.record.seed) == (label, seed))


def test_every_model_with_a_velocity_is_probed(probed):
    counts = probed.paths.groupby("label").size().to_dict()
    assert counts == {
        "uniform": 2, "shift:4@beta": 2, "shortcut(uniform)": 1, "shortcut(shift:4@beta)": 1,
    }  # fmt: skip
    assert "regression" in probed.labels
    assert len(probed.errors) == 20 * 6 and "excess" not in probed.errors
    assert probed.errors["noise_level"].min() == 0.05 and set(probed.errors["examples"]) == {60}


def test_every_model_is_taken_apart(points, probed):
    assert {model.label for model in probed.anatomies} == set(probed.labels)
    assert len(probed.anatomies) == 7
    by_label = {model.label: model for model in probed.anatomies}
    steps = {label: model.steps for label, model in by_label.items()}
    assert steps == {
        "uniform": 10, "shift:4@beta": 10, "shortcut(uniform)": 8, "shortcut(shift:4@beta)": 8,
        "regression": None,
    }  # fmt: skip
    assert all(model.may_predict_data for label, model in by_label.items() if label != "regression")
    silent = by_label["regression"].anatomy
    assert float(silent.leak.abs().max()) == 0 and silent.model_spread is None
    assert float(by_label["uniform"].anatomy.leak.mean()) > 0.01
    assert by_label["uniform"].variance == pytest.approx(1, abs=0.3)


def test_the_anatomy_adds_up_to_the_error_of_decodings(points):
    """The one-step error again, of 16 noises that the anatomy does not use."""
    found = probe(points, ["uniform"], **{**SMALL, "examples": 100}).anatomies[0]
    task = make_task("points")
    model, objective = load_model(task, existing_store(points).training(found.key))
    test = task.test_set()
    samples = [
        decode(model, objective, test, EvaluationRecord("euler", 1, noise_seed=seed))[0]
        for seed in range(2, 18)
    ]
    error = torch.stack([(sample - test.target).square().mean() for sample in samples]).mean()
    assert found.anatomy.error is not None
    assert float(found.anatomy.error.mean()) == pytest.approx(float(error), rel=0.05)
    variance = torch.stack(samples).var(0).mean()
    assert float(found.anatomy.leak.mean()) == pytest.approx(float(variance), rel=0.1)


def test_the_dial_tells_bias_from_spread(mixed):
    """Of the optimal velocity no error is left but the spread, which two equally likely faces have."""
    found = {(model.label, model.variant): model.anatomy for model in mixed.anatomies}
    for (label, variant), anatomy in found.items():
        if "points" in variant:
            assert anatomy.spread is None and anatomy.bias_and_spread is not None
            continue
        assert anatomy.spread is not None and anatomy.bias is not None and anatomy.groups is None
        expected = 0.0 if "modes=1" in variant else 2 * (10 / 3) ** 2 / 4 / 10
        assert float(anatomy.spread.mean()) == pytest.approx(expected, abs=1e-4)
        if label == IDEAL:
            assert float(anatomy.leak.abs().max()) < 1e-6 and float(anatomy.bias.abs().max()) < 1e-4
            assert anatomy.model_spread is not None
            assert float(anatomy.model_spread.mean()) == pytest.approx(expected, rel=0.25, abs=1e-4)
    assert len(found) == 5


def test_equal_conditions_are_a_group():
    class Classes(Dial):
        name = "classes"

        def test_set(self):
            batch = super().test_set()
            return batch._replace(observation=batch.observation[:, :1] % 5, target=batch.target[:, :1])

    groups = bench_of(Classes({"tiles": "1"}), 60, torch.device("cpu")).groups
    assert groups is not None and len(groups) == 60 and len(groups.unique()) == 5


def test_the_numbers_are_of_the_models_own_samples(points, probed):
    """The one-step gap, again from two decodings of the test set, whose noise the probe shares."""
    store, task = existing_store(points), make_task("points")
    row = probed.paths[probed.paths["label"] == "uniform"].iloc[0]
    training = store.training(row["key"])
    model, objective = load_model(task, training)
    records = [next(iter(store.evaluations(training))).record]
    records.append(type(records[0])("euler", 4))
    one, many = (decode(model, objective, task.test_set(), record)[0][:60] for record in records)
    gap = (one - many).norm(dim=1)
    assert row["one_step_gap"] == pytest.approx(gap.mean().item(), rel=1e-4)
    assert row["one_step_gap_rms"] == pytest.approx(gap.mean().item() / 2**0.5, rel=1e-4)
    assert row["one_step_gap_se"] == pytest.approx(gap.std().item() / 60**0.5, rel=1e-4)


def test_a_jump_is_compared_with_the_path_of_its_own_velocity(points, probed):
    row = probed.paths.set_index("label").loc["shortcut(uniform)"]
    task = make_task("points")
    model, objective = load_model(task, existing_store(points).training(row["key"]))
    test = task.test_set().part(slice(0, 60))
    noise = torch.zeros_like(test.target)
    jump = objective.decode(model, test.observation, noise, 1, euler)
    assert not torch.allclose(jump, noise + objective.velocity(model, noise, noise[:, 0], test.observation))
    assert row["one_step_gap"] > 0


def test_the_same_probe_gives_the_same_numbers(points, probed):
    again = probe(points, ["uniform"], **SMALL)
    columns = ["seed", "noise_level", "mse", "cosine_error"]
    first = probed.errors[probed.errors["label"] == "uniform"]
    pd.testing.assert_frame_equal(first[columns].reset_index(drop=True), again.errors[columns])


def test_bands_are_over_seeds_where_there_are_several(probed):
    rows = over_models(probed.paths).set_index("label")
    values = probed.paths.loc[probed.paths["label"] == "uniform", "straightness"]
    several, one = rows.loc["uniform"], rows.loc["shortcut(uniform)"]
    assert (several["seeds"], several["interval"]) == (2, "95 %, t over seeds")
    half = 12.7062 * abs(values.iloc[0] - values.iloc[1]) / 2
    assert several["straightness_high"] - several["straightness"] == pytest.approx(half, rel=1e-4)
    assert (one["seeds"], one["interval"]) == (1, "95 %, normal over examples")
    error = probed.paths.set_index("label").loc["shortcut(uniform)", "straightness_se"]
    assert one["straightness_high"] - one["straightness"] == pytest.approx(1.96 * error, rel=1e-4)


def test_models_are_chosen_by_label_key_or_its_beginning(points):
    key = key_of(points, "uniform", 1)
    for name in (key, key[:9]):
        assert probe(points, [name], **SMALL).paths["key"].tolist() == [key]
    both = probe(points, ["shift:4@beta:1:1.5", "shift:4@beta"], **SMALL).paths
    assert both["label"].tolist() == ["shift:4@beta"] * 2 and both["seed"].tolist() == [0, 1]


def test_progress_ends_at_its_total(points):
    seen = []
    probe(points, ["uniform"], steps=2, examples=500, device="cpu", on_progress=lambda *p: seen.append(p))
    assert seen == [(1, 2), (2, 2)]


def test_settings_and_tasks_of_one_folder_are_kept_apart(mixed):
    names = set(mixed.paths["variant"])
    assert len(names) == 3 and all("dial, " in name or "points" in name for name in names)
    one, two = (
        mixed.paths[(mixed.paths["label"] == IDEAL) & mixed.paths["variant"].str.contains(f"modes={n}")]
        for n in (1, 2)
    )
    assert one["one_step_gap"].item() < 1e-4 and two["one_step_gap"].item() > 1
    assert two["outcome_changed"].item() > 0.3 and one["outcome_changed"].item() == 0
    of_points = mixed.errors[mixed.errors["variant"].str.contains("points")]
    assert set(of_points["label"]) == {"beta"} and of_points["excess"].isna().all()
    text = shown(mixed)
    assert "excess" in text and "n/a" in text and IDEAL in text
    figure = velocity_error(over_models(mixed.errors), Style(mixed.labels))
    assert [axes.get_visible() for axes in figure.axes] == [True] * 8 + [False]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["beta", IDEAL]
    plt.close(figure)


def test_excess_is_what_the_error_has_above_the_ideal(mixed):
    errors = mixed.errors
    errors = errors[errors["variant"].str.contains("modes=1")].set_index(["label", "noise_level"])
    assert np.allclose(errors.loc["beta", "mse"], errors.loc["beta", "excess"], rtol=1e-4)
    assert errors.loc[IDEAL, "mse"].max() < 1e-8 and errors.loc[IDEAL, "excess"].max() == 0


def test_what_is_written(probed, tmp_path):
    written = write_probe(probed, tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in written] == [
        "probe/anatomy.csv", "probe/anatomy_by_model.json", "probe/anatomy.png",
        "probe/velocity_error.csv", "probe/paths.csv", "probe/velocity_error.png",
    ]  # fmt: skip
    anatomy, errors, paths = (pd.read_csv(path) for path in (written[0], *written[3:5]))
    assert {"mse", "mse_low", "mse_high", "cosine_error", "noise_level", "interval"} <= set(errors)
    assert len(errors) == 20 * 4 and len(paths) == 4 and set(paths["steps"]) == {4}
    assert len(anatomy) == 5 and set(anatomy["conditions"]) == set(anatomy["groups"]) == {60}
    assert set(anatomy["conditions_are"]) == {"test set"}
    for figure in (written[2], written[5]):
        pixels = np.asarray(Image.open(figure).convert("L"))
        assert min(pixels.shape) > 400 and pixels.std() > 10
    first = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_probe(probed, tmp_path)] == first
    assert manifest_of(tmp_path / "probe") == {path.name: checksum(path) for path in written}
    text = shown(probed)
    assert "Student's t over seeds; normal over examples" in text and "variant" not in text


def test_of_an_earlier_probe_nothing_is_left(probed, tmp_path):
    write_probe(probed, tmp_path)
    without = replace(probed, errors=probed.errors[:0], paths=probed.paths[:0])
    written = {path.name for path in write_probe(without, tmp_path)}
    assert written == {"anatomy.csv", "anatomy_by_model.json", "anatomy.png"}
    assert {path.name for path in (tmp_path / "probe").iterdir()} == {*written, "manifest.json"}


@pytest.mark.parametrize(
    ("selection", "message"),
    [(["shfit:4@beta"], "Did you mean 'shift:4@beta'"), ([""], "matches 7 keys")],
)
def test_what_cannot_be_probed_is_said(points, selection, message):
    with pytest.raises(UsageError, match=message) as error:
        probe(points, selection, **SMALL)
    assert "\n" not in str(error.value)


def test_a_folder_without_velocities_has_an_anatomy(points, tmp_path):
    with pytest.raises(UsageError, match="holds no results"):
        probe(tmp_path, **SMALL)
    key = key_of(points, "regression")
    shutil.copytree(points / "cells" / key, tmp_path / "cells" / key)
    probed = probe(tmp_path, **SMALL)
    assert probed.paths.empty and [model.key for model in probed.anatomies] == [key]
    assert [path.name for path in write_probe(probed, tmp_path)] == [
        "anatomy.csv", "anatomy_by_model.json", "anatomy.png",
    ]  # fmt: skip
    text = shown(probed)
    assert "velocity" not in text and "regression: one step loses" in text


def test_models_of_objectives_that_are_not_installed_are_passed_over(points, tmp_path):
    store = Store(tmp_path)
    store.prepare()
    training = existing_store(points).training(key_of(points, "regression"))
    foreign = replace(training.record, objective="imported")
    store.write_training(foreign, Trained(training.weights(), training.curve(), dict(training.details)), {})
    with pytest.raises(UsageError, match=r"no model in .* is of an objective that is installed"):
        probe(tmp_path, **SMALL)
    shutil.copytree(training.folder, tmp_path / "cells" / training.record.key)
    assert [model.label for model in probe(tmp_path, **SMALL).anatomies] == ["regression"]
    with pytest.raises(UsageError, match="objective of imported is not installed; these can be probed: reg"):
        probe(tmp_path, ["imported"], **SMALL)


def test_models_of_another_recipe_version_are_passed_over(points, tmp_path):
    """Their weights may fit and mean something else."""
    store = Store(tmp_path)
    store.prepare()
    training = existing_store(points).training(key_of(points, "uniform"))
    old = replace(training.record, recipe_version=1)
    store.write_training(old, Trained(training.weights(), training.curve(), dict(training.details)), {})
    with pytest.raises(UsageError, match="are of recipe version 1, and this toyflow builds"):
        probe(tmp_path, **SMALL)
    shutil.copytree(training.folder, tmp_path / "cells" / training.record.key)
    assert probe(tmp_path, **SMALL).paths["key"].tolist() == [training.record.key]
    with pytest.raises(UsageError, match="unknown schedule, objective or key of recipe version"):
        probe(tmp_path, [old.key], **SMALL)


def test_one_step_and_one_example_are_too_few(points):
    for few in ({"steps": 1}, {"examples": 1}):
        with pytest.raises(UsageError, match=r"at least 2 (steps|examples), got 1"):
            probe(points, **{**SMALL, **few})


def test_models_without_weights(points, tmp_path):
    key = key_of(points, "uniform")
    shutil.copytree(points / "cells" / key, tmp_path / "cells" / key)
    (tmp_path / "cells" / key / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match="without weights, which cannot be probed"):
        probe(tmp_path, **SMALL)


class Own(Dial):
    name = "own"


def benches(task: Task):
    return lambda training, examples, device: bench_of(task_of(training.record, task), examples, device)


def test_a_task_that_is_not_installed_is_handed_over(tmp_path):
    task: Task = Own({"modes": "3", "tiles": "1"})
    run_study(
        task, schedules=["beta"], seeds=[0], iterations=2, model={"decoder": "small"}, out=tmp_path, **STUDY
    )
    with pytest.raises(
        UsageError, match=r"'own', is not installed; there is: .*dial.*`toyflow.tasks`.*extend\.md"
    ):
        probe(tmp_path, **SMALL)
    assert probe(tmp_path, bench_of=benches(task), **SMALL).paths["label"].tolist() == ["beta", IDEAL]
    with pytest.raises(UsageError, match="these results are of own with modes=3"):
        probe(tmp_path, bench_of=benches(Own({"modes": "2", "tiles": "1"})), **SMALL)
    held_out = Own({"modes": "3", "tiles": "1", "split": "validation"})
    with pytest.raises(UsageError, match="these results are of own with modes=3"):
        probe(tmp_path, bench_of=benches(held_out), **SMALL)
    with pytest.raises(UsageError, match="these results are of task own; this is dial"):
        probe(tmp_path, bench_of=benches(Dial()), **SMALL)
