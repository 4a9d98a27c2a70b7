"""Reading a results folder, as anybody may."""

import doctest
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from report.paper.test_findings import Made

import toyflow
from toyflow.atomic import DamagedError, write_sealed
from toyflow.errors import UsageError
from toyflow.report import results as results_module
from toyflow.report.evidence import ANY, Data, Testbed, defaults_of, tidy
from toyflow.report.results import Results, load_results, variants
from toyflow.report.style import in_lines
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation


def stored(task: str = "robot", **data: str) -> StoredEvaluation:
    record = TrainingRecord(task, {}, "flow", "uniform", "stratified", 0, {}, data=data)
    details = {"metrics": {"valid": 0.5}, "model_calls": 1}
    training = Made(Path(), record, {}, {})
    return StoredEvaluation(Path(), training, EvaluationRecord("euler", 1), details)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ((("a", "1"), ("b", "2")), ["dataset=a", "dataset=b"]),
        ((("a", "1"), ("a", "2")), ["fingerprint=1", "fingerprint=2"]),
        ((("a", "1"), ("b", "1")), ["dataset=a", "dataset=b"]),
        (
            (("a", "1"), ("a", "2"), ("b", "2")),
            [f"dataset={d}, fingerprint={f}" for d, f in ("a1", "a2", "b2")],
        ),
    ],
)
def test_a_fingerprint_is_told_only_where_the_name_does_not_tell(sets, told):
    assert variants([stored(dataset=name, fingerprint=content) for name, content in sets]) == told


def renamed(label: str, name: str, content: str) -> StoredEvaluation:
    evaluation = stored(fingerprint=content)
    record = replace(evaluation.training.record, schedule=label)
    return replace(
        evaluation, training=replace(evaluation.training, record=record, details={"dataset": name})
    )


def test_a_data_set_that_was_renamed_is_one(monkeypatch, tmp_path):
    made = [renamed("uniform", "a", "1"), renamed("beta", "b", "1"), renamed("beta", "c", "2")]
    assert variants(made[1:]) == ["dataset=b", "dataset=c"], "records do not hold the name, and it is shown"
    numbers = {"examples": 2, "encode_seconds": 0, "decode_seconds": 0}
    made = [
        replace(
            each,
            details={**each.details, **numbers},
            training=replace(each.training, details={**each.training.details, "seconds": 1, "parameters": 1}),
        )
        for each in made
    ]
    monkeypatch.setattr(results_module, "_everything", lambda store: made)
    frame = load_results(tmp_path).frame
    assert set(zip(frame["label"], frame["variant"], strict=True)) == {
        ("uniform", "dataset=a"), ("beta", "dataset=a"), ("beta", "dataset=c"),
    }  # fmt: skip


def test_an_option_that_older_results_do_not_have_tells_them_from_newer_ones():
    older, newer = {"modes": "3"}, {"modes": "3", "split": "validation"}
    assert variants([stored("dial", **older)] * 2) == ["", ""]
    assert variants([stored("dial", **older), stored("dial", **newer)], without=["split"]) == ["", ""]
    assert variants([stored("dial", **older), stored("dial", **newer)]) == ["split=test", "split=validation"]
    assert variants([stored("of-mine", **older), stored("of-mine", **newer)]) == ["", "split=validation"]


def test_evidence_is_of_the_test_set_unless_another_is_asked_for():
    results = Results(pd.DataFrame(), [stored("dial"), stored("dial", split="validation")], "valid")
    rows = tidy({"folder": results}, ["dial"])
    data = Data(rows, defaults_of("dial"), Testbed("dial", "dial"))
    for asked, found in (({}, ["test"]), ({"split": "validation"}, ["validation"]), ({"split": ANY}, None)):
        assert data.pick(**asked)["split"].tolist() == (found or ["test", "validation"])


def test_a_long_variant_is_broken_between_its_options():
    options = [f"option-{i}=value-{i}" for i in range(8)]
    lines = in_lines(", ".join(options)).splitlines()
    assert len(lines) > 1 and all(len(line) <= 46 for line in lines)
    assert " ".join(lines).split(", ") == options and in_lines("") == ""


ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"


