"""What a cell says while it runs."""

import logging

import pandas as pd
import torch
from runners import StubRunner

from toyflow.sweep.cell import run_cell
from toyflow.sweep.events import Finished, Started, WarningRaised
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.runner import RunContext
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained

RECORD = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {"iterations": 5})


class Warning_(StubRunner):
    """Finds a file damaged, and makes it again."""

    def train(self, record, on_progress):
        logging.getLogger("toyflow.of.a.test").warning("%s is damaged.", "x.csv")
        return Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [0.0]}), {})

    def evaluate(self, training, evaluations, on_progress):
        yield from ()


def test_warnings_are_events_of_their_cell(tmp_path, capfd):
    Store(tmp_path).prepare()
    events = []
    run_cell(Cell(RECORD, (), "beta"), Warning_(), RunContext(str(tmp_path), {}), events.append)
    assert [type(event) for event in events] == [Started, WarningRaised, Finished]
    assert events[1] == WarningRaised(RECORD.key, "x.csv is damaged.")
    assert "damaged" not in capfd.readouterr().err, "said once"
