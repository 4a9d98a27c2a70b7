"""Stored results as one table of numbers, for everything that reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from toyflow import plugins
from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import parse_schedule
from toyflow.sweep.inspection import no_results
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import TrainingRecord, name_of_task
from toyflow.sweep.store import Store
from toyflow.sweep.stored import OUTCOMES, StoredEvaluation, StoredTraining, caveat_of
from toyflow.sweep.subject import options_of, test_set_of
from toyflow.sweep.timing_doubts import plan_of, timing_doubts

CELL = ["label", "variant"]
"""Columns of `Results.frame` that tell one configuration from another, but for seed and steps."""
UNIFORM_GRID = "uniform"
"""The grid of equal steps, which records leave out."""


@dataclass(frozen=True)
class Results:
    """What a results folder holds, or the part of it that a sweep asked for; see `load_results`."""

    frame: pd.DataFrame
    """A row per decoding; `load_results` lists the columns."""
    evaluations: Sequence[StoredEvaluation]
    """The same rows, with their records and files."""
    metric: str
    """Name of the headline metric."""

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, the headline first: columns of `frame`."""
        return list(dict.fromkeys(name for each in self.evaluations for name in each.details["metrics"]))

    @property
    def settings(self) -> pd.DataFrame:
        """The rows of `frame` with a column for each option of the data, the model and the decoding and each
        number of the recipe, as text. NaN where a result has no such option."""
        settings = [
            {name: str(value) for name, value in description(each).items()} for each in self.evaluations
        ]
        return pd.DataFrame(settings, index=self.frame.index)

    def __str__(self) -> str:
        columns = [*CELL, "seed", "steps", "score", "examples"]
        return self.frame[columns].to_string(index=False)


def load_results(folder: Path | str | Store, cells: Iterable[Cell] | None = None) -> Results:
    """Read a results folder: every decoding in it, or those that `cells` asked for.

    `frame` has a row per decoding, which is one trained model (so one seed), one sampler and one number of
    steps K, in the order of tables:

    - `label`: the schedule, or the objective where that is not flow, and the prediction where that is not the
      velocity; `objective`, `schedule` and `prediction` apart, the last two None for an objective without
      the choice; `sampler`, None for an objective that needs none; `grid` and `draws` of the decoding
    - `variant`: in words, what else differs among these results; "" where nothing does
    - `seed`; `steps`, which is K; `model_calls`, the NFE
    - `score`, the mean of the headline metric: `score` = `hits` / `examples`; `errors`, test
      examples beside these that have no result
    - a column per metric of the task: a mean over examples, or a set metric, computed on all samples together
    - `answer_ms`, milliseconds for an answer, its condition included: of a policy the median of single plans,
      elsewhere the test set's time over its examples; `timing_doubt`, why it may be that of a busy machine,
      or ""; `encode_seconds`, `decode_seconds` of the whole test set; `training_seconds`; `parameters`
    - `caveat`: what to say beside the score, such as "with 29 of LIBERO's 371 asset files replaced"; "" where
      there is nothing
    - `key`, which names the trained model's folder in `cells/`

    >>> results = load_results("results/reference/finding-1")
    >>> frame = results.frame
    >>> one_step = frame[(frame["steps"] == 1) & frame["schedule"].isin(["uniform", "shift:4"])]
    >>> one_step.groupby("schedule")["score"].mean().round(3).to_dict()
    {'shift:4': 0.884, 'uniform': 0.867}

    A row per seed, K and metric:

    >>> tidy = frame.melt(["label", "seed", "steps"], results.metrics, var_name="metric")

    Options as columns, to choose by:

    >>> base = frame[results.settings["encoder"] == "base"]

    Args:
        folder: what `toyflow sweep --out` or `toyflow.run_study` has written.
        cells: of a plan; all others are left out.

    Raises:
        UsageError: the folder holds no results, only trainings, results of several tasks or of another
            version's format, or is a folder of results folders.
        DamagedError: a configuration is missing or altered.
    """
    store = folder if isinstance(folder, Store) else Store(folder)
    stored = list(_everything(store) if cells is None else _asked_for(store, cells))
    if not stored:
        if cells is not None and next(iter(_everything(store)), None) is not None:
            raise UsageError(f"{store.root} has results, but none for the requested cells.")
        raise UsageError(_why_nothing(store))
    tasks = sorted({evaluation.training.record.task for evaluation in stored})
    if len(tasks) > 1:
        raise UsageError(
            f"{store.root} holds results of several tasks, {', '.join(tasks)}; keep one folder per task."
        )
    stored = _with_one_name(stored)
    frame = pd.DataFrame([_row(evaluation) for evaluation in stored])
    frame.insert(1, "variant", variants(stored))
    frame["timing_doubt"] = timing_doubts(stored)
    frame["rank"] = [rank(evaluation) for evaluation in stored]
    frame["place"] = frame["variant"].map(in_number_order)
    order = frame.sort_values(["place", "rank", "label", "seed", "steps"], kind="stable").index
    metric = next(iter(stored[0].details["metrics"]))
    return Results(
        frame.loc[order].drop(columns=["rank", "place"]).reset_index(drop=True),
        [stored[i] for i in order],
        metric,
    )


