import io

import pytest
from rich.console import Console

from toyflow.pace import Pace
from toyflow.sweep import events, live
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord

RECORD = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {})


@pytest.mark.parametrize(("every", "lines"), [(0.0, 5), (30.0, 2)])
def test_a_log_tells_now_and_then_how_far_a_cell_is(monkeypatch, every, lines):
    monkeypatch.setattr(live, "TOLD_EVERY", every)
    key, said = RECORD.key, io.StringIO()
    stream = [
        events.Started(key),
        *(events.Progress(key, "training", done, 4, f"loss 0.{done}") for done in (1, 2)),
        events.Progress(key, "evaluating", 1, 1),
        events.Finished(key, "87 %"),
    ]
    assert live.watch(stream, {key: Cell(RECORD, (), "beta")}, Console(file=said, width=80)) == []
    told = [" ".join(line.split()) for line in said.getvalue().splitlines()]
    assert (
        len(told) == lines
        and told[0] == "beta seed 0: started"
        and told[-1] == "[1/1] done beta seed 0: 87 %"
    )
    if every == 0:
        assert told[1:4] == [
            "beta seed 0: loss 0.1; 25 % of training done, time left unknown",
            "beta seed 0: loss 0.2; 50 % of training done, 0 s left",
            "beta seed 0: evaluating, 100 % done",
        ]


def test_the_time_left_is_that_of_the_decoding_that_runs(monkeypatch):
    monkeypatch.setattr(live, "TOLD_EVERY", 0.0)
    seconds = iter(range(0, 10_000, 60))
    monkeypatch.setattr(live, "Pace", lambda done: Pace(done, clock=lambda: next(seconds)))
    key, said = RECORD.key, io.StringIO()
    notes = [
        (0, "K=1: 0 of 0"),
        (1, "K=1: 0 of 1"),
        (2, "K=1: 1 of 2"),
        (0, "K=10: 0 of 0"),
        (1, "K=10: 0 of 1"),
    ]
    stream = [events.Progress(key, "evaluating", done, 4, f"{note} episodes solved") for done, note in notes]
    live.watch(stream, {key: Cell(RECORD, (), "beta")}, Console(file=said, width=120))
    told = [" ".join(line.split()).removeprefix("beta seed 0: ") for line in said.getvalue().splitlines()]
    assert told == [
        "K=1: 0 of 0 episodes solved; 0 % of evaluating done, time left unknown",
        "K=1: 0 of 1 episodes solved; 25 % of evaluating done, 3 min left",
        "K=1: 1 of 2 episodes solved; 50 % of evaluating done, 2 min left",
        "K=10: 0 of 0 episodes solved; 0 % of evaluating done, time left unknown",
        "K=10: 0 of 1 episodes solved; 25 % of evaluating done, 3 min left",
    ]
