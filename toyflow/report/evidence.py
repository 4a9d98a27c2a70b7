"""Evidence for a claim: decodings of results folders as one table, and what is picked from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from toyflow.flow.anatomy import MEASURES
from toyflow.report.results import UNIFORM_GRID, Results, prediction_of, task_of
from toyflow.report.tables import MANY, MARGIN
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.records import RECIPE_VERSION
from toyflow.sweep.stored import StoredEvaluation, remark_of
from toyflow.sweep.subject import load_subject

VALIDATION = "validation"
"""The value of a task's option `split` whose results may choose a setting and decide nothing."""
ANY = None
"""An argument of `Data.pick` that lets every value through."""

PLAIN: Mapping[str, Any] = {
    "prediction": lambda name: pd.isna(name) or name == VELOCITY,
    "grid": UNIFORM_GRID,
    "draws": 1,
}
"""What `Data.pick` takes where these are not named: the velocity or, where the objective has no choice, what
that predicts; equal steps; one draw."""


@dataclass(frozen=True)
class Testbed:
    """A task with its options, on which claims are judged."""

    name: str
    task: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What its options are, as `Data.pick` takes them; others are at their default."""
    any_options: bool = False
    """Whether these others may have any value. Results that differ in one are judged apart, like recipes."""
    unit: str = "examples"
    """What a score counts: `grids`."""
    margin: float = MARGIN
    """Scores within this of each other are equivalent."""
    described: str = ""
    """From what to what, and what is right, for one who does not know it."""
    determined: bool = False
    """Whether the condition determines the target, so that the task has no spread of its own."""

    def rows(self, decodings: pd.DataFrame) -> pd.DataFrame:
        """Those that may be of this testbed."""
        if not self.any_options:
            return decodings
        return Data(decodings, self.options, self).pick(prediction=ANY, grid=ANY, draws=ANY)

    def open_options(self, decodings: pd.DataFrame) -> pd.Series:
        """For each decoding the options that this testbed leaves open and that are not at their default:
        `, side 3`."""

        def told(options: Mapping[str, str]) -> str:
            left = (name for name in sorted(options) if name not in {*self.options, "split"})
            return "".join(f", {name} {options[name]}" for name in left) if self.any_options else ""

        return decodings["changed"].map(told)


@dataclass(frozen=True)
class Data:
    """Decodings of one task under one recipe, a row each; see `tidy`."""

    rows: pd.DataFrame
    defaults: Mapping[str, Any]
    """What `pick` takes of the task's options that it does not name."""
    testbed: Testbed
    earlier: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Decodings by which a setting may be chosen, and nothing is judged: of the validation split, and of
    seeds that were seen when what is judged was planned."""

    def pick(self, **wanted: Any) -> pd.DataFrame:
        """Rows in which each named column has the value, one of several values (a tuple), or passes a test
        (a callable). `ANY` lets all through; options of the task that are not named are at their default, and
        prediction, grid and draws as in `PLAIN`."""
        rows = self.rows
        for column, value in {**PLAIN, **self.defaults, **wanted}.items():
            if value is ANY:
                continue
            if column not in rows:
                return rows.iloc[:0]
            if callable(value):
                rows = rows[rows[column].map(value).astype(bool)]
            else:
                rows = rows[rows[column].isin(value if isinstance(value, tuple) else (value,))]
        return rows

    def flow(self, schedule: Any, steps: Any, **wanted: Any) -> pd.DataFrame:
        """Rows of flow matching."""
        return self.pick(objective="flow", schedule=schedule, steps=steps, **wanted)

    def before(self, validation: bool) -> Data:
        """The decodings of `earlier`: of the validation split, or of earlier seeds."""
        defaults = {name: value for name, value in self.defaults.items() if name != "split"}
        of_validation = self.earlier.get("split", pd.Series("", self.earlier.index)) == VALIDATION
        return Data(self.earlier[of_validation == validation], defaults, self.testbed)

    def many(self, **wanted: Any) -> int:
        """`MANY` if flow was decoded so, else the most steps that it was."""
        steps = set(self.flow(ANY, ANY, **wanted)["steps"])
        return MANY if MANY in steps or not steps else max(steps)


def tidy(
    folders: Mapping[str, Results],
    tasks: Collection[str],
    anatomies: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """A row per decoding of these tasks; one that lies in two folders is listed once. Where two folders hold
    other weights of one key, those count of which there are more decodings; of as many, those that were
    decoded in more draws, by which more claims are judged.

    Args:
        folders: results by the folder's name.
        tasks: names of tasks.
        anatomies: of the models of a folder, by its name; see `read_anatomies`.

    Columns: folder, task, objective, schedule ("" for none), prediction (None where the objective has no
    choice), seed, steps, sampler, grid, draws, model_calls, score, the metrics, the task's options by name,
    recipe, its learning rate and cell in words, training (the stored model) and keys; `remark`, what is to be
    said beside the score; `changed`, the options that are not at their default; `elsewhere`, the folders that
    hold other weights of the key. Rows of one cell differ only in seed, K, sampler and recipe. What a probe
    measured of the model: `anatomy leak` and so on, NaN where it was not probed.
    """
    rows = [
        _row(name, evaluation)
        for name, results in folders.items()
        for evaluation in results.evaluations
        if task_of(evaluation) in tasks
    ]
    if not rows:
        names = ["folder", "task", "times", "sampler", "recipe", "learning rate", "changed"]
        return pd.DataFrame(columns=[*names, "training_key", "evaluation_key"])
    found = _plain_strings(pd.DataFrame(rows))
    probed = [frame.assign(folder=name) for name, frame in (anatomies or {}).items() if len(frame)]
    found = _one_training_each(found.join(_measures(probed, found), on=["training_key", "weights"]))
    return found.drop_duplicates(["training_key", "evaluation_key"], ignore_index=True)


def _plain_strings(frame: pd.DataFrame) -> pd.DataFrame:
    """With Python's strings, of which pandas takes rows several times faster than of Arrow's."""
    arrow = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.StringDtype)]
    return frame.astype(dict.fromkeys(arrow, object))


def _measures(probed: Sequence[pd.DataFrame], found: pd.DataFrame) -> pd.DataFrame:
    """What probes measured, by key and weights of the model."""
    measures = pd.concat(probed) if probed else pd.DataFrame(columns=["key", "folder"])
    models = found[["folder", "training_key", "weights"]].drop_duplicates()
    known = models.merge(measures, left_on=["folder", "training_key"], right_on=["folder", "key"])
    known = known.drop_duplicates(["training_key", "weights"]).set_index(["training_key", "weights"])
    return known.reindex(columns=[*MEASURES]).add_prefix("anatomy ")


def _one_training_each(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one training of each key. Records do not tell versions of the code apart whose results are
    equal up to rounding; weights do."""
    models = rows.groupby(["training_key", "weights"], as_index=False, sort=False)
    models = models.agg({"evaluation_key": "nunique", "draws": "max"})
    models = models.sort_values(["evaluation_key", "draws"], ascending=False, kind="stable")
    counting = models.drop_duplicates("training_key").set_index("training_key")["weights"]
    kept = rows["weights"] == rows["training_key"].map(counting)
    others = rows[~kept].groupby("training_key")["folder"].agg(lambda folders: tuple(folders.unique()))
    elsewhere = rows["training_key"].map(lambda key: others.get(key, ()))
    return rows.assign(elsewhere=elsewhere)[kept]


