from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toyflow import stats
from toyflow.report.episode_tables import robot_views
from toyflow.report.perturbation_tables import (
    by_perturbation,
    few_against_many,
    paired_by_perturbation,
    perturbation_rates,
)
from toyflow.report.results import Results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation, StoredTraining, caveat_of

STATES = 10
KINDS, SUITES = ("swap", "lan"), ("goal", "spatial")


def outcomes_of(solved, perturbed=True):
    """A row per episode: task i is of cell (KINDS[i % 2], SUITES[i // 2]); `solved`[i] are solved."""
    rows = []
    for task, count in enumerate(solved):
        for state in range(STATES):
            row = {"success": int(state < count), "task": task, "state": state}
            if perturbed:
                row |= {"perturbation": KINDS[task % 2], "level": None, "base_suite": SUITES[task // 2]}
            rows.append(row)
    return pd.DataFrame(rows)


def evaluation(solved, steps=1, suite="pro", perturbed=True, level=None, missing=(), seed=0, more=""):
    frame = outcomes_of(solved, perturbed)
    tasks = []
    for task, count in enumerate(solved):
        row = {"task": task, "hits": count, "episodes": STATES, "errors": 0}
        if perturbed:
            row |= {"perturbation": KINDS[task % 2], "level": level, "base_suite": SUITES[task // 2]}
        tasks.append(row)
    times = {"p50": 1, "p95": 1}
    details = {
        "metrics": {"success": frame["success"].mean()}, "examples": len(frame), "tasks": tasks,
        "trials": {"environment": "points", "suite": suite, "assets": "own", "replan": 5}, "outcomes": frame,
        "latency_ms": {"condition": times, "step": times, "plan": {"K": times}}, "model_calls": steps,
        **({"missing": [*missing]} if missing else {}),
    }  # fmt: skip
    training = StoredTraining(Path(), TrainingRecord("robot", {}, "flow", "shift:4", None, seed, {}), {}, {})
    record = EvaluationRecord("euler", steps, test_set=f"suite={suite} tasks=0-3{more}")
    return StoredEvaluation(Path(), training, record, details)


@pytest.fixture(autouse=True)
def on_disk(monkeypatch):
    monkeypatch.setattr(StoredEvaluation, "outcomes", lambda self: self.details["outcomes"])


def results(*evaluations):
    return Results(pd.DataFrame(), evaluations, "success")


def cell(frame, **where):
    for name, value in where.items():
        frame = frame[frame[name] == value]
    [(_, row)] = frame.iterrows()
    return row


def test_rates_by_cell_and_their_sums():
    frame = perturbation_rates(results(evaluation([1, 2, 3, 4])))
    swap = cell(frame, perturbation="swap", suite="spatial")
    assert (swap["hits"], swap["episodes"], swap["score"]) == (3, 10, 0.3)
    assert (swap["low_95"], swap["high_95"]) == (stats.wilson(3, 10).low, stats.wilson(3, 10).high)
    assert cell(frame, perturbation="lan", suite="all")["hits"] == 6
    assert cell(frame, perturbation="all", suite="goal")["hits"] == 3
    assert cell(frame, perturbation="all", suite="all")["episodes"] == 40
    assert set(frame["level"]) == {"all"} and frame["unperturbed"].isna().all()


def test_the_unperturbed_score_is_the_same_policys_on_the_suite_itself():
    several = results(
        evaluation([1, 2, 3, 4]), evaluation([5, 5, 5, 5], steps=10),
        evaluation([9], suite="goal", perturbed=False), evaluation([8], 10, "goal", perturbed=False),
        evaluation([1], suite="goal", perturbed=False, seed=1),
    )  # fmt: skip
    frame = perturbation_rates(several)
    told = {row["decoding"]: row["unperturbed"] for _, row in frame[frame["suite"] == "goal"].iterrows()}
    assert [*told.values()] == [0.9, 0.8]
    assert frame[frame["suite"] == "spatial"]["unperturbed"].isna().all()
    [view] = by_perturbation(several)
    assert view.columns[2:4] == ["shift:4, seed 0, " + next(iter(told)), "unperturbed"]
    first = view.rows[0]
    assert first[:2] == ["swap", "goal"] and first[2].startswith("10.0% [") and first[3] == "90.0%"


def test_a_cell_that_was_evaluated_twice_counts_once():
    twice = results(evaluation([1, 2, 3, 4]), evaluation([1], suite="goal_swap"))
    assert cell(perturbation_rates(twice), perturbation="all", suite="all")["episodes"] == 40
    pairs = results(
        *(evaluation(s, k, n) for k in (1, 10) for s, n in (([1, 2, 3, 4], "pro"), ([1], "goal_swap")))
    )
    assert cell(paired_by_perturbation(pairs), perturbation="all")["examples"] == 40


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("prompts=official", ["prompts=clean", "prompts=official"]),
        ("handover=rtc", ["handover=switch", "handover=rtc"]),
        ("latency_steps=4", ["latency_steps=0", "latency_steps=4"]),
    ],
)
def test_what_a_name_leaves_out_at_its_default_tells_policies_apart(more, told):
    either = [evaluation([count] * 4, k, more=m) for m, count in (("", 3), (f" {more}", 8)) for k in (1, 10)]
    frame = perturbation_rates(results(*either))
    whole = frame[(frame["perturbation"] == "all") & (frame["suite"] == "all")]
    assert [*whole["variant"]] == [told[0], told[0], told[1], told[1]]
    assert [*whole["hits"]] == [12, 12, 32, 32]
    assert [*paired_by_perturbation(results(*either))["variant"].unique()] == told


def test_levels_have_a_table_of_their_own():
    graded = results(evaluation([1, 2, 3, 4], level=2))
    whole, by_level = by_perturbation(graded)
    assert by_level.columns[:2] == ["perturbation", "level"]
    assert [row[:2] for row in by_level.rows] == [["swap", "2"], ["lan", "2"], ["all", "2"]]
    assert len(whole.rows) == 4 + 2 + 2 + 1


@pytest.mark.parametrize(("before", "later"), [(None, 2), (2, None)])
def test_episodes_count_once_whether_their_level_is_known_or_not(before, later):
    """A list of levels that arrives between two evaluations makes no other cells."""
    twice = [evaluation([1, 2, 3, 4], level=before), evaluation([1, 2, 3, 4], suite="all", level=later)]
    frame = perturbation_rates(results(*twice))
    assert cell(frame, perturbation="all", suite="all", level="all")["episodes"] == 40
    assert cell(frame, perturbation="all", level=2)["episodes"] == 40
    larger = results(evaluation([1, 2, 3, 4], level=before), evaluation([1], suite="few", level=later))
    assert cell(perturbation_rates(larger), perturbation="all", suite="all", level="all")["episodes"] == 40


def test_few_steps_against_many_in_each_cell():
    frame = paired_by_perturbation(results(evaluation([1, 2, 9, 4]), evaluation([1, 4, 0, 4], steps=10)))
    assert len(frame) == 5
    better = cell(frame, perturbation="swap", suite="spatial")
    assert (better["only_few"], better["only_many"], better["difference"]) == (9, 0, 0.9)
    expected = stats.paired_proportions(np.arange(10) < 9, np.arange(10) < 0)
    assert (better["p"], better["low_90"]) == (expected.p_value, expected.difference.low)
    assert better["p_holm"] == pytest.approx(4 * expected.p_value)
    whole = cell(frame, perturbation="all", suite="all")
    assert (whole["only_few"], whole["only_many"], whole["examples"]) == (9, 2, 40)
    assert whole["p_holm"] == whole["p"]


def test_pairs_are_of_the_same_episodes():
    one, other = evaluation([5, 5, 5, 5]), evaluation([5, 5, 5, 5], steps=10)
    other = replace(other, details={**other.details, "outcomes": other.details["outcomes"][:3]})
    frame = paired_by_perturbation(results(one, other))
    assert cell(frame, perturbation="all")["examples"] == 3


def test_without_both_numbers_of_steps_there_is_no_comparison():
    assert few_against_many(results(evaluation([1, 2, 3, 4]))) == []
    assert by_perturbation(results(evaluation([1], perturbed=False))) == []


def test_what_could_not_run_is_counted_in_every_table():
    lamp = [{"perturbation": "dark", "tasks": 7, "why": "a lamp is missing; buy one."}]
    partial = evaluation([1, 2, 3, 4], missing=lamp)
    assert caveat_of(partial) == "without 7 tasks that cannot run here"
    views = {view.caption: view for view in robot_views(results(partial))}
    note = views["Solved by perturbation and suite"].note
    assert "7 tasks of pro under dark (a lamp is missing; buy one)" in note
    assert "without 7 tasks that cannot run here" in note
    assert "7 tasks that were asked for cannot run here" in views["Solved episodes by task"].note


def test_what_could_not_run_counts_once_for_all_decodings_and_seeds():
    """Of a suite and perturbation the largest number counts, whichever evaluation comes last."""
    lamps = [[{"perturbation": "dark", "tasks": n, "why": "a lamp is missing."}] for n in (7, 3)]
    several = [
        evaluation([1, 2, 3, 4], steps, seed=seed, missing=missing, more=more)
        for missing, more in zip(lamps, ("", "+9"), strict=True) for steps in (1, 10) for seed in (0, 1)
    ]  # fmt: skip
    several += [evaluation([1], k, "other", seed=seed, missing=lamps[1]) for k in (1, 10) for seed in (0, 1)]
    views = {view.caption: view for view in robot_views(results(*several))}
    assert "10 tasks that were asked for cannot run here" in views["Solved episodes by task"].note
    note = views["Solved by perturbation and suite"].note
    assert "7 tasks of pro under dark (a lamp is missing); 3 tasks of other under dark" in note
    assert "without 10 tasks that cannot run here" in note and "without 3" not in note
