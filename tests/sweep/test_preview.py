"""What `--dry-run` shows before anything runs."""

import pandas as pd
import torch
from rich.console import Console
from runners import StubRunner

from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.preview import MARGIN, print_plan
from toyflow.sweep.runner import Estimate, Seconds
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained
from toyflow.sweep.sweep_options import SweepOptions

SECOND = Estimate(Seconds(MARGIN, 1 / MARGIN), Seconds(0, 0))
"""A cell that takes one to train, whatever the margin is."""


def shown(tmp_path, estimates=lambda cells, runner: [SECOND] * len(cells), cost="", **options) -> str:
    console = Console(width=120, record=True)
    cells = plan_sweep(SweepOptions(**options))
    print_plan(cells, StubRunner(), Store(tmp_path / "out"), LocalExecutor(2), console, estimates, cost)
    return console.export_text()


def test_a_plan_has_a_row_for_each_configuration_and_times_each_kind_once(tmp_path):
    timed = []

    def estimates(cells, runner):
        timed.extend(cell.training.schedule for cell in cells)
        return [SECOND] * len(cells)

    text = shown(tmp_path, estimates, schedules=("beta", "uniform"), seeds=(*range(1000), 2000))
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [schedule, "0-999,2000", "K=1, K=10", "1001 to run"] for schedule in ("beta", "uniform")
    ]
    assert "2002 cells to run: about 33 min of work, about 17 min with 2 at a time" in text
    assert timed == ["beta"]


def test_recipes_that_differ_in_length_or_rate_are_timed_once(tmp_path):
    def estimates(cells, runner):
        assert [cell.training.recipe["iterations"] for cell in cells] == [10]
        return [SECOND]

    text = shown(
        tmp_path, estimates, schedules=("beta",), seeds=(0,), iterations=(10, 30), learning_rate=(0.1, 0.2)
    )
    assert "4 cells to run: about 8.0 s of work" in text  # 1 + 1 + 3 + 3


def test_a_range_of_time_is_shown_as_one(tmp_path):
    wide = Estimate(Seconds(600, 1200), Seconds(0, 300))
    text = shown(tmp_path, lambda cells, runner: [wide], schedules=("beta",), seeds=(0,))
    low, high = 600 / MARGIN / 60, 1500 * MARGIN / 60
    assert f"1 cell to run: {low:.0f} to {high:.0f} min of work" in text


def test_what_there_was_no_time_for_lies_between_what_there_was(tmp_path):
    def estimates(cells, runner):
        assert len(cells) == 3
        return [Estimate(Seconds(60 * MARGIN, 60 / MARGIN), Seconds(0, 0)), None, None]

    some = {"schedules": ("beta",), "objectives": ("flow", "regression", "mip"), "seeds": (0, 1)}
    assert "6 cells to run: about 6.0 min of work, about 3.0 min with 2 at a time" in shown(
        tmp_path, estimates, **some
    )
    nothing = shown(tmp_path, lambda cells, runner: [None] * len(cells), **some)
    assert "6 cells to run; a few seconds were not enough to tell what one takes" in nothing


def test_where_no_trial_tells_the_cost_what_is_known_of_it_is_shown(tmp_path):
    known = {"cost": "The cost by the preset's header: 3 [h]", "schedules": ("beta",), "seeds": (0,)}
    assert known["cost"] in shown(tmp_path, lambda cells, runner: [None], **known)
    assert known["cost"] not in shown(tmp_path, **known)


def test_a_plan_says_what_is_there_what_is_half_done_and_what_is_not_shown(tmp_path):
    store = Store(tmp_path / "out")
    store.prepare()
    for cell in plan_sweep(SweepOptions(schedules=("beta",), seeds=(0, 1))):
        store.write_training(cell.training, Trained({"w": torch.zeros(1)}, pd.DataFrame({"a": [1]}), {}), {})
        for evaluation in cell.evaluations[: 1 + (cell.training.seed == 0)]:
            made = Evaluated(pd.DataFrame({"a": [1]}), {})
            store.write_evaluation(cell.training, evaluation, made, {})
    text = shown(tmp_path, schedules=("beta",), seeds=(0, 1, 2))
    assert "1 exists, 1 trained, 1 decodings to do, 1 to run" in text
    many = tuple(f"shift:{alpha}" for alpha in range(2, 52))
    assert "... and 10 more" in shown(tmp_path, schedules=many, seeds=(0,))
