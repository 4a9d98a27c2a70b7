"""Stored results as one table of numbers, for everything that reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import parse_schedule
from toyflow.sweep.plan import Cell
from toyflow.sweep.store import Store, StoredEvaluation

CELL = ["label", "variant"]
"""Columns of `Results.frame` that tell one configuration from another, but for seed and steps."""


@dataclass(frozen=True)
class Results:
    """What a results folder holds, or the part of it that a sweep asked for.

    `frame` has a row per decoding: `label` (the law), `variant` (whatever else differs among the
    results, in words), `seed`, `steps`, `score` (mean of the headline metric), `hits` of `examples`, the
    task's metrics, `model_calls`, `encode_seconds`, `decode_seconds`, `training_seconds`, `parameters`.
    `evaluations` are the same rows with their files.
    """

    frame: pd.DataFrame
    evaluations: Sequence[StoredEvaluation]
    metric: str
    """Name of the headline metric."""

    def __str__(self) -> str:
        columns = [*CELL, "seed", "steps", "score", "examples"]
        return self.frame[columns].to_string(index=False)


def load_results(store: Store, cells: Iterable[Cell] | None = None) -> Results:
    """All of a results folder, or what these `cells` asked for; configurations are checked.

    Raises:
        UsageError: there is nothing in it.
        DamagedError: a file is missing or altered.
    """
    stored = list(_everything(store) if cells is None else _asked_for(store, cells))
    if not stored:
        raise UsageError(
            f"{store.root} holds no results of this kind; make some: toyflow sweep --out {store.root}"
        )
    tasks = sorted({evaluation.training.record.task for evaluation in stored})
    if len(tasks) > 1:
        raise UsageError(
            f"{store.root} holds results of several tasks, {', '.join(tasks)}; keep one folder per task."
        )
    frame = pd.DataFrame([_row(evaluation) for evaluation in stored])
    frame.insert(1, "variant", variants(stored))
    frame["rank"] = [rank(evaluation) for evaluation in stored]
    order = frame.sort_values(["variant", "rank", "label", "seed", "steps"], kind="stable").index
    metric = next(iter(stored[0].details["metrics"]))
    return Results(
        frame.loc[order].drop(columns="rank").reset_index(drop=True), [stored[i] for i in order], metric
    )


def variants(stored: Sequence[StoredEvaluation]) -> list[str]:
    """What differs among the results besides law, seed and steps: `encoder=small, sampler=heun`."""
    described = [description(evaluation) for evaluation in stored]
    values: dict[str, set[Any]] = {}
    for each in described:
        for key, value in each.items():
            values.setdefault(key, set()).add(value)
    differing = [key for key, found in values.items() if len(found) > 1]
    content = {(each.get("dataset"), each.get("fingerprint")) for each in described}
    if "fingerprint" in differing and len(content) == len(values.get("dataset", ())):
        differing.remove("fingerprint")  # the data set's name tells as much
    return [", ".join(f"{key}={d[key]}" for key in differing if key in d) for d in described]


def _everything(store: Store) -> Iterable[StoredEvaluation]:
    for training in store.trainings():
        yield from store.evaluations(training)


def _asked_for(store: Store, cells: Iterable[Cell]) -> Iterable[StoredEvaluation]:
    for cell in cells:
        if store.has_training(cell.training):
            keys = {evaluation.key for evaluation in cell.evaluations}
            training = store.training(cell.training.key)
            yield from (e for e in store.evaluations(training) if e.record.key in keys)


def rank(evaluation: StoredEvaluation) -> float:
    """Where a law is shown: flow by its law's mass at the noise end, then other objectives, by theirs, then
    those that have no law."""
    record = evaluation.training.record
    if record.schedule is None:
        return 4.0
    behind = 0.0 if record.objective == "flow" else 2.0
    try:
        return behind + parse_schedule(record.schedule).noise_mass()
    except ToyflowError:  # a plug-in's law, and the plug-in is not here
        return behind + 1.0


def _row(evaluation: StoredEvaluation) -> dict[str, Any]:
    training, details = evaluation.training, evaluation.details
    return {
        "label": training.record.label,
        "seed": training.record.seed,
        "steps": evaluation.record.steps,
        "score": evaluation.score,
        "hits": round(evaluation.score * details["examples"]),
        "examples": details["examples"],
        **details["metrics"],
        "model_calls": details["model_calls"],
        "encode_seconds": details["encode_seconds"],
        "decode_seconds": details["decode_seconds"],
        "training_seconds": training.details["seconds"],
        "parameters": training.details["parameters"],
        "key": training.record.key,
    }


def description(evaluation: StoredEvaluation) -> dict[str, Any]:
    """All that tells one result from another besides law, seed and steps."""
    record = evaluation.training.record
    described = {
        **record.data,
        **record.model,
        **{key.replace("_", " "): f"{value:g}" for key, value in record.recipe.items()},
        "times": record.time_sampling,
        "recipe version": record.recipe_version,
        "sampler": evaluation.record.sampler,
        "noise seed": evaluation.record.noise_seed,
        **_test_set(evaluation.record.test_set),
    }
    return {key: value for key, value in described.items() if value is not None}


def _test_set(name: str) -> dict[str, str]:
    """What a test set's name says: `suite=libero_goal replan=5` is two things, any other name is one."""
    parts = [part.split("=", 1) for part in name.split(" ")]
    return dict(parts) if all(len(part) == 2 for part in parts) else {"test set": name}
