"""What a cell says while it runs."""

import logging
from collections.abc import Iterator

import pandas as pd
import pytest
import torch
from runners import StubRunner

from toyflow.atomic import DamagedError
from toyflow.sweep.cell import run_cell
from toyflow.sweep.events import Finished, Incomplete, Started, WarningRaised
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.runner import RunContext
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

RECORD = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {"iterations": 5})


class Warning_(StubRunner):
    """Finds a file damaged, and makes it again."""

    def train(self, record, on_progress):
        logging.getLogger("toyflow.of.a.test").warning("%s is damaged.", "x.csv")
        return Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [0.0]}), {})

    def evaluate(self, training, evaluations, on_progress) -> Iterator[Evaluated]:
        yield from ()


class Crashing(Warning_):
    """Has no result for one example, at first."""

    lost = 1

    def train(self, record, on_progress):
        return Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [0.0]}), {})

    def evaluate(self, training, evaluations, on_progress):
        for _ in evaluations:
            details = {"metrics": {"success": 0.5}, "errors": self.lost, "error_reasons": ["exited with 1"]}
            yield Evaluated(pd.DataFrame({"success": [1, 0]}), {**details, "examples": 2, "episodes": 3})


def test_a_cell_with_errors_says_so_and_is_not_done(tmp_path):
    Store(tmp_path).prepare()
    cell, runner = Cell(RECORD, (EvaluationRecord("euler", 1),), "beta"), Crashing()
    events = []
    run_cell(cell, runner, RunContext(str(tmp_path), {}), events.append)
    assert isinstance(events[-1], Incomplete) and cell.missing(Store(tmp_path)) == cell
    assert events[-1].message == (
        "K=1: 50.0% (1 error). What ended in an error (exited with 1) is left out of these numbers; the same "
        "command tries it again."
    )
    runner.lost = 0
    run_cell(cell, runner, RunContext(str(tmp_path), {}), events.append)
    assert events[-1] == Finished(RECORD.key, "K=1: 50.0%") and cell.missing(Store(tmp_path)) is None


def test_warnings_are_events_of_their_cell(tmp_path, capfd):
    Store(tmp_path).prepare()
    events = []
    run_cell(Cell(RECORD, (), "beta"), Warning_(), RunContext(str(tmp_path), {}), events.append)
    assert [type(event) for event in events] == [Started, WarningRaised, Finished]
    assert events[1] == WarningRaised(RECORD.key, "x.csv is damaged.")
    assert "damaged" not in capfd.readouterr().err, "said once"


@pytest.mark.parametrize("part", ["model", "decoding"])
def test_where_a_manifest_is_missing_nothing_is_made_and_the_cure_is_named(tmp_path, part, monkeypatch):
    store = Store(tmp_path)
    store.prepare()
    cell, runner = Cell(RECORD, (EvaluationRecord("euler", 1),), "beta"), Crashing()
    runner.lost = 0
    run_cell(cell, runner, RunContext(str(tmp_path), {}), lambda event: None)
    decoding = store.evaluation_folder(RECORD, cell.evaluations[0])
    victim = (store.training_folder(RECORD) if part == "model" else decoding) / "manifest.json"
    victim.unlink()
    monkeypatch.setattr(runner, "train", None)  # neither is called
    monkeypatch.setattr(runner, "evaluate", None)
    with pytest.raises(DamagedError) as caught:
        run_cell(cell, runner, RunContext(str(tmp_path), {}), lambda event: None)
    assert caught.value.in_full().startswith(
        f"{victim} is missing. `toyflow runs prune --damaged --out {tmp_path}` deletes it; the same sweep"
    )