def _row(folder: str, evaluation: StoredEvaluation) -> dict[str, Any]:
    training, record = evaluation.training, evaluation.training.record
    task = task_of(evaluation)
    setting = {
        "task version": record.task.removeprefix(task),
        **record.recipe_texts,
        "recipe version": record.recipe_version,
        "noise seed": evaluation.record.noise_seed,
        "test set": evaluation.record.test_set,
    }
    defaults = defaults_of(task)
    options = {**defaults, **training.data_options, **record.model}
    prediction = prediction_of(record)
    grid, draws = evaluation.record.grid or UNIFORM_GRID, evaluation.record.draws
    return {
        **options,
        **evaluation.details["metrics"],
        "score": evaluation.score,
        "examples": evaluation.details.get("examples", np.nan),
        "folder": folder,
        "task": task,
        "objective": record.objective,
        "schedule": record.schedule or "",
        "prediction": prediction,
        "times": record.time_sampling or "stratified",
        "sampler": evaluation.record.sampler or "euler",
        "grid": grid,
        "draws": draws,
        "seed": record.seed,
        "steps": evaluation.record.steps,
        "model_calls": evaluation.details["model_calls"],
        "training_flops": training.details.get("training_flops", np.nan),
        "recipe": ", ".join(f"{name} {value}" for name, value in setting.items() if value != ""),
        "learning rate": record.recipe_texts.get("learning rate", ""),
        "drawn": record.recipe.get("iterations", 0) * record.recipe.get("batch_size", 1),
        "changed": {name: value for name, value in options.items() if defaults.get(name) != value},
        "cell": repr((record.objective, record.schedule, prediction, grid, draws, sorted(options.items()))),
        "training": training,
        "weights": training.weights_checksum,
        "evaluation": evaluation,
        "remark": remark_of(evaluation),
        "training_key": record.key,
        "evaluation_key": evaluation.record.key,
    }


def defaults_of(task: str) -> dict[str, str]:
    """The task's options at their default."""
    subject = load_subject(task)
    return {**subject.data_options().texts(), **subject.model_options().texts()}


def is_current(recipe: str) -> bool:
    """Whether a `recipe` of `tidy` is of the version that this toyflow trains by."""
    return f"recipe version {RECIPE_VERSION}" in recipe.split(", ")


def unique(items: Sequence[str]) -> tuple[str, ...]:
    """Each item once, in order."""
    return tuple(dict.fromkeys(items))
