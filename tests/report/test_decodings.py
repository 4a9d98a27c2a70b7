"""Draws and grids of one model against its plain decodings, and what a plan takes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from toyflow.report.episode_tables import by_task, latency
from toyflow.report.paired_tables import decodings_table, paired, paired_by_setting, paired_decodings
from toyflow.report.results import Results
from toyflow.stats import NEWCOMBE, crossed, equivalence_p, holm, mean_zero_p, over_seeds, paired_proportions
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
    over = paired_by_setting(models, ["decoding", "against"])
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


def test_behind_a_server_the_network_is_a_part_of_the_plan():
    each, plan = {"p50": 1.0, "p95": 1.0}, {"K=1": {"p50": 4.5, "p95": 5.0}}
    parts = {"condition": each, "step": each, "plan": plan, "network": {"p50": 2.5, "p95": 3.0}}
    view = latency(evaluated(latency_ms=parts)[:1])
    names = ["network", "condition", "step", "plan", "condition + steps", "/ one step"]
    assert view.columns[-6:] == names and view.rows[0][-6] == "2.50 (3.00)"
    assert view.rows[0][-2] == "4.50" and "outside the policy" in view.note
    del parts["network"]
    here = latency(evaluated(latency_ms=parts)[:1])
    assert "network" not in here.columns and "outside" not in here.note


def judged(*differences: tuple[int, int], seeds: int = 3) -> pd.DataFrame:
    """Models of settings a, b, ...: each seed gains the first number of 500 examples more or less the second
    number times the seed."""
    rows = []
    for place, (mean, spread) in enumerate(differences):
        for seed in range(seeds):
            gain = mean + spread * (seed - (seeds - 1) // 2)
            by_example = np.zeros(500, np.int8)
            by_example[: abs(gain)] = np.sign(gain)
            first, second = np.arange(500) < 250 + max(gain, 0), np.arange(500) < 250 + max(-gain, 0)
            test = paired_proportions(first, second)
            rows.append(
                {
                    "label": "abcdefg"[place], "variant": "", "seed": str(seed), "examples": 500,
                    "both_right": test.both, "only_K1_right": test.first_only,
                    "only_K10_right": test.second_only, "difference": test.difference.estimate,
                    "low_90": test.difference.low, "high_90": test.difference.high,
                    "mcnemar_p": test.p_value, "margin": 0.02, "verdict": "",
                    "caveat": "",
                    "by_example": pd.Series(by_example),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_that_are_given_together_are_adjusted_together():
    """Alone the first is equivalent and the second better; beside four like them neither is shown."""
    settings = (0, 4), (20, 4)
    alone = [paired_by_setting(judged(setting)) for setting in settings]
    assert [table["verdict"].item() for table in alone] == ["equivalent", "better"]
    table = paired_by_setting(judged(*settings, (0, 4), (20, 4)))
    raw = table[["p", "equivalence_p"]].iloc[:2]
    assert raw.to_numpy() == pytest.approx(np.stack([each[["p", "equivalence_p"]].iloc[0] for each in alone]))
    for p in ("p", "equivalence_p"):
        assert table[f"{p}_holm"].tolist() == pytest.approx(holm(table[p].tolist()))
    assert table["verdict"].tolist() == ["undecided"] * 4
    assert table["p"].iloc[1] == pytest.approx(mean_zero_p([0.032, 0.04, 0.048]))


def test_equivalence_of_a_row_is_that_of_its_interval():
    row = paired_by_setting(judged((3, 2))).iloc[0]
    differences = [0.002, 0.006, 0.010]
    assert row["equivalence_p"] == pytest.approx(
        equivalence_p(lambda confidence: over_seeds(differences, confidence), 0.02), rel=1e-6
    )
    inside = max(-row["low_90"], row["high_90"]) < 0.02
    assert bool(inside) is bool(row["equivalence_p"] < 0.05)


def test_a_setting_of_one_seed_is_judged_by_its_examples():
    table = paired_by_setting(judged((30, 0), (0, 0), seeds=1))
    assert table["seed"].tolist() == ["0", "0"] and set(table["test"]) == {"McNemar, one model"}
    assert set(table["interval"]) == {NEWCOMBE} and table["crossed_low_90"].isna().all()
    assert table["verdict"].tolist() == ["better", "equivalent"]


def test_seeds_without_spread_have_no_verdict_and_count_in_the_family():
    table = paired_by_setting(judged((20, 0), (20, 4)))
    assert table["p"].isna().tolist() == table["p_holm"].isna().tolist() == [True, False]
    assert table["p_holm"].iloc[1] == pytest.approx(2 * table["p"].iloc[1])
    assert table["verdict"].iloc[0] == "undecided"


def test_the_interval_for_new_examples_stands_beside_that_over_seeds():
    table = judged((20, 4))
    row = paired_by_setting(table).iloc[0]
    expected = crossed(np.stack(table["by_example"].tolist()).astype(float), 0.90, (-1, 1))
    assert (row["crossed_low_90"], row["crossed_high_90"]) == (expected.low, expected.high)


def test_times_of_a_busy_machine_are_marked_at_the_number():
    times = {name: {"p50": p50, "p95": 40.0} for name, p50 in (("condition", 1.0), ("step", 5.0))}
    view = latency(evaluated(latency_ms={**times, "plan": {"K=1": {"p50": 6.0, "p95": 7.0}}})[:1])
    assert view.rows[0][-5:] == ["1.00 (40.00)*", "5.00 (40.00)*", "6.00 (7.00)*", "6.00*", "-"]
    assert view.note.endswith("* machine not known to be idle: repeats of the same call differ widely.")


def test_errors_stand_beside_the_counts():
    task = {"task": 3, "hits": 48, "episodes": 49, "errors": 1}
    trials = {"environment": "x", "suite": "x", "replan": 5, "assets": "own"}
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


def test_the_mean_score_of_episodes_stands_beside_success(tmp_path):
    trials = {"environment": "x", "suite": "x", "replan": 5, "assets": "own"}
    task = {"task": 0, "hits": 1, "episodes": 4, "errors": 0}
    scores = pd.Series([0.8, 0.5, 0.6, 0.5])
    metrics = {"success": 0.25, "episode_score": scores.mean()}

    class Scored(Evaluation):
        def outcomes(self) -> pd.DataFrame:
            return pd.DataFrame({"success": [1, 0, 0, 0], "episode_score": scores})

    plain = evaluated(examples=4, tasks=[task], trials=trials, metrics={"success": 0.25})[0]
    assert by_task([plain]).columns[-1] == "all [95 %]"
    (tmp_path / "outcomes.csv").touch()  # there are outcomes
    scored = Scored(tmp_path, plain.training, plain.record, {**plain.details, "metrics": metrics})
    view = by_task([scored, plain])
    assert view.columns[-1] == "mean score [95 %]" and view.rows[1][-1] == "-"
    half = t.ppf(0.975, 3) * scores.std() / 2
    assert view.rows[0][-1] == f"0.600 [{0.6 - half:.3f}, {0.6 + half:.3f}]"
    assert "Student's t over episodes" in view.note
    assert view.names == by_task([plain]).names


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
