from pathlib import Path

import pandas as pd
import pytest

from toyflow.report.paper.published import beside_published, published
from toyflow.report.results import Results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation, StoredTraining


def evaluation(
    schedule: str | None = "shift:4",
    steps=1,
    suite="libero_10",
    hits=40,
    episodes=50,
    objective="flow",
    prediction=None,
    sampler="euler",
    grid=None,
    draws=1,
    **model,
):
    chosen = {
        "size": "tiny", "horizon": "10", "supervision": "mask", "cameras": "all", "language": "on",
        "state": "on", **model,
    }  # fmt: skip
    details = {
        "metrics": {"success": hits / episodes},
        "trials": {"environment": "libero", "suite": suite, "assets": "whole"},
        "examples": episodes,
    }
    record = TrainingRecord("robot", chosen, objective, schedule, None, 0, {}, prediction=prediction)
    training = StoredTraining(Path(), record, {}, {})
    return StoredEvaluation(
        Path(), training, EvaluationRecord(sampler, steps, grid=grid, draws=draws), details
    )


def beside(*evaluations):
    return beside_published(Results(pd.DataFrame(), evaluations, "success"))


def test_the_studys_tables_are_all_there():
    assert published().groupby("table").size().to_dict() == {1: 36, 2: 18, 3: 16, 4: 16, 10: 4, 11: 8}


@pytest.mark.parametrize(
    ("result", "figures"),
    [
        (evaluation(), {(1, 85.2)}),
        (evaluation(steps=10), {(1, 63.4)}),
        (evaluation(horizon="40"), {(2, 44.6)}),
        (evaluation(cameras="none"), {(3, 31.6)}),
        (evaluation(language="off"), {(3, 56.6)}),
        (evaluation(size="full", supervision="full", suite="libero_object"), {(4, 100.0)}),
        (evaluation("uniform", supervision="full"), {(10, 59.8)}),
        (evaluation(None, suite="libero_goal", objective="regression-learned-zero"), {(11, 59.4)}),
        (evaluation("beta"), set()),
        (evaluation(horizon="15"), set()),
    ],
)
def test_each_result_stands_beside_the_figure_of_its_setting(result, figures):
    found = beside(result)
    assert set(zip(found["table"], found["success"], strict=True)) == figures


@pytest.mark.parametrize(
    "how", [{"draws": 8}, {"grid": "shift:3"}, {"sampler": "heun"}, {"prediction": "data"}]
)
def test_what_is_predicted_or_decoded_otherwise_is_left_out(how):
    assert beside(evaluation(**how)).empty
    [row] = beside(evaluation(), evaluation(hits=0, **how)).to_dict("records")
    assert (row["episodes"], row["ours"]) == (50, pytest.approx(80.0))


def test_seeds_are_pooled_and_the_interval_is_wilsons():
    [row] = beside(evaluation(hits=40), evaluation(hits=44)).to_dict("records")
    assert (row["episodes"], row["ours"]) == (100, pytest.approx(84.0))
    assert row["low"] == pytest.approx(75.58, abs=0.01) and row["high"] == pytest.approx(89.90, abs=0.01)


def test_other_sizes_are_named_and_other_tasks_are_nothing():
    [row] = beside(evaluation(size="nano")).to_dict("records")
    assert row["our_size"] == "nano"
    toy = evaluation()
    assert beside(StoredEvaluation(toy.folder, toy.training, toy.record, {})).empty
