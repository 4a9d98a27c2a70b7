"""What a cell says while it runs."""

import logging

import pandas as pd
import torch

from toyflow.sweep.cell import Setting, Study, run_cell
from toyflow.sweep.events import Finished, Noted, Started
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store, Trained

RECORD = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {"iterations": 5})


class Warning_(Study):
    """Finds a file damaged, and makes it again."""

    def train(self, record, on_progress):
        logging.getLogger("toyflow.of.a.test").warning("%s is damaged.", "x.csv")
        return Trained({"w": torch.zeros(1)}, pd.DataFrame({"loss": [0.0]}), {})

    def evaluate(self, training, evaluations, on_progress):
        yield from ()

    def estimate(self, record, evaluations):
        return 0.0, 0.0

    def prepare(self, records):
        pass

    def environment(self):
        return {}


def test_warnings_are_events_of_their_cell(tmp_path, capfd):
    Store(tmp_path).prepare()
    events = []
    run_cell(Cell(RECORD, (), "beta"), Warning_(), Setting(str(tmp_path), {}), events.append)
    assert [type(event) for event in events] == [Started, Noted, Finished]
    assert events[1] == Noted(RECORD.key, "x.csv is damaged.")
    assert "damaged" not in capfd.readouterr().err, "said once"