def _why_nothing(store: Store) -> str:
    """What to say of a folder without a decoding."""
    root = store.root
    trained = sum(1 for _ in store.trainings())
    if trained:
        models = f"{trained} trained model{'s' * (trained > 1)}"
        return f"{root} holds {models} and no evaluation, so there is no score to report."
    return no_results(root)


def task_of(evaluation: StoredEvaluation) -> str:
    """The task's name, without the version that records add to it."""
    return name_of_task(evaluation.training.record.task)


def set_metrics_of(evaluation: StoredEvaluation) -> tuple[str, ...]:
    """Set metrics of a decoding: computed on all samples together, such as the Fréchet distance."""
    of_each = evaluation.outcomes().columns
    return tuple(name for name in evaluation.details["metrics"] if name not in of_each)


def by_example(
    evaluations: Sequence[StoredEvaluation], metric: str | None = None
) -> Float[np.ndarray, "evaluations examples"] | None:
    """The metric of each example, a row per decoding, checked; the headline where `metric` is None.

    None where the outcomes are not stored, the metric is computed on all samples together, examples have no
    result (which would have to be left out of all), or the decodings have different numbers of examples.

    Raises:
        DamagedError: a file of outcomes is altered.
    """
    rows = []
    for evaluation in evaluations:
        if evaluation.errors or not (evaluation.folder / OUTCOMES).is_file():
            return None
        outcomes = evaluation.outcomes()
        name = metric or next(iter(evaluation.details["metrics"]))
        if name not in outcomes:
            return None
        rows.append(outcomes[name].to_numpy(float))
    return np.stack(rows) if len({len(row) for row in rows}) == 1 else None


def in_number_order(text: str) -> str:
    """`text` with whole numbers padded, so that draws=2 sorts before draws=16."""
    return re.sub(r"(?<![\d.])\d+", lambda number: number[0].zfill(12), text)


def variants(stored: Sequence[StoredEvaluation], without: Sequence[str] = ()) -> list[str]:
    """What differs among the results besides schedule, seed and steps: `encoder=small, sampler=heun`. Names
    in `without` are left out."""
    described = [description(evaluation) for evaluation in stored]
    described = [{key: each[key] for key in each if key not in without} for each in described]
    return _differences(described, [each.training for each in stored])


def training_variants(trainings: Sequence[StoredTraining]) -> list[str]:
    """As `variants`, of trainings by themselves."""
    return _differences([_description(training) for training in trainings], trainings)


