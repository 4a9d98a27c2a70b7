from pathlib import Path

import pandas as pd
import pytest

from toyflow import stats
from toyflow.report.paper.published import beside_published, published, published_table
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
    seed=0,
    recipe=None,
    assets="own",
    **model,
):
    chosen = {
        "size": "tiny", "horizon": "10", "supervision": "mask", "cameras": "all", "language": "on",
        "state": "on", **model,
    }  # fmt: skip
    details = {
        "metrics": {"success": hits / episodes},
        "trials": {"environment": "libero", "suite": suite, "assets": assets},
        "examples": episodes,
    }
    record = TrainingRecord(
        "robot", chosen, objective, schedule, None, seed, recipe or {}, prediction=prediction
    )
    training = StoredTraining(Path(), record, {}, {})
    return StoredEvaluation(
        Path(),
        training,
        EvaluationRecord(
            sampler, steps, grid=grid, draws=draws, test_set=f"suite={suite} states=0-49 assets={assets}"
        ),
        details,
    )


def beside(*evaluations):
    return beside_published(Results(pd.DataFrame(), evaluations, "success"))


def test_the_studys_tables_are_all_there():
    assert published().groupby("table").size().to_dict() == {1: 36, 2: 18, 3: 16, 4: 16, 5: 2, 10: 4, 11: 8}


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


def test_the_interval_is_wilsons_of_one_seed_and_over_seeds_of_several():
    [row] = beside(evaluation(hits=42)).to_dict("records")
    assert (row["seeds"], row["ours"], row["interval"]) == (1, pytest.approx(84.0), stats.WILSON)
    assert (row["low_95"], row["high_95"]) == pytest.approx(
        tuple(100 * bound for bound in (stats.wilson(42, 50).low, stats.wilson(42, 50).high))
    )
    [row] = beside(*(evaluation(hits=40 + 2 * seed, seed=seed) for seed in range(3))).to_dict("records")
    expected = stats.proportion_over_seeds([40, 42, 44], [50] * 3)
    assert (row["seeds"], row["episodes"], row["interval"]) == (3, 150, stats.T)
    assert (row["low_95"], row["high_95"]) == pytest.approx((100 * expected.low, 100 * expected.high))


@pytest.mark.parametrize(
    ("other", "variants"),
    [
        ({"recipe": {"iterations": 9000.0}}, {"", "iterations=9000"}),
        ({"assets": "generated"}, {"assets=own", "assets=generated"}),
    ],
)
def test_recipes_and_assets_are_not_pooled_and_are_told_at_the_number(other, variants):
    results = Results(pd.DataFrame(), [evaluation(hits=40), evaluation(hits=10, **other)], "success")
    found = beside_published(results)
    assert sorted(found["ours"]) == pytest.approx([20.0, 80.0])
    assert set(found["variant"]) == variants
    [table] = published_table(results)
    place = list(table.columns).index("ours differ in")
    assert {row[place] for row in table.rows} == variants and table.names == 8


def test_other_sizes_are_named_and_other_tasks_are_nothing():
    [row] = beside(evaluation(size="nano")).to_dict("records")
    assert row["our_size"] == "nano"
    toy = evaluation()
    assert beside(StoredEvaluation(toy.folder, toy.training, toy.record, {})).empty
