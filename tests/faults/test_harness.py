"""The campaign notices what it is there for: planted faults are found."""

import io
import json
import subprocess

import commands
import pytest
from faults import campaign
from faults.bench import Bench, Done, finished, no_rubbish, refused, unchanged
from faults.campaign import Accepted, Lost, NotHere, Rude, Trial
from faults.kill import Reference, Victim
from rich.console import Console

from toyflow.atomic import atomic_folder


def test_findings_are_counted_by_what_they_are_and_stop_nothing():
    def finds(finding):
        def run():
            raise finding

        return run

    trials = [
        Trial("a", lambda: 3), Trial("a", finds(Lost("gone"))), Trial("b", finds(Accepted("taken"))),
        Trial("b", finds(Rude("traceback"))), Trial("b", lambda: None), Trial("c", finds(NotHere("no root"))),
    ]  # fmt: skip
    outcome = campaign.carry_out(trials, Console(file=io.StringIO()))
    cells = {name: row.cells() for name, row in outcome.rows.items()}
    assert cells["a"] == ["4", "3", "1", "0", "0"] and cells["b"] == ["3", "1", "0", "1", "1"]
    assert outcome.rows["c"].absent == "no root" and len(outcome.findings) == 3 and not outcome.well
    page = campaign.as_markdown(outcome.rows.values())
    assert "| **all** | 7 | 4 | 1 | 1 | 1 |" in page
    assert {name: row.cells() for name, row in campaign.from_markdown(page).items()} == cells


@pytest.fixture
def result(tmp_path):
    with atomic_folder(tmp_path / "cell") as folder:
        (folder / "weights").write_text("numbers")
    return tmp_path / "cell"


def test_a_result_that_changes_or_goes_is_lost(tmp_path, result):
    before = finished(tmp_path)
    unchanged(before, tmp_path)
    (result / "weights").write_text("nombers")
    with pytest.raises(Lost, match="not what its manifest says"):
        unchanged(before, tmp_path)
    (result / "manifest.json").write_text(json.dumps({}))
    with pytest.raises(Lost, match="is damaged"):
        unchanged(before, tmp_path)
    (result / "manifest.json").unlink()
    with pytest.raises(Lost, match="gone"):
        unchanged(before, tmp_path)


def test_what_is_half_written_is_rubbish_and_no_result(tmp_path, result):
    no_rubbish(tmp_path)
    result.rename(tmp_path / ".cell.abc")
    assert finished(tmp_path) == {}
    with pytest.raises(Rude, match="left behind"):
        no_rubbish(tmp_path)


@pytest.mark.parametrize(
    ("done", "why"),
    [
        (Done(0, "", ""), "exit code 0"),
        (Done(1, "", "Traceback (most recent call last)\ntoyflow: x"), "Traceback"),
        (Done(1, "", ""), "no message"),
        (Done(2, "", "toyflow: other.csv is damaged"), "none of weights is named"),
    ],
)
def test_a_refusal_must_be_a_line_that_names_the_file(done, why):
    refused(Done(1, "", "toyflow: weights is damaged"), "weights")
    with pytest.raises(Rude, match=why):
        refused(done, "weights")


def test_a_kill_that_comes_too_late_is_tried_again_from_what_was_there(tmp_path, monkeypatch):
    """Seed 0 waits for most of the 0.3 s that the command is said to take; it ends sooner."""
    monkeypatch.setattr(
        commands,
        "start",
        lambda folder, *words, fault: subprocess.Popen(
            ["sh", "-c", "touch first; sleep 0.05"], cwd=folder, start_new_session=True
        ),
    )
    bench = Bench(tmp_path, seed=0, short=True)
    folder = bench.fresh()
    (folder / "finished").write_text("before")
    before = (folder / "finished").stat().st_mtime_ns
    reference = Reference(bench, Victim("nothing", (), (), "first", lambda folder: None))
    reference.seconds = 0.3
    reference.kill(folder)
    assert (folder / "finished").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
