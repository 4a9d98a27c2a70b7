from pathlib import Path

import pytest

from toyflow.report.results import variants
from toyflow.report.style import in_lines
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import StoredEvaluation, StoredTraining


def stored(**data: str) -> StoredEvaluation:
    record = TrainingRecord("robot", {}, "flow", "uniform", "stratified", 0, {}, data=data)
    return StoredEvaluation(Path(), StoredTraining(Path(), record, {}, {}), EvaluationRecord("euler", 1), {})


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


def test_a_long_variant_is_broken_between_its_options():
    options = [f"option-{i}=value-{i}" for i in range(8)]
    lines = in_lines(", ".join(options)).splitlines()
    assert len(lines) > 1 and all(len(line) <= 64 for line in lines)
    assert " ".join(lines).split(", ") == options and in_lines("") == ""
