"""What a worker of a Ray cluster sends of a cell, without the cluster: the cell's events are a generator."""

import pandas as pd
import pytest
import torch
from runners import StubRunner

from toyflow.errors import ToyflowError
from toyflow.sweep.events import Failed, Finished, Progress, Started
from toyflow.sweep.executors.ray import EvaluationDone, TrainingDone, cell_events
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import Evaluated, Trained
from toyflow.version import __version__

RECORD = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {"iterations": 5})
CELL = Cell(RECORD, (EvaluationRecord("euler", 1), EvaluationRecord("euler", 2)), "beta")


class Worker(StubRunner):
    def train(self, record, on_progress):
        for done in range(1, 101):
            on_progress("training", done, 100)
        return Trained({"w": torch.ones(1)}, pd.DataFrame({"loss": [0.5]}), {"parameters": 1})

    def evaluate(self, training, evaluations, on_progress):
        assert training.weights()["w"].item() == 1
        for evaluation in evaluations:
            yield Evaluated(pd.DataFrame({"close": [1.0] * evaluation.steps}), {"metrics": {"close": 1.0}})


class Broken(Worker):
    def train(self, record, on_progress):
        raise ToyflowError("the loss became NaN.")


def test_what_is_made_is_sent_with_where_it_was_made():
    events = list(cell_events(CELL, Worker(), 1, None, {"jobs": 2}, __version__))
    made = [event for event in events if not isinstance(event, Progress)]
    assert [type(event) for event in made] == [
        Started,
        TrainingDone,
        EvaluationDone,
        EvaluationDone,
        Finished,
    ]
    [trained] = [event for event in made if isinstance(event, TrainingDone)]
    one, two = (event for event in made if isinstance(event, EvaluationDone))
    assert trained.trained.weights["w"].item() == 1 and trained.environment["jobs"] == 2
    assert trained.environment["host"] and one.environment == trained.environment
    assert [len(each.evaluated.outcomes) for each in (one, two)] == [1, 2]
    assert sum(isinstance(event, Progress) for event in events) < 100, "the driver hears of some alone"


def test_a_model_that_was_trained_before_is_decoded_and_not_sent_again():
    first = cell_events(CELL, Worker(), 1, None, {}, __version__)
    [trained] = [event for event in first if isinstance(event, TrainingDone)]
    events = list(cell_events(CELL, Broken(), 1, trained, {}, __version__))
    assert [type(event) for event in events] == [Started, EvaluationDone, EvaluationDone, Finished]


@pytest.mark.parametrize(
    ("version", "said"),
    [(__version__, "the loss became NaN. (on "), ("0.0.9", "driver has toyflow 0.0.9, this worker ")],
)
def test_a_failure_names_the_host(version, said):
    *_, failed = cell_events(CELL, Broken(), 1, None, {}, version)
    assert isinstance(failed, Failed) and said in failed.message and failed.message.endswith(")")
