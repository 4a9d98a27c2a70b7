"""Draws and grids of one model against its plain decodings, and what a plan takes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toyflow.report.episode_tables import by_task, latency
from toyflow.report.results import Results
from toyflow.report.tables import decodings_table, paired, paired_decodings, paired_over_seeds
from toyflow.stats import paired_proportions
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation, StoredTraining


class Evaluation(StoredEvaluation):
    """Its outcomes are drawn from its record's key: right in half of the examples."""

    def outcomes(self) -> pd.DataFrame:
        right = np.random.default_rng(int(self.record.key[:8], 16)).integers(0, 2, 40)
        return pd.DataFrame({"success": right})


def evaluated(seed: int = 0, **details) -> list[Evaluation]:
    record = TrainingRecord("robot", {}, "flow", "uniform", "stratified", seed, {})
    training = StoredTraining(Path(), record, {}, {})
    made = [
        EvaluationRecord("euler", steps, draws=draws, grid=grid)
        for steps, draws, grid in ((1, 1, None), (10, 1, None), (1, 8, None), (2, 1, "0:0.9:1"))
    ]
    details = {"metrics": {"success": 0.5}, "examples": 40, "model_calls": 1, **details}
    return [Evaluation(Path(), training, each, details) for each in made]


def test_each_is_held_against_the_plain_decodings_of_its_model():
    every = evaluated(0) + evaluated(1)
    models = paired_decodings(Results(pd.DataFrame(), every, "success"))
    pairs = list(zip(models["decoding"], models["against"], models["seed"], strict=True))
    named = [("K=1 M=8", "K=1"), ("K=1 M=8", "K=10"), ("K=2 grid=0:0.9:1", "K=10")]
    assert pairs == [(*pair, str(seed)) for seed in (0, 1) for pair in named]
    one, other = (every[place].outcomes()["success"].to_numpy() > 0.5 for place in (2, 1))
    test, row = paired_proportions(one, other), models.iloc[1]
    assert row["mcnemar_p"] == test.p_value and row["difference"] == test.difference.estimate
    assert (row["only_decoding_right"], row["only_against_right"]) == (test.first_only, test.second_only)
    over = paired_over_seeds(models, ["decoding", "against"])
    assert list(over["seed"]) == ["all 2"] * 3 and list(over["decoding"]) == [pair[0] for pair in named]
    assert decodings_table(models).row_count == 9


def test_plain_decodings_alone_make_no_rows():
    assert paired_decodings(Results(pd.DataFrame(), evaluated()[:2], "success")).empty


@pytest.mark.parametrize("new", [True, False])
def test_a_plan_is_told_as_a_multiple_of_one_step(new):
    """Older results name the plan by its number of steps, and have no plan in one step beside it."""
    times = {"p50": 6.0, "p95": 7.0}
    plan = {"K=1 M=8": times} if new else {"1": times}
    one_step = {"one_step": {"p50": 4.0, "p95": 5.0}} if new else {}
    each = {"p50": 1.0, "p95": 1.0}
    parts = {"condition": each, "step": {"p50": 5.0, "p95": 5.0}}
    view = latency(evaluated(latency_ms={**parts, "plan": plan, **one_step})[2:3])
    assert view.columns[-1] == "/ one step" and view.rows[0][-1] == ("1.50" if new else "-")
    assert "6.00 (7.00)" in view.rows[0] and "K=1 M=8" in view.rows[0]


def test_times_of_a_busy_machine_are_marked_at_the_number():
    times = {name: {"p50": p50, "p95": 40.0} for name, p50 in (("condition", 1.0), ("step", 5.0))}
    view = latency(evaluated(latency_ms={**times, "plan": {"K=1": {"p50": 6.0, "p95": 7.0}}})[:1])
    assert view.rows[0][-5:] == ["1.00 (40.00)*", "5.00 (40.00)*", "6.00 (7.00)*", "6.00*", "-"]
    assert view.note.endswith("* machine not known to be idle: repeats of the same call differ widely.")


def test_errors_stand_beside_the_counts():
    task = {"task": 3, "hits": 48, "episodes": 49, "errors": 1}
    trials = {"suite": "x", "replan": 5, "assets": "own"}
    details = {
        "examples": 49,
        "errors": 1,
        "tasks": [task],
        "trials": trials,
        "metrics": {"success": 48 / 49},
    }
    view = by_task(evaluated(**details)[:1])
    assert view.rows[0][-2] == "48/49, 1 error" and view.rows[0][-1].endswith("], 1 error")
    assert "no number counts them" in view.note


def test_pairs_leave_out_what_ended_in_an_error(tmp_path):
    class Crashed(Evaluation):
        def outcomes(self) -> pd.DataFrame:
            return super().outcomes().drop(index=7)

    one, ten, *_ = evaluated()
    lost = Crashed(one.folder, one.training, one.record, {**one.details, "errors": 1})
    frame = pd.DataFrame({"label": ["uniform"] * 2, "variant": "", "seed": 0})
    [row] = paired(Results(frame, [lost, ten], "success")).to_dict("records")
    kept = [each.outcomes()["success"].drop(index=7, errors="ignore") > 0.5 for each in (one, ten)]
    assert row["examples"] == 39 and row["both_right"] == int((kept[0] & kept[1]).sum())
