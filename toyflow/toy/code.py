"""Hashes of the code that a result of a task depends on, where that is not toyflow's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toyflow.flow import Mixture, parse_prediction, parse_sampler, parse_schedule
from toyflow.sweep.code_hash import hash_of, hash_of_attribute, is_foreign
from toyflow.sweep.plan import objective_of
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import Code
from toyflow.toy.task import Task

TRAINING = ("prepare", "train_batch", "target_shape", "build_model")
"""Attributes of a task that decide the trained model."""
EVALUATION = ("prepare", "test_set", "build_model", "score", "score_set", "metrics", "set_metrics")
"""Attributes of a task that decide a decoding's scores, besides the weights."""


def code_of(task: Task, record: TrainingRecord, evaluation: EvaluationRecord | None) -> Code | None:
    """Hashes for a training, or for one evaluation of it, by name: methods of the task, and the plug-ins that
    the records name; UNKNOWN for one whose source cannot be read. None where all of it is toyflow's own."""
    parts = [part for part in _plug_ins(record, evaluation) if is_foreign(part[1])]
    names = (TRAINING if evaluation is None else EVALUATION) if is_foreign(task) else ()
    if not (parts or names):
        return None
    return {name: hash_of_attribute(task, name) for name in names} | {
        name: hash_of(part) for name, part in parts
    }


def _plug_ins(record: TrainingRecord, evaluation: EvaluationRecord | None) -> Iterator[tuple[str, Any]]:
    """(name, class or function) of those that a result depends on."""
    yield f"objective {record.objective}", type(objective_of(record))
    if record.schedule and evaluation is None:
        schedule = parse_schedule(record.schedule)
        mixed = [part for _, part in schedule.parts] if isinstance(schedule, Mixture) else [schedule]
        for part in mixed:
            yield f"schedule {part.name}", type(part)
    if record.prediction:
        yield f"prediction {record.prediction}", type(parse_prediction(record.prediction))
    if evaluation is not None and evaluation.sampler:
        yield f"sampler {evaluation.sampler}", parse_sampler(evaluation.sampler).step