def test_the_examples_of_the_docstrings_are_true(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(results_module)
    assert found.attempted > 5 and not found.failed


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A few cells of a reference folder, with two encoders."""
    out = tmp_path_factory.mktemp("results") / "mine"
    for cell in sorted((REFERENCE / "finding-2" / "cells").iterdir())[:6]:
        shutil.copytree(cell, out / "cells" / cell.name)
    shutil.copy(REFERENCE / "finding-2" / "toyflow.json", out)
    return out


def test_a_row_is_one_model_decoded_in_one_number_of_steps(folder):
    results = toyflow.load_results(str(folder))
    assert isinstance(results, toyflow.Results)
    frame = results.frame
    assert not frame.duplicated(["key", "sampler", "steps"]).any() and frame["key"].nunique() == 6
    assert {"objective", "schedule", "sampler", "seed", "steps", "score", *results.metrics} <= {*frame}
    assert (frame["score"] - frame["hits"] / frame["examples"]).abs().max() < 1e-6
    assert (frame["score"] == frame[results.metric]).all() and results.metrics[0] == results.metric


def test_settings_stand_beside_the_rows(folder):
    results = toyflow.load_results(folder)
    joined = results.frame.join(results.settings[["encoder"]])
    recorded = {e.training.record.key: e.training.record.model["encoder"] for e in results.evaluations}
    assert joined["key"].map(recorded).tolist() == joined["encoder"].tolist()


def test_an_answer_of_a_policy_takes_what_a_plan_takes_and_not_an_episode(folder, tmp_path):
    cell = next((REFERENCE / "one-step" / "hanoi" / "cells").iterdir())
    shutil.copytree(cell, tmp_path / "cells" / cell.name)
    shutil.copy(REFERENCE / "one-step" / "hanoi" / "toyflow.json", tmp_path)
    policies, toy = load_results(tmp_path), load_results(folder)
    plans = [next(iter(e.details["latency_ms"]["plan"].values()))["p50"] for e in policies.evaluations]
    assert policies.frame["answer_ms"].tolist() == plans
    spent = 1000 * (toy.frame["encode_seconds"] + toy.frame["decode_seconds"]) / toy.frame["examples"]
    assert toy.frame["answer_ms"].tolist() == pytest.approx(spent.tolist())


def said(folder: Path) -> str:
    with pytest.raises(UsageError) as error:
        toyflow.load_results(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_results_folder_is_refused_in_one_line(tmp_path, folder):
    assert "nowhere holds no results. `toyflow sweep --out" in said(tmp_path / "nowhere")
    assert "holds no results" in said(tmp_path)
    (tmp_path / "file").write_text("")
    assert "holds no results: it is a file" in said(tmp_path / "file")
    for part in ("cells", "toyflow.json", next((folder / "cells").iterdir()).relative_to(folder)):
        assert said(folder / part).endswith(f"name the results folder that it is in, {folder}.")
    assert said(folder.parent).endswith("is a folder of results folders; choose one of them: mine.")
    with pytest.raises(UsageError, match=r"choose one of them: mine\.$"):
        existing_store(folder.parent)  # as `compare`, `probe` and `runs` open it


def test_a_folder_of_trainings_alone_is_called_that(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "out")
    for evaluations in tmp_path.glob("out/cells/*/evaluations"):
        shutil.rmtree(evaluations)
    assert "holds 6 trained models and no evaluation" in said(tmp_path / "out")


def test_a_newer_format_is_refused(tmp_path):
    write_sealed(tmp_path / "toyflow.json", {"format": 99, "written_by": "9.9.9"})
    assert "holds results of format 99, written by toyflow 9.9.9" in said(tmp_path)


def test_a_damaged_configuration_is_named(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "out")
    victim = sorted(tmp_path.glob("out/cells/*/config.json"))[0]
    config = json.loads(victim.read_text())
    victim.write_text(json.dumps({**config, "details": {}}))
    with pytest.raises(DamagedError, match=r"config\.json"):
        toyflow.load_results(tmp_path / "out")
