"""Tables and figures, from a results folder made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console

from toyflow import stats
from toyflow.errors import UsageError
from toyflow.flow import parse_schedule
from toyflow.report import paired_tables, tables
from toyflow.report.results import load_results
from toyflow.report.schedules_table import schedules_table, sparkline
from toyflow.report.write import write_report
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained
from toyflow.training import LOSS_BINS

N = 200
STEPS = (1, 4, 10)


def add(store: Store, label: str, seed: int, rates: dict[int, float], encoder: str = "base") -> None:
    """One trained model that is right on the first `rate` of the examples for each K."""
    flow = label not in ("regression", "pure-noise")
    record = TrainingRecord(
        task="points", model={"encoder": encoder}, objective="flow" if flow else label,
        schedule=label if flow else None, time_sampling="stratified" if flow else None, seed=seed,
        recipe={"iterations": 20.0},
    )  # fmt: skip
    curve = pd.DataFrame(
        {"iteration": np.arange(1, 21), "loss": np.geomspace(1, 0.01, 20), "learning_rate": 0.1}
    )
    for i in range(LOSS_BINS):
        curve[f"loss_s{i / LOSS_BINS:.1f}"] = curve["loss"] * (1 + i)
    details = {"parameters": 10, "seconds": 2.0, "final_loss": 0.01}
    store.write_training(record, Trained({"w": torch.zeros(1)}, curve, details), {})
    for steps, rate in rates.items():
        right = (np.arange(N) < round(rate * N)).astype(float)
        details = {
            "metrics": {"exact_match": float(right.mean()), "digit_accuracy": 0.99}, "examples": N,
            "model_calls": steps, "encode_seconds": 0.1, "decode_seconds": 0.05 * steps,
        }  # fmt: skip
        outcomes = pd.DataFrame({"exact_match": right, "digit_accuracy": 0.99})
        store.write_evaluation(record, EvaluationRecord("euler", steps), Evaluated(outcomes, details), {})


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    for seed in range(3):
        add(store, "uniform", seed, {1: 0.60 + 0.01 * seed, 4: 0.70, 10: 0.80})
        add(store, "shift:4@beta", seed, {1: 0.86 + 0.01 * seed, 4: 0.86, 10: (0.86, 0.875, 0.88)[seed]})
        add(store, "groot", seed, {1: 0.7, 4: 0.7, 10: 0.7})
        add(store, "regression", seed, {1: 0.85})
    return store


def shown(table) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(table)
    return " ".join(console.export_text().split())


def test_rows_are_ordered_by_mass_at_the_noise_end(store):
    labels = load_results(store).frame["label"].unique().tolist()
    assert labels == ["uniform", "groot", "shift:4@beta", "regression"]


def test_summary_has_the_seed_as_its_unit(store):
    summary = tables.summary(load_results(store)).set_index(["label", "steps"])
    row = summary.loc[("uniform", 1)]
    assert row["score"] == pytest.approx(0.61) and row["seeds"] == 3 and row["interval"] == stats.T
    assert row["high_95"] - row["score"] == pytest.approx(4.3027 * 0.01 / np.sqrt(3), rel=1e-4)
    assert ("regression", 10) not in summary.index
    text = shown(tables.summary_table(summary.reset_index()))
    assert "n/a" in text and "61.0" in text and "t over seeds, on this test set" in text


def test_one_seed_is_said_to_be_test_set_error_only(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    add(store, "beta", 0, {1: 0.5})
    summary = tables.summary(load_results(store))
    assert summary.loc[0, "interval"] == stats.WILSON
    assert "test-set error only" in shown(tables.summary_table(summary))


def test_one_step_against_ten(store):
    models = paired_tables.paired(load_results(store))
    by_law = models.set_index(["label", "seed"])
    assert by_law.loc[("uniform", "0"), "verdict"] == "worse"
    assert by_law.loc[("uniform", "0"), ["only_K1_right", "only_K10_right"]].tolist() == [0, 40]
    assert by_law.loc[("shift:4@beta", "0"), "verdict"] == "equivalent"
    assert "regression" not in models["label"].tolist()
    over = paired_tables.paired_by_setting(models).set_index("label")
    assert over.loc["uniform", "verdict"] == "worse" and over.loc["uniform", "seed"] == "all 3"
    assert over.loc["shift:4@beta", "verdict"] == "equivalent"
    assert "equivalent" in shown(paired_tables.paired_table(models))


def test_a_difference_that_is_not_significant_is_not_equivalent(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    add(store, "beta", 0, {1: 0.84, 10: 0.85})
    assert paired_tables.paired(load_results(store), margin=0.005).loc[0, "verdict"] == "undecided"


def test_what_else_differs_becomes_the_variant(store):
    add(store, "uniform", 0, {1: 0.3}, encoder="small")
    frame = load_results(store).frame
    assert set(frame["variant"]) == {"encoder=base", "encoder=small"}
    summary = tables.summary(load_results(store))
    assert "encoder=small" in shown(tables.summary_table(summary))


def test_every_figure_is_drawn_and_is_not_blank(store, tmp_path):
    add(store, "uniform", 0, {1: 0.3, 10: 0.4}, encoder="small")
    written = write_report(tmp_path, ["png", "svg"])
    pictures = [p for p in written if p.suffix == ".png"]
    names = {"score_by_steps", "schedule_densities", "training_curves", "score_by_decode_time"}
    assert {p.stem for p in pictures} == names
    for picture in pictures:
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert min(pixels.shape) > 400 and pixels.std() > 10
    assert "no density: groot" in (tmp_path / "figures" / "schedule_densities.svg").read_text().replace(
        "<!-- ", ""
    )
    tables_written = {p.name for p in written if p.suffix == ".csv"}
    assert tables_written == {
        "summary.csv", "one_against_ten_steps.csv", "one_against_ten_steps_by_setting.csv",
    }  # fmt: skip


def test_figures_of_the_same_results_are_the_same_files(store, tmp_path):
    first = {p: p.read_bytes() for p in write_report(tmp_path, ["png", "svg", "pdf"])}
    second = {p: p.read_bytes() for p in write_report(tmp_path, ["png", "svg", "pdf"])}
    assert first == second


def test_series_are_told_apart_without_colour(store):
    from toyflow.report.style import Style

    labels = [f"shift:{i}" for i in range(2, 12)]
    style = Style(labels)
    for kind in (style.line, style.sparse):
        looks = {(kind(x)["marker"], str(kind(x)["linestyle"])) for x in labels}
        assert len(looks) == len(labels) and all(marker for marker, _ in looks)


def test_seeds_without_spread_decide_nothing(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    for seed in (0, 1):
        add(store, "beta", seed, {1: 0.80, 10: 0.70})
    over = paired_tables.paired_by_setting(paired_tables.paired(load_results(store)))
    assert over.loc[0, "verdict"] == "undecided"


def test_two_tasks_in_one_folder_are_refused(store):
    record = TrainingRecord("other", {}, "flow", "beta", "stratified", 0, {"iterations": 1.0})
    details = {"parameters": 1, "seconds": 1.0, "final_loss": 0.1}
    store.write_training(record, Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [1.0]}), details), {})
    details = {
        "metrics": {"good": 1.0}, "examples": 1, "model_calls": 1,
        "encode_seconds": 0.1, "decode_seconds": 0.1,
    }  # fmt: skip
    evaluated = Evaluated(pd.DataFrame({"good": [1.0]}), details)
    store.write_evaluation(record, EvaluationRecord("euler", 1), evaluated, {})
    with pytest.raises(UsageError, match="several tasks, other, points"):
        load_results(store)


def test_a_schedule_whose_plugin_is_gone_is_left_out_of_the_densities(store, tmp_path):
    add(store, "vanished:3", 0, {1: 0.5})
    assert "schedule_densities.png" in [p.name for p in write_report(tmp_path)]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no results"):
        write_report(tmp_path)


def test_sparklines_show_where_the_mass_is():
    assert sparkline(parse_schedule("uniform")) == "█" * 20
    leaning = sparkline(parse_schedule("shift:8"))
    assert leaning[0] == "█" and leaning[-1] in " ▁"
    assert sparkline(parse_schedule("groot"))[0] != " "


def test_the_table_of_schedules_names_every_family():
    text = shown(schedules_table())
    for name in (
        "uniform",
        "beta",
        "shift:4@beta",
        "logit-normal:0:1",
        "mode:1.29",
        "edm",
        "pi0",
        "groot-n1.7",
        "1 = noise",
    ):
        assert name in text
