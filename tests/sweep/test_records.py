import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, parsed

from toyflow.atomic import DamagedError
from toyflow.sweep.records import EvaluationRecord, TrainingRecord

RECORD = TrainingRecord(
    task="points", model={"encoder": "base"}, objective="flow", schedule="beta", time_sampling="stratified",
    seed=0, recipe={"iterations": 10},
)  # fmt: skip
CHANGES = {
    "task": "x", "model": {"encoder": "small"}, "objective": "x", "schedule": "uniform",
    "time_sampling": "iid", "seed": 1, "recipe": {"iterations": 11}, "recipe_version": 99,
    "data": {"side": "2"}, "prediction": "data",
}  # fmt: skip
DECODING = EvaluationRecord("euler", 1)
OTHER_DECODINGS = {
    "sampler": "heun", "steps": 2, "noise_seed": 1, "test_set": "x", "grid": "shift:3", "draws": 8,
}  # fmt: skip


def test_the_key_depends_on_every_field_and_on_nothing_else():
    assert set(CHANGES) == {f.name for f in fields(RECORD)}
    keys = {RECORD.key} | {replace(RECORD, **{name: value}).key for name, value in CHANGES.items()}
    assert len(keys) == 1 + len(CHANGES)
    assert replace(RECORD).key == RECORD.key
    assert set(OTHER_DECODINGS) == {f.name for f in fields(DECODING)}
    keys = {DECODING.key} | {replace(DECODING, **{name: v}).key for name, v in OTHER_DECODINGS.items()}
    assert len(keys) == 1 + len(OTHER_DECODINGS)


def test_fields_that_came_later_are_left_out_at_what_older_records_mean():
    assert "prediction" not in RECORD.as_dict() and "draws" not in DECODING.as_dict()
    told = {**DECODING.as_dict(), "draws": 1, "grid": None}
    assert EvaluationRecord.from_dict(told).key == DECODING.key


def test_the_key_is_settled():
    """Keys name folders that users have: a change here breaks their results folders."""
    assert replace(RECORD, recipe_version=1).key == "b815e888d8081463"
    assert EvaluationRecord("euler", 1).key == "1c96f7d18aeef438"


def test_records_survive_json():
    for record in (RECORD, replace(RECORD, data={"side": "2"}), EvaluationRecord("heun", 4, grid="0:0.5:1")):
        assert type(record).from_dict(record.as_dict()).key == record.key


def test_a_record_with_other_fields_is_refused():
    with pytest.raises(DamagedError, match="must have the fields"):
        TrainingRecord.from_dict({**RECORD.as_dict(), "extra": 1})
    with pytest.raises(DamagedError):
        EvaluationRecord.from_dict([1])


def test_labels():
    assert RECORD.label == "beta"
    assert replace(RECORD, objective="regression", schedule=None).label == "regression"
    assert replace(RECORD, objective="meanflow").label == "meanflow(beta)"
    assert replace(RECORD, prediction="data").label == "data(beta)"
    assert replace(RECORD, prediction="data", objective="consistency").label == "consistency-data(beta)"
    assert EvaluationRecord("heun", 2, grid="shift:3", draws=8).label == "heun K=2 grid=shift:3 M=8"


FIELDS = [f.name for f in fields(RECORD)] + [f.name for f in fields(EvaluationRecord("euler", 1))]


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=3, max_size=len(FIELDS)))
def test_whatever_json_holds_it_is_a_record_or_damaged(values):
    for kind in (TrainingRecord, EvaluationRecord):
        record = parsed(lambda kind=kind: kind.from_dict(values), DamagedError)
        assert record is None or len(record.key) == 16


@given(st.sampled_from(sorted(CHANGES)), JSON)
def test_a_record_with_another_value_has_another_key(name, value):
    changed = parsed(lambda: TrainingRecord.from_dict({**RECORD.as_dict(), name: value}), DamagedError)
    if changed is None:
        return
    same = json.dumps(changed.as_dict(), sort_keys=True) == json.dumps(RECORD.as_dict(), sort_keys=True)
    assert (changed.key == RECORD.key) == same
