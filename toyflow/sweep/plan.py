"""Turns lists of options into cells: which models to train, and how each is decoded. Keys: see
`records.py`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Objective, make_objective, parse_prediction, parse_schedule
from toyflow.flow.schedules import TIME_SAMPLINGS
from toyflow.optionset import number_text
from toyflow.sweep.decodings import Decodable, Decodings
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.subject import ResolvedOptions, Subject, load_subject
from toyflow.sweep.sweep_options import DEFAULT_SCHEDULES, RECIPE_NUMBERS, SweepOptions

VELOCITY = "velocity"
"""The default prediction, which records leave out."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One model and its decodings."""

    training: TrainingRecord
    evaluations: tuple[EvaluationRecord, ...]
    name: str
    """Name that tells the cell from the others of its plan, except for the seed."""

    @property
    def label(self) -> str:
        """Name with the seed, for progress and messages; unique in its plan."""
        return f"{self.name} seed {self.training.seed}"

    def missing(self, store: Store) -> Cell | None:
        """The part that `store` does not hold: the cell itself if it is not trained, None if nothing. Only
        looks at folder names."""
        if not store.has_training(self.training):
            return self
        left = tuple(e for e in self.evaluations if not store.has_evaluation(self.training, e))
        return replace(self, evaluations=left) if left else None


class Setting(NamedTuple):
    """What is trained and evaluated, and how long and how fast it is trained."""

    options: ResolvedOptions
    recipe: Mapping[str, float]


@dataclass(frozen=True)
class Grid:
    """The options of a sweep; its cells are their product."""

    task: str
    schedules: Sequence[str]
    objectives: Sequence[str]
    steps: Sequence[int]
    seeds: Sequence[int]
    samplers: Sequence[str]
    settings: Sequence[Setting]
    time_sampling: str = "stratified"
    predict: Sequence[str] = ("velocity",)
    grids: Sequence[str] = ("uniform",)
    draws: Sequence[int] = (1,)


class _Configuration(NamedTuple):
    """Cells that differ only in their seed."""

    name: str
    training: TrainingRecord
    evaluations: tuple[EvaluationRecord, ...]


def plan_cells(grid: Grid) -> list[Cell]:
    """The cells of a grid, seeds outermost, so that every schedule has a first result early.

    An objective that takes no schedule gives one cell per seed, however many schedules there are. Among
    the schedules, the name of such an objective stands for that cell. In the same way an objective without
    the choice of a prediction, of a grid or of draws has one cell or decoding for all of them. Steps that an
    objective cannot decode are left out. Settings that differ only in their test set share one model.

    Raises:
        UsageError: a name or value that does not exist, no objective that has a use for it, or nothing left
            to run.
    """
    if grid.time_sampling not in TIME_SAMPLINGS:
        raise UsageError(f"time sampling is {' or '.join(TIME_SAMPLINGS)}, not {grid.time_sampling!r}.")
    methods = _methods(grid)
    decodings = Decodings(
        grid.steps,
        grid.samplers,
        grid.grids,
        grid.draws,
        [Decodable.by(method.objective) for method in methods],
    )
    for steps in grid.steps:
        if steps < 1:
            raise UsageError(f"--steps must be 1 or more, got {steps}.")
    configurations: list[_Configuration] = []
    for (setting, told), method in product(_told(grid), methods):
        options, on = setting.options, setting.options.test_set
        training = TrainingRecord(
            task=grid.task,
            model=dict(options.model),
            objective=method.objective.name,
            schedule=method.schedule,
            time_sampling=grid.time_sampling if method.schedule else None,
            seed=0,
            recipe=dict(setting.recipe),
            data=dict(options.data),
            prediction=method.prediction,
        )
        evaluations = decodings.records(Decodable.by(method.objective), on) if on else ()
        if evaluations or not on:
            name = " ".join([training.label, *told])
            configurations.append(_Configuration(name, training, evaluations))
    cells = _product(configurations, _unique(grid.seeds))
    if not (grid.steps and grid.seeds and methods):
        raise UsageError("nothing to run: steps, seeds and schedules or objectives must each name something.")
    if not cells:
        named = {
            each.objective.name: _listed([k for k in range(1, 129) if each.objective.can_decode(k)])
            for each in methods
        }
        able = "; ".join(f"{name} decodes in {steps}" for name, steps in named.items())
        raise UsageError(f"nothing to run in {_listed(grid.steps)} steps: {able}.")
    return list(cells.values())


