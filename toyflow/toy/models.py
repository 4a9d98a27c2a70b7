"""The models of a task: built or loaded from a record, given batches, and decoded."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.atomic import DamagedError
from toyflow.errors import UsageError
from toyflow.flow import Model, Objective, draw_noise, euler
from toyflow.seeds import generator, global_state
from toyflow.sweep.plan import objective_of
from toyflow.sweep.records import RECIPE_VERSION, EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredTraining, cure
from toyflow.sweep.subject import subject_of
from toyflow.toy.task import Task, make_task
from toyflow.training import Batch

EVALUATION_BATCH = 125
"""Test examples per model call in decoding; part of what the decoding times mean."""


def task_of(record: TrainingRecord, task: Task | None = None, data_dir: str | None = None) -> Task:
    """The task of `record` with its options, or `task` if that is it.

    Raises:
        UsageError: it is not installed, not in this version or with these options, or another task of its
            name made the record.
    """
    if task is None:
        task = make_task(subject_of(record).name, record.data, data_dir)
        lacking = task.data.record().keys() - record.data.keys()
        if lacking and task.identity() == record.task:
            raise UsageError(
                f"these results are of another task named {record.task!r} than the installed one: it lacks "
                f"the options {', '.join(sorted(lacking))}. Hand it to toyflow from Python."
            )
    if task.identity() != record.task:
        raise UsageError(f"these results are of task {record.task}; this is {task.identity()}.")
    known = record.data.keys() <= task.data_options.values().keys()
    if not known or task.data_options.parse(record.data) != task.data:
        asked = (
            ", ".join(f"{option}={value}" for option, value in record.data.items()) or "options by default"
        )
        raise UsageError(f"these results are of {record.task} with {asked}, not of this task's options.")
    return task


def build_model(task: Task, objective: Objective, record: TrainingRecord) -> Model:
    """The untrained model of `record`, with what the objective adds to it; leaves the global random state
    as it was."""
    with global_state(record.seed, "weights", torch.device("cpu")):
        model = task.build_model(task.model_options.parse(record.model))
        objective.attach(model, task.target_shape)
        return model


def load_model(task: Task, training: StoredTraining) -> tuple[Model, Objective]:
    """A trained model, ready to answer, and its objective.

    Raises:
        UsageError: it was trained under another version of the recipe, so this network is not its own.
        DamagedError: the weights are missing, altered, or another model's.
    """
    version = training.record.recipe_version
    if version != RECIPE_VERSION:
        raise UsageError(
            f"{training.folder} was trained under recipe version {version}; this toyflow runs models of "
            f"version {RECIPE_VERSION}. Its stored results can be read; train again to decode or probe."
        )
    objective = objective_of(training.record)
    model = build_model(task, objective, training.record)
    try:
        model.load_state_dict(training.weights())
    except RuntimeError as error:
        raise DamagedError(
            f"the weights in {training.folder} do not fit {type(model).__name__} as this toyflow builds it; "
            "they are another version's.",
            cure(training.folder, by_key=True),
        ) from error
    return model.eval(), objective


def batches(task: Task, size: int, seed: int, device: torch.device) -> Iterator[Batch]:
    """Training batches without end, the same for every schedule under one seed."""
    source = generator(seed, "data")
    while True:
        yield task.checked_batch(size, source).to(device)


@torch.inference_mode()
def decode(
    model: Model, objective: Objective, test: Batch, record: EvaluationRecord
) -> tuple[Float[Tensor, "examples ..."], float, float]:
    """(sample, seconds to encode the condition, seconds to decode from it), over the whole test set."""
    decoding, target = record.decoding, test.target
    source = generator(record.noise_seed, "test noise")
    noise = draw_noise(decoding.draws, lambda: torch.randn(target.shape, generator=source)).to(target)
    samples: list[Tensor] = []
    encode_seconds = decode_seconds = 0.0
    for start in range(0, len(target), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        observation = test.part(part).observation
        began = now(noise.device)
        condition = model.encode(observation)
        encoded = now(noise.device)
        own = noise[part] if decoding.draws == 1 else noise[:, part]
        samples.append(decoding.sample(objective, model, condition, own))
        decode_seconds += now(noise.device) - encoded
        encode_seconds += encoded - began
    return torch.cat(samples), encode_seconds, decode_seconds


@torch.inference_mode()
def warm_up(model: Model, objective: Objective, test: Batch) -> None:
    """One call outside the clock: the first one pays for allocations and kernels."""
    first = test.part(slice(0, EVALUATION_BATCH))
    condition = model.encode(first.observation)
    objective.decode(model, condition, torch.zeros_like(first.target), 1, euler)


def now(device: torch.device) -> float:
    """Seconds on a clock, once `device` has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