def _differences(described: Sequence[dict[str, Any]], trainings: Sequence[StoredTraining]) -> list[str]:
    values: dict[str, set[Any]] = {}
    for each in described:
        for key, value in each.items():
            values.setdefault(key, set()).add(value)
    of_all = {name for each in trainings for name in (*each.record.data, *each.record.recipe_texts)}
    for key in values.keys() & of_all:
        values[key] |= {each.get(key) for each in described}  # which some results do not have
    differing = [key for key, found in values.items() if len(found) > 1]
    content = {(each.get("dataset"), each.get("fingerprint")) for each in described}
    if "fingerprint" in differing and len(content) == len(values.get("dataset", ())):
        differing.remove("fingerprint")  # the data set's name tells as much
    return [", ".join(f"{key}={d[key]}" for key in differing if key in d) for d in described]


def _with_one_name(stored: Sequence[StoredEvaluation]) -> list[StoredEvaluation]:
    """The same, with one name for a data set that was renamed between trainings: the fingerprint, which
    records hold, says that it is the same."""
    names: dict[str, str] = {}
    named: list[StoredEvaluation] = []
    for evaluation in stored:
        training = evaluation.training
        if "dataset" in training.details:
            name = names.setdefault(training.record.data["fingerprint"], training.details["dataset"])
            training = replace(training, details={**training.details, "dataset": name})
        named.append(replace(evaluation, training=training))
    return named


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
    """Where tables show a result: flow by its schedule's mass at the noise end, then other objectives in the
    same order, then those that have no schedule."""
    record = evaluation.training.record
    if record.schedule is None:
        return 4.0
    behind = 0.0 if record.objective == "flow" else 2.0
    try:
        return behind + parse_schedule(record.schedule).noise_mass()
    except ToyflowError:  # a plug-in's schedule, and the plug-in is not here
        return behind + 1.0


def _row(evaluation: StoredEvaluation) -> dict[str, Any]:
    training, details = evaluation.training, evaluation.details
    return {
        "label": training.record.label,
        "objective": training.record.objective,
        "schedule": training.record.schedule,
        "prediction": prediction_of(training.record),
        "sampler": evaluation.record.sampler,
        "grid": evaluation.record.grid or UNIFORM_GRID,
        "draws": evaluation.record.draws,
        "seed": training.record.seed,
        "steps": evaluation.record.steps,
        "score": evaluation.score,
        "hits": round(evaluation.score * details["examples"]),
        "examples": details["examples"],
        "errors": evaluation.errors,
        **details["metrics"],
        "model_calls": details["model_calls"],
        "answer_ms": _answer_ms(details),
        "encode_seconds": details["encode_seconds"],
        "decode_seconds": details["decode_seconds"],
        "training_seconds": training.details["seconds"],
        "parameters": training.details["parameters"],
        "caveat": caveat_of(evaluation),
        "key": training.record.key,
    }


def _answer_ms(details: Mapping[str, Any]) -> float:
    if times := details.get("latency_ms"):
        return plan_of(times)["p50"]
    return 1000 * (details["encode_seconds"] + details["decode_seconds"]) / details["examples"]


def prediction_of(record: TrainingRecord) -> str | None:
    """What the model says; None for an objective without the choice, or that is not installed."""
    known = record.objective in plugins.available("objectives")
    choice = known and plugins.load("objectives", record.objective).uses_prediction
    return record.prediction or (VELOCITY if choice else None)


def _description(training: StoredTraining) -> dict[str, Any]:
    """All that tells one training from another besides schedule and seed."""
    record = training.record
    data, model = options_of(training)
    described = {
        **data,
        **model,
        **record.recipe_texts,
        "times": record.time_sampling,
        "recipe version": record.recipe_version,
    }
    return {key: value for key, value in described.items() if value is not None}


def description(evaluation: StoredEvaluation) -> dict[str, Any]:
    """All that tells one result from another besides schedule, seed and steps."""
    described = {
        **_description(evaluation.training),
        "sampler": evaluation.record.sampler,
        "grid": evaluation.record.grid or UNIFORM_GRID,
        "draws": evaluation.record.draws,
        "noise seed": evaluation.record.noise_seed,
        **test_set_of(evaluation.training.record, evaluation.record.test_set),
    }
    return {key: value for key, value in described.items() if value is not None}
