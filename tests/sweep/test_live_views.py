"""What a sweep's two views say: bars that are redrawn in a terminal, and lines elsewhere."""

import io
import re
from collections.abc import Iterable

import pytest
from rich.console import Console

from toyflow.sweep import events, live
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord

CELLS = {
    record.key: Cell(record, (), "beta")
    for record in (TrainingRecord("points", {}, "flow", "beta", "stratified", seed, {}) for seed in (0, 1))
}
ONE, TWO = CELLS
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def said(stream: Iterable[events.Event], terminal: bool) -> tuple[list[str], list[events.Failed]]:
    """The lines of all frames that were drawn, blanks and bars reduced, and the failures."""
    file = io.StringIO()
    console = Console(file=file, width=140, force_terminal=terminal, no_color=True)
    failures = live.watch(stream, CELLS, console)
    text = ESCAPES.sub("", file.getvalue()).replace("━", "").replace("╸", "").replace("╺", "")
    return [" ".join(line.split()) for line in re.split(r"[\r\n]+", text)], failures


@pytest.mark.parametrize("terminal", [False, True])
def test_endings_notes_and_failures_are_said_in_both(terminal):
    failed = events.Failed(TWO, "the loss [became] NaN")
    lines, failures = said(
        [
            events.Started(ONE),
            events.WarningRaised(ONE, "a [class] has no examples"),
            events.Finished(ONE, "K=1: 87 %"),
            events.Started(TWO),
            failed,
        ],
        terminal,
    )
    assert failures == [failed]
    expected = ["note beta seed 0: a [class] has no examples", "done beta seed 0: K=1: 87 %"]
    expected += ["failed beta seed 1: the loss [became] NaN"]
    ended = [re.sub(r"^\[\d/2\] ", "", line) for line in lines]
    assert [line for line in ended if line in expected] == expected


def test_lines_number_the_endings_and_say_once_that_a_cell_waits():
    waiting = [events.Waiting(ONE)] * 3
    moved = events.Rescheduled(TWO, "its worker died")
    lines, _ = said([*waiting, moved, events.Finished(TWO, "ok"), events.Finished(ONE, "ok")], False)
    assert lines == [
        "beta seed 0: another process trains it; waiting",
        "beta seed 1: its worker died; another worker takes it",
        "[1/2] done beta seed 1: ok",
        "[2/2] done beta seed 0: ok",
        "",
    ]


def test_bars_show_a_running_cell_and_its_share_of_the_sweep():
    """Another cell's start draws all bars anew: that frame is looked at."""

    def frame(*before: events.Event) -> list[str]:
        lines, _ = said([events.Started(ONE), *before, events.Started(TWO)], True)
        drawn = [line.split(" 0:00:0")[0] for line in lines]
        start = next(at for at, line in enumerate(drawn) if line.startswith("beta seed 1"))
        while not drawn[start].startswith("sweep"):
            start -= 1
        return drawn[start : start + 3]

    assert "sweep 0% 0 of 2" in frame()
    training = frame(events.Progress(ONE, "training", 2, 4, "loss 0.3"))
    assert "beta seed 0 50% loss 0.3" in training
    assert "sweep 22% 0 of 2" in training, "training is nine tenths of a cell"
    evaluating = frame(events.Progress(ONE, "evaluating", 1, 2))
    assert "beta seed 0 50% evaluating" in evaluating and "sweep 48% 0 of 2" in evaluating
    ended = frame(events.Progress(ONE, "training", 2, 4), events.Finished(ONE, "ok"))
    assert "sweep 50% 1 of 2" in ended and not any(line.startswith("beta seed 0") for line in ended)