def _told(grid: Grid) -> list[tuple[Setting, list[str]]]:
    """The settings, each with what tells it from the others: options, and numbers of the recipe that are not
    the same for all settings of equal options."""
    every = [{**options.data, **options.model} for options, _ in grid.settings]
    recipes = [_varying(recipe) for _, recipe in grid.settings]
    alike: dict[str, list[Mapping[str, str]]] = {}
    for options, recipe in zip(every, recipes, strict=True):
        alike.setdefault(repr(options), []).append(recipe)
    varied = varied_options(every).union(*map(varied_options, alike.values()))
    return [
        (
            setting,
            [
                setting.options.shown.get(name, f"{name}={text}")
                for name, text in {**options, **recipe}.items()
                if name in varied
            ],
        )
        for setting, options, recipe in zip(grid.settings, every, recipes, strict=True)
    ]


def _varying(recipe: Mapping[str, float]) -> dict[str, str]:
    """The numbers of a recipe that a sweep may vary, as text by the name of their flag."""
    return {name.replace("_", "-"): number_text(recipe[name]) for name in RECIPE_NUMBERS if name in recipe}


def _product(configurations: Sequence[_Configuration], seeds: Sequence[int]) -> dict[str, Cell]:
    """The cells by key, seeds outermost."""
    cells: dict[str, Cell] = {}
    for seed in seeds:
        for name, of_any_seed, evaluations in configurations:
            training = replace(of_any_seed, seed=seed)
            known = cells.get(training.key)
            if known is None:
                cells[training.key] = Cell(training, evaluations, name)
            else:
                every = dict.fromkeys(known.evaluations + evaluations)
                cells[training.key] = replace(known, evaluations=tuple(every))
    return cells


def plan_sweep(options: SweepOptions, subject: type[Subject] | Subject | None = None) -> list[Cell]:
    """The cells of `options`; `subject` stands in for the one that they name. Raises UsageError."""
    if subject is None:
        subject = load_subject(options.task)
    return plan_cells(
        Grid(
            task=subject.identity(),
            schedules=DEFAULT_SCHEDULES if options.schedules is None else options.schedules,
            objectives=options.objectives,
            steps=options.steps,
            seeds=options.seeds,
            samplers=options.samplers,
            settings=[
                Setting(chosen, subject.recipe(chosen.model, changes))
                for chosen in map(subject.choose, options.choices())
                for changes in options.recipes()
            ],
            time_sampling=options.time_sampling,
            predict=options.predict,
            grids=options.grid,
            draws=options.draws,
        )
    )


def warn_of_unused_schedules(options: SweepOptions, cells: Sequence[Cell]) -> None:
    """Log the schedules that `options` name if none of its `cells` uses one. Defaults are not named."""
    objectives = _unique(cell.training.objective for cell in cells)
    unused = [name for name in _unique(options.schedules or ()) if name not in objectives]
    if unused and not any(cell.training.schedule for cell in cells):
        train, are = "trains" if len(objectives) == 1 else "train", "is" if len(unused) == 1 else "are"
        names, schedules = _listed(objectives), _listed(unused)
        LOG.warning(f"No schedule is used: {names} {train} without one, so {schedules} {are} left out.")


def objective_of(record: TrainingRecord) -> Objective:
    """The objective that `record` names, with its schedule."""
    schedule = parse_schedule(record.schedule) if record.schedule else None
    times = record.time_sampling or "stratified"
    return make_objective(record.objective, schedule, times, record.prediction)


class _Method(NamedTuple):
    """An objective with its canonical schedule and prediction, which are None where it has no such choice, or
    predicts the velocity."""

    objective: Objective
    schedule: str | None
    prediction: str | None


def _methods(grid: Grid) -> list[_Method]:
    """The ways of training, each once, in the order asked for."""
    names = list(_unique(grid.objectives))
    schedules: list[str] = []
    for name in grid.schedules:
        is_objective = name in plugins.available("objectives") and name not in plugins.available("schedules")
        if is_objective and not plugins.load("objectives", name).uses_schedule:
            names.append(name)
        else:
            schedules.append(parse_schedule(name).name)
    objectives = {name: plugins.load("objectives", name) for name in _unique(names)}
    predictions = [parse_prediction(name).name for name in _unique(grid.predict)]
    others = [name for name in predictions if name != VELOCITY]
    if others and not any(objective.uses_prediction for objective in objectives.values()):
        raise UsageError(
            f"--predict {_listed(others)}: {_listed(objectives)} has no choice of prediction; flow, "
            "consistency and shortcut have."
        )
    methods: list[_Method] = []
    for name, objective in objectives.items():
        over = product(
            _unique(schedules) if objective.uses_schedule else [None],
            _unique(predictions) if objective.uses_prediction else [VELOCITY],
        )
        for schedule, prediction in over:
            times = parse_schedule(schedule) if schedule else None
            says = None if prediction == VELOCITY else prediction
            methods.append(_Method(make_objective(name, times, grid.time_sampling, says), schedule, says))
    return methods


def varied_options(options: Sequence[Mapping[str, str]]) -> set[str]:
    """Names of the options that are not the same everywhere."""
    names = {name for each in options for name in each}
    return {name for name in names if len({each.get(name) for each in options}) > 1}


def _unique(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))
