"""Results of earlier versions are read, matched, extended and compared. See written_by_0_1_0/README.md."""

import json
import shutil
from pathlib import Path

import pytest

from toyflow.report.results import load_results
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.run import missing_cells
from toyflow.sweep.store import FORMAT, Store
from toyflow.sweep.subject import subject_of
from toyflow.sweep.sweep_options import SweepOptions

WRITTEN = Path(__file__).parent / "written_by_0_1_0"
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
OPTIONS = {
    "task": "dial",
    "set": ["decoder=small", "tiles=2"],
    "schedules": "uniform,shift:4",
    "steps": "1",
    "seeds": "0,1",
    "iterations": 20,
}
SWEEP = (
    "sweep", "--task", "dial", "--set", "decoder=small", "--set", "tiles=2", "--schedules", "uniform,shift:4",
    "--iterations", "20", "--executor", "debug", "--out", "out",
)  # fmt: skip


@pytest.fixture
def out(tmp_path) -> Path:
    return Path(shutil.copytree(WRITTEN, tmp_path / "out"))


def scores(out: Path) -> dict[tuple[str, int, int], float]:
    frame = load_results(Store(out)).frame
    return {(row.label, row.seed, row.steps): row.score for row in frame.itertuples()}  # pyright: ignore


def test_the_folder_is_read(out):
    assert set(scores(out)) == {(label, seed, 1) for label in ("uniform", "shift:4") for seed in (0, 1)}
    assert scores(out)["shift:4", 1, 1] == pytest.approx(0.216)


def test_a_sweep_with_the_same_options_finds_every_cell(out):
    cells = plan_sweep(SweepOptions().updated(OPTIONS, "flags"))
    assert {cell.training.key for cell in cells} == {path.name for path in (out / "cells").iterdir()}
    assert missing_cells(cells, Store(out)) == []


def test_the_same_command_runs_nothing_and_warns_of_nothing(toyflow, out, caplog):
    result = toyflow(*SWEEP, "--seeds", "0,1", "--steps", "1")
    assert result.returncode == 0, result.stderr
    assert "all 4 cells are already in out" in result.stdout and not caplog.messages


def test_models_whose_weights_are_there_are_decoded_in_more_steps(toyflow, out):
    before = scores(out)
    result = toyflow(*SWEEP, "--seeds", "0", "--steps", "1,2")
    assert result.returncode == 0, result.stderr
    after = scores(out)
    assert set(after) - set(before) == {("uniform", 0, 2), ("shift:4", 0, 2)}
    assert all(after[decoding] == score for decoding, score in before.items())


def test_models_whose_weights_are_not_there_are_named(toyflow, out):
    result = toyflow(*SWEEP, "--seeds", "1", "--steps", "1,2")
    assert result.returncode == 1
    said = " ".join(result.stdout.split())
    assert said.count("weights.safetensors is not here (results may be passed on without weights)") == 2
    assert "2 of 2 cells failed" in " ".join(result.stderr.split())


def test_schedules_are_compared(toyflow, out):
    result = toyflow("compare", "uniform", "shift:4", "--out", "out")
    assert result.returncode == 0, result.stderr
    assert "uniform" in result.stdout and "shift:4" in result.stdout


def test_a_folder_of_a_newer_format_is_refused_in_one_line(toyflow, out):
    (out / "toyflow.json").write_text(json.dumps({"format": FORMAT + 1, "written_by": "9.9"}))
    for command in (("runs", "list", "--out", "out"), (*SWEEP, "--seeds", "0")):
        result = toyflow(*command)
        assert result.returncode == 2
        said = " ".join(result.stderr.split())
        assert f"out holds results of format {FORMAT + 1}, written by toyflow 9.9" in said
        assert "choose another --out; nothing was changed." in said and "Traceback" not in said


def records(kind: type[TrainingRecord] | type[EvaluationRecord]) -> list[tuple[str, TrainingRecord]]:
    """(name of its folder, record) of all results that the repository holds."""
    is_training = kind is TrainingRecord
    folders = "**/cells/*" if is_training else "**/cells/*/evaluations/*"
    paths = REFERENCE.glob(f"{folders}/config.json")
    return [(path.parent.name, kind.from_dict(json.loads(path.read_text())["record"])) for path in paths]


@pytest.mark.parametrize("kind", [TrainingRecord, EvaluationRecord])
def test_keys_of_reference_results_are_what_they_were(kind):
    found = records(kind)
    assert len(found) > 200
    for folder, record in found:
        assert record.key == folder


def test_options_of_reference_results_are_what_they_were():
    checked = set()
    for _, record in records(TrainingRecord):
        if record.task == "wave" and not record.data:  # an example's task, which is not installed
            continue
        subject = subject_of(record)
        assert subject.model_options.parse(record.model).record() == record.model
        if record.task != "robot":  # whose record holds what the data set is called and made of
            assert subject.data_options.parse(record.data).record() == record.data
        checked.add(record.task)
    assert checked == {"grid-to-sequence", "class-to-image", "dial", "robot", "wave"}
