"""Contrasts of results by seed and by example, in a results folder made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from toyflow import stats
from toyflow.atomic import DamagedError
from toyflow.report.contrasts import contrast
from toyflow.report.effects import difference
from toyflow.report.evidence import tidy
from toyflow.report.results import load_results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

TASK = "grid-to-sequence"
N, SEEDS = 60, 3


@pytest.fixture
def rows(tmp_path):
    """Rows of two schedules in one step and in ten, each right by chance."""
    store, draw = Store(tmp_path), np.random.default_rng(0)
    store.prepare()
    for schedule in ("uniform", "shift:4"):
        for seed in range(SEEDS):
            record = TrainingRecord(
                TASK, {"encoder": "base", "decoder": "base", "attention": "cross"}, "flow", schedule,
                "stratified", seed, {"iterations": 20.0, "batch_size": 8.0},
            )  # fmt: skip
            details = {"parameters": 1, "seconds": 1.0}
            trained = Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [1.0]}), details)
            store.write_training(record, trained, {})
            for steps in (1, 10):
                outcomes = pd.DataFrame({"exact_match": draw.integers(0, 2, N) * 1.0, "near": draw.random(N)})
                metrics = {**outcomes.mean().to_dict(), "distance": 2.0 + draw.random()}
                details = {
                    "metrics": metrics, "examples": N, "model_calls": steps,
                    "encode_seconds": 0.1, "decode_seconds": 0.1,
                }  # fmt: skip
                decoding = EvaluationRecord("euler", steps)
                store.write_evaluation(record, decoding, Evaluated(outcomes, details), {})
    return tidy({"folder": load_results(tmp_path)}, [TASK])


def of(rows, schedule, steps):
    return rows[(rows["schedule"] == schedule) & rows["steps"].isin(steps)]


def test_a_contrast_by_example_is_the_contrast_of_the_stored_outcomes(rows):
    over = contrast(of(rows, "shift:4", [1]), of(rows, "uniform", [1]))
    assert over is not None and over.by_example is not None
    table = over.by_example.differences
    assert table.shape == (SEEDS, N) and over.by_example.within == (-1, 1)
    assert table.mean(axis=1).tolist() == pytest.approx(over.difference.tolist())
    last = rows[rows["seed"] == 2]
    [one], [other] = (of(last, name, [1])["evaluation"] for name in ("shift:4", "uniform"))
    by_hand = one.outcomes()["exact_match"] - other.outcomes()["exact_match"]
    assert table.loc[2].tolist() == by_hand.tolist()
    assert over.crossed(0.90) == stats.crossed(table.to_numpy(), 0.90, (-1, 1))


def test_rows_alike_are_averaged_by_example_as_they_are_by_seed(rows):
    over = contrast(of(rows, "shift:4", [1, 10]), of(rows, "uniform", [1, 10]), alike=["steps"])
    assert over is not None and over.by_example is not None
    assert over.by_example.differences.mean(axis=1).tolist() == pytest.approx(over.difference.tolist())


def test_differences_of_differences_and_reversed_ones(rows):
    one, ten = (contrast(of(rows, "shift:4", [k]), of(rows, "uniform", [k])) for k in (1, 10))
    assert one is not None and ten is not None
    gain = one.minus(ten)
    assert gain is not None and gain.by_example is not None and gain.by_example.within == (-2, 2)
    assert gain.by_example.differences.mean(axis=1).tolist() == pytest.approx(gain.difference.tolist())
    there, back = gain.crossed(), gain.reversed().crossed()
    assert there is not None and back is not None and there.low == pytest.approx(-back.high)


def test_other_metrics_by_example_and_those_of_all_samples(rows):
    pair = of(rows, "shift:4", [1]), of(rows, "uniform", [1])
    near, distance = contrast(*pair, "near"), contrast(*pair, "distance")
    assert near is not None and near.by_example is not None and near.by_example.within is None
    assert near.by_example.differences.mean(axis=1).tolist() == pytest.approx(near.difference.tolist())
    assert distance is not None and distance.crossed() is None
    assert distance.deciding() == distance.interval() and "[over seeds: " in difference(distance, "")


def test_one_seed_has_no_interval_for_new_seeds(rows):
    first = rows[rows["seed"] == 0]
    over = contrast(of(first, "shift:4", [1]), of(first, "uniform", [1]))
    assert over is not None and over.crossed() is None and over.deciding() is None


def test_altered_outcomes_are_refused(rows):
    over = contrast(of(rows, "shift:4", [1]), of(rows, "uniform", [1]))
    file = rows["evaluation"].iloc[0].folder / "outcomes.csv"
    file.write_text(file.read_text().replace("1.0,", "0.0,", 1))
    with pytest.raises(DamagedError, match="checksum"):
        assert over is not None and over.crossed()
