"""`toyflow recommend`, whole, on the quick task of the test plug-in."""

from __future__ import annotations

import json
import shutil
from subprocess import CompletedProcess

import pytest
from commands import start

SHORT = ("--task", "points", "--iterations", "80", "--schedules", "uniform,shift:4", "--steps", "1,2")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The command, once run, and the folder where it was."""
    folder = tmp_path_factory.mktemp("recommended")
    process = start(folder, "recommend", *SHORT, "--jobs", "1")
    out, error = process.communicate(timeout=200)
    return folder, CompletedProcess(SHORT, process.returncode, out, error)


@pytest.fixture
def recommended(toyflow, first):
    """What it said, with a copy of its results where `toyflow` runs."""
    folder, said = first
    shutil.copytree(folder / "results", toyflow.folder / "results")
    return said


def test_it_advises_with_evidence_and_cost_and_keeps_what_it_ran(toyflow, recommended):
    assert recommended.returncode == 0, recommended.stderr
    said = recommended.stdout
    assert "Train with " in said and " and decode in " in said
    assert "Schedule: " in said and "K: " in said
    assert "these seeds" in said and "K: " in said
    assert "Cost: 4 trainings of 20 iterations (of 80)" in said
    file = toyflow.folder / "results/recommend/points/recommendation.json"
    advice = json.loads(file.read_text())
    assert advice["schedule"] in ("uniform", "shift:4") and advice["steps"] in (1, 2)
    assert {row["schedule"] for row in advice["candidates"]} == {"uniform", "shift:4"}
    assert all(row["noise_end_mse"] > 0 and 0 <= row["K=1"] <= 1 for row in advice["candidates"])

    again = toyflow("recommend", *SHORT, "--jobs", "1")
    assert "started" not in again.stdout  # nothing is trained twice
    once_more = json.loads(file.read_text())
    assert advice["setting"].pop("seconds") > 0 and once_more["setting"].pop("seconds") > 0
    assert once_more == advice
    wider = toyflow("recommend", *SHORT, "--seeds", "100-102", "--jobs", "1")
    assert wider.stdout.count("started") == 2  # one seed more of each
    assert "of short trainings" in wider.stdout


def test_a_control_without_a_velocity_may_stand_among_the_candidates(toyflow):
    said = toyflow(
        "recommend", "--task", "points", "--iterations", "40", "--schedules", "beta,regression",
        "--steps", "1,2", "--jobs", "1",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "n/a" in said.stdout


def test_it_is_held_against_a_full_sweep(toyflow, recommended):
    full = ("--task", "points", "--iterations", "80", "--schedules", "uniform,shift:4", "--steps", "1,2")
    toyflow("sweep", *full, "--jobs", "1", "--out", "full")
    said = toyflow("recommend", *SHORT, "--jobs", "1", "--against", "full").stdout
    assert "Held against the full sweep (3 seeds): its best is " in said


def test_it_is_not_held_against_other_recipes_or_the_trainings_that_chose(toyflow, recommended):
    itself = toyflow("recommend", *SHORT, "--jobs", "1", "--against", "results/recommend/points")
    assert itself.returncode == 2 and "on seeds other than 100, 101" in itself.stderr
    other = (
        "--task",
        "points",
        "--iterations",
        "60",
        "--schedules",
        "uniform",
        "--seeds",
        "0",
        "--steps",
        "1",
    )
    toyflow("sweep", *other, "--jobs", "1", "--out", "other")
    said = toyflow("recommend", *SHORT, "--jobs", "1", "--against", "other")
    assert said.returncode == 2 and "holds no training of this setting" in said.stderr


def test_a_damaged_cell_of_another_setting_does_not_stop_it(toyflow, recommended):
    cells = toyflow.folder / "results/recommend/points/cells"
    other = toyflow("recommend", *SHORT, "--jobs", "1", "--seeds", "7", "--iterations", "40")
    assert other.returncode == 0
    damaged = max(cells.iterdir(), key=lambda cell: cell.stat().st_mtime)
    (damaged / "config.json").write_text("{")
    again = toyflow("recommend", *SHORT, "--jobs", "1")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fraction", "0"), "--fraction must be above 0 and at most 1, got 0."),
        (("--margin", "-1"), "--margin must be a number above 0, got -1."),
        (("--metric", "clos"), "unknown metric of points 'clos'"),
        (("--task", "dial", "--set", "modes=2,10"), "recommend looks at one setting; give modes one value"),
        (
            ("--learning-rate", "0.001,0.004"),
            "recommend looks at one recipe; give iterations, batch size and",
        ),
        (("--task", "robot"), "recommend supports toy tasks only, not 'robot'."),
        (("--schedules", "shift"), "shift"),
        (("--against", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(toyflow, words, message):
    said = toyflow("recommend", *SHORT, *words, "--jobs", "1")
    assert said.returncode == 2
    assert message in said.stderr and said.stderr.count("\n") == 1
    assert not (toyflow.folder / "results").exists()
