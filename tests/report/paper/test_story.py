"""The figure over several tasks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report.paper.test_findings import Made

from toyflow.report.paper.story import story, story_parts
from toyflow.report.results import Results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation

SCORES = {
    "grid-to-sequence": {"exact_match": 0.8, "digit_accuracy": 0.9},
    "dial": {"valid": 0.5, "total_variation": 0.3},
    "class-to-image": {"class_accuracy": 0.9, "frechet_distance": 40.0},
}


def results(
    task, schedules=("uniform",), seeds=(0, 1), data=None, iterations=100.0, draws=1, prediction=None
):
    evaluations = [
        StoredEvaluation(
            Path(),
            Made(
                Path(),
                TrainingRecord(
                    task,
                    {},
                    "flow",
                    schedule,
                    "stratified",
                    seed,
                    {"iterations": iterations},
                    data=data or {},
                    prediction=prediction,
                ),
                {},
                {},
            ),
            EvaluationRecord("euler", steps, draws=draws),
            {
                "metrics": {name: value + 0.01 * seed for name, value in SCORES[task].items()},
                "model_calls": steps,
                "examples": 1000,
            },
        )
        for schedule in schedules
        for seed in seeds
        for steps in (1, 10)
    ]
    return Results(pd.DataFrame(), evaluations, next(iter(SCORES[task])))


def drawn(folders, stacked=False):
    figure = story(folders, stacked)
    assert figure is not None
    return figure


def test_one_task_is_no_story():
    assert story({"a": results("dial"), "b": results("dial", schedules=("beta",))}) is None
    assert story({}) is None


def test_a_panel_per_task_with_its_metric_at_the_tasks_defaults():
    odd = results("dial", data={"certainty": "0.4"})
    figure = drawn({"grid": results("grid-to-sequence"), "dial": results("dial"), "odd": odd})
    grid, dial = figure.axes
    assert [axes.get_ylabel() for axes in (grid, dial)] == ["exact match", "joint validity"]
    lines = [line for line in dial.get_lines() if line.get_label() == "uniform"]
    assert [np.asarray(line.get_ydata()).tolist() for line in lines] == [pytest.approx([0.505, 0.505])]
    assert sum(len(np.asarray(each.get_offsets())) for each in dial.collections) == 4  # a dot per seed and K


def test_means_of_draws_are_not_in_the_lines_and_other_predictions_have_their_own():
    folders = {"grid": results("grid-to-sequence"), "dial": results("dial")}
    others = {"draws": results("dial", draws=8), "data": results("dial", prediction="data")}
    parts = list(story_parts({**folders, **others}).values())
    assert [len(part) for part in parts] == [4, 8]  # two seeds, two K, on the dial two predictions
    assert set(parts[1]["label"]) == {"uniform", "data(uniform)"} and set(parts[1]["draws"]) == {1}


def test_distances_start_at_zero_and_the_larger_recipe_is_drawn():
    short = results("class-to-image", seeds=(0,), iterations=5.0)
    folders = {"grid": results("grid-to-sequence"), "i": results("class-to-image"), "short": short}
    figure = drawn(folders)
    images = figure.axes[1]
    assert images.get_ylim()[0] == 0 and "lower is better" in images.get_ylabel()
    assert sum(len(np.asarray(each.get_offsets())) for each in images.collections) == 4
    assert images.get_title().endswith("\niterations 100")
    assert "iterations" not in figure.axes[0].get_title(), "which has one recipe"


def test_the_heading_says_what_intervals_are_over():
    several = drawn({"grid": results("grid-to-sequence"), "dial": results("dial")})
    alone = drawn({"grid": results("grid-to-sequence"), "dial": results("dial", seeds=(0,))})
    headings = [" ".join(figure.get_suptitle().split()) for figure in (several, alone)]
    assert headings[0].endswith("(95 % intervals over seeds; a dot per seed)")
    assert headings[1].endswith("(95 % intervals over seeds; of one seed over its examples; a dot per seed)")


def test_only_trainings_of_most_panels_are_drawn_and_stacked_panels_are_narrow():
    schedules = ("uniform", "beta", "shift:4")
    folders = {"grid": results("grid-to-sequence", schedules), "dial": results("dial", schedules[1:])}
    wide, narrow = drawn(folders), drawn(folders, stacked=True)
    for figure in (wide, narrow):
        [legend] = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["beta", "shift:4"]
    assert wide.get_figwidth() > wide.get_figheight() and narrow.get_figwidth() < narrow.get_figheight()


def test_a_schedule_of_one_panel_alone_is_drawn_where_there_is_little_in_common():
    folders = {"grid": results("grid-to-sequence", ("uniform", "beta")), "dial": results("dial")}
    figure = drawn(folders)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["uniform", "beta"]


def test_seeds_that_agree_have_an_interval_within_the_axis():
    folders = {"grid": results("grid-to-sequence", seeds=(0,)), "dial": results("dial", seeds=(0,))}
    for axes in drawn(folders).axes:
        bars = [line for line in axes.get_lines() if str(line.get_label()).startswith("_")]
        assert len(bars) == 2 and all(np.ptp(bar.get_ydata()) > 0 for bar in bars)
        assert all(0 <= tick <= 1 for tick in axes.get_yticks()) and axes.get_ylim()[1] < 1.03
