"""`toyflow recommend`, whole, on the quick task of the test plug-in and on the dial."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from subprocess import CompletedProcess

import pytest
from commands import start

from toyflow.api.command_options import recommend_options
from toyflow.api.recommending import on_validation
from toyflow.sweep.subject import load_subject

SHORT = ("--task", "points", "--iterations", "80")


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
    assert "Train with --schedules shift:4 --predict data and decode in " in said
    assert "Anatomy of the short training" in said and "Cost: a training of 40" in said
    file = toyflow.folder / "results/recommend/points/recommendation.json"
    advice = json.loads(file.read_text())
    assert advice["prediction"] == "data" and advice["steps"] in (1, 10) and advice["draws"] in (1, 2, 8)
    assert [each["iterations"] for each in advice["trainings"]] in ([40], [40, 80])
    short = advice["trainings"][0]
    assert short["variance"] > 0 and short["spread"] >= 0 and set(short["leak"]) == {"1", "2", "8"}
    assert {(s["steps"], s["draws"]) for s in short["scores"]} == {(1, 1), (1, 2), (1, 8), (10, 1)}

    again = toyflow("recommend", *SHORT, "--jobs", "1")
    assert "started" not in again.stdout  # nothing is trained twice
    once_more = json.loads(file.read_text())
    assert advice["setting"].pop("seconds") > 0 and once_more["setting"].pop("seconds") > 0
    assert once_more == advice
    wider = toyflow("recommend", *SHORT, "--seeds", "100-101", "--jobs", "1")
    assert wider.stdout.count("started") == len(json.loads(file.read_text())["trainings"])  # one seed more


def test_it_is_held_against_a_full_sweep(toyflow, recommended):
    full = (
        *SHORT,
        "--predict",
        "data",
        "--schedules",
        "shift:4,uniform",
        "--steps",
        "1,10",
        "--draws",
        "1,2,8",
    )
    toyflow("sweep", *full, "--seeds", "0,1", "--jobs", "1", "--out", "full")
    said = toyflow("recommend", *SHORT, "--jobs", "1", "--against", "full").stdout
    assert "Held against the full sweep (2 seeds): its best is " in said


def test_it_is_not_held_against_other_recipes_or_the_training_that_chose(toyflow, recommended):
    itself = toyflow("recommend", *SHORT, "--jobs", "1", "--against", "results/recommend/points")
    assert itself.returncode == 2 and "on seeds other than 100" in itself.stderr
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


def test_a_task_with_a_validation_split_is_tuned_on_it_unless_another_is_named():
    options = recommend_options({"task": "dial"})
    dial, points = load_subject("dial"), load_subject("points")
    assert on_validation(options, dial).set == {"split": ("validation",)}
    named = replace(options, set={"split": ("test",)})
    assert on_validation(named, dial) is named
    assert on_validation(options, points) is options


def test_a_training_that_has_learned_nothing_is_followed_by_the_full_one_and_said(toyflow):
    tiny = ("--set", "modes=10", "--iterations", "2", "--batch-size", "4")
    said = toyflow("recommend", "--task", "dial", *tiny, "--jobs", "1")
    assert said.returncode == 0, said.stderr
    text = " ".join(said.stdout.split())
    assert "1 iterations were unclear, so the model was trained for all 2." in text
    assert "This is no advice but the default" in text and "Found on the validation split" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fraction", "0"), "--fraction must be above 0 and at most 1, got 0."),
        (("--metric", "clos"), "unknown metric of points 'clos'"),
        (("--task", "dial", "--set", "modes=2,10"), "recommend looks at one setting; give modes one value"),
        (
            ("--learning-rate", "0.001,0.004"),
            "recommend looks at one recipe; give iterations, batch size and",
        ),
        (("--task", "robot"), "recommend supports toy tasks only, not 'robot'; for a policy, `toyflow probe"),
        (("--against", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(toyflow, words, message):
    said = toyflow("recommend", *SHORT, *words, "--jobs", "1")
    assert said.returncode == 2
    assert message in said.stderr and said.stderr.count("\n") == 1
    assert not (toyflow.folder / "results").exists()
