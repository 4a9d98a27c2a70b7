import time
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from runners import StubRunner

from toyflow.sweep import store as storing
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.run import missing_cells, print_plan
from toyflow.sweep.store import Evaluated, Store, Trained


class Priced(StubRunner):
    """Costs a second to train and none to decode."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def prepare(self, records):
        pass

    def estimate(self, record, evaluations):
        self.asked.append(record.schedule)
        return 1.0, 0.0


def planned(tmp_path, **options: Any) -> tuple[str, Priced]:
    console, study = Console(width=120, record=True), Priced()
    cells = plan_sweep(SweepOptions(**options))
    print_plan(cells, study, Store(tmp_path / "out"), LocalExecutor(2), console)
    return console.export_text(), study


def test_a_plan_has_a_row_for_each_configuration_and_prices_each_kind_once(tmp_path):
    shown, study = planned(tmp_path, schedules=("beta", "uniform"), seeds=(*range(1000), 2000))
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [law, "0-999,2000", "K=1, K=10", "1001 to run"] for law in ("beta", "uniform")
    ]
    assert "2002 cells to run, about 33 min of work: 17 min with 2 at a time" in shown
    assert study.asked == ["beta"]


def test_a_plan_says_what_is_there_what_is_half_done_and_what_is_not_shown(tmp_path):
    store = Store(tmp_path / "out")
    store.prepare()
    for cell in plan_sweep(SweepOptions(schedules=("beta",), seeds=(0, 1))):
        store.write_training(cell.training, Trained({"w": torch.zeros(1)}, pd.DataFrame({"a": [1]}), {}), {})
        for evaluation in cell.evaluations[: 1 + (cell.training.seed == 0)]:
            made = Evaluated(pd.DataFrame({"a": [1]}), {})
            store.write_evaluation(cell.training, evaluation, made, {})
    shown, _ = planned(tmp_path, schedules=("beta",), seeds=(0, 1, 2))
    assert "1 exists, 1 trained, 1 decodings to do, 1 to run" in shown
    laws = tuple(f"shift:{alpha}" for alpha in range(2, 52))
    assert "... and 10 more" in planned(tmp_path, schedules=laws, seeds=(0,))[0]


def test_very_many_cells_are_planned_and_looked_for_quickly(tmp_path, monkeypatch):
    looks: list[str] = []
    monkeypatch.setattr(storing.os, "access", lambda path, mode: bool(looks.append(path)))
    began = time.process_time()
    cells = plan_sweep(SweepOptions(seeds=tuple(range(5000))))
    assert len(missing_cells(cells, Store(tmp_path / "out"))) == 10_000
    assert len(looks) == 10_000, "one look for a cell of which nothing is there"
    assert time.process_time() - began < 10, (
        "a tenth of a benchmark's cells, and twenty times its time for them"
    )
