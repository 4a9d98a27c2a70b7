import io

import pytest
from rich.console import Console

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
            "beta seed 0: loss 0.1, 25 % done",
            "beta seed 0: loss 0.2, 50 % done",
            "beta seed 0: evaluating, 100 % done",
        ]
