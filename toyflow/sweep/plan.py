"""Turns lists of options into cells: which models to train, and how each is decoded. Keys: see
`records.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from toyflow.errors import UsageError
from toyflow.flow import Objective, make_objective, parse_schedule
from toyflow.flow.schedules import TIME_SAMPLINGS
from toyflow.optionset import number_text
from toyflow.sweep.decodings import Decodable, Decodings
from toyflow.sweep.methods import Method, check_predictions, listed, methods_of, unique
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.subject import ResolvedOptions, Subject, load_subject
from toyflow.sweep.sweep_options import DEFAULT_SCHEDULES, RECIPE_NUMBERS, SweepOptions


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

    @property
    def texts(self) -> dict[str, str]:
        """The options of data and model, as text."""
        return {**self.options.data, **self.options.model}


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
    seeds: Sequence[int]


def plan_cells(*grids: Grid) -> list[Cell]:
    """The cells of one grid or more, each once, seeds outermost, so that every schedule has a first result
    early.

    An objective that takes no schedule gives one cell per seed, however many schedules there are. Among
    the schedules, the name of such an objective stands for that cell. In the same way an objective without
    the choice of a prediction, of a grid or of draws has one cell or decoding for all of them. Steps that an
    objective cannot decode are left out. Settings that differ only in their test set share one model.

    Raises:
        UsageError: a name or value that does not exist, no objective of any grid that has a use for it, or
            nothing left to run.
    """
    for grid in grids:
        _check(grid)
    methods = [methods_of(g.objectives, g.schedules, g.predict, g.time_sampling) for g in grids]
    every = [method.objective for of_grid in methods for method in of_grid]
    check_predictions([name for grid in grids for name in grid.predict], every)
    if not every or not any(grid.steps and grid.seeds for grid in grids):
        raise UsageError("nothing to run: steps, seeds and schedules or objectives must each name something.")
    configurations = [
        configuration
        for grid, of_grid, told in zip(grids, methods, _told(grids), strict=True)
        for configuration in _configurations(grid, of_grid, told, every)
    ]
    cells = _product(configurations)
    if not cells:
        able = {o.name: listed([k for k in range(1, 129) if o.can_decode(k)]) for o in every}
        steps = listed(unique(k for grid in grids for k in grid.steps))
        said = "; ".join(f"{name} decodes in {own}" for name, own in able.items())
        raise UsageError(f"nothing to run in {steps} steps: {said}.")
    return list(cells.values())


def _check(grid: Grid) -> None:
    if grid.time_sampling not in TIME_SAMPLINGS:
        raise UsageError(f"time sampling is {' or '.join(TIME_SAMPLINGS)}, not {grid.time_sampling!r}.")
    for steps in grid.steps:
        if steps < 1:
            raise UsageError(f"--steps must be 1 or more, got {steps}.")


def _configurations(
    grid: Grid, methods: Sequence[Method], told: Sequence[list[str]], objectives: Sequence[Objective]
) -> Iterator[_Configuration]:
    """What a grid runs. `told` is what tells each of its settings from all others; `objectives` are those of
    all grids."""
    of = [Decodable.by(objective) for objective in objectives]
    decodings = Decodings(grid.steps, grid.samplers, grid.grids, grid.draws, of)
    for (setting, words), method in product(zip(grid.settings, told, strict=True), methods):
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
            yield _Configuration(" ".join([training.label, *words]), training, evaluations, grid.seeds)


def _told(grids: Sequence[Grid]) -> list[list[list[str]]]:
    """For each grid and setting what tells it from the others: options, numbers of the recipe that are not
    the same for all settings of equal options, and the time sampling."""
    settings = [setting for grid in grids for setting in grid.settings]
    alike: dict[str, list[Mapping[str, str]]] = {}
    for setting in settings:
        alike.setdefault(repr(setting.texts), []).append(_varying(setting.recipe))
    varied = varied_options([setting.texts for setting in settings]).union(
        *map(varied_options, alike.values())
    )
    several_times = len({grid.time_sampling for grid in grids}) > 1
    return [
        [
            [
                setting.options.shown.get(name, f"{name}={text}")
                for name, text in {**setting.texts, **_varying(setting.recipe)}.items()
                if name in varied
            ]
            + [f"times={grid.time_sampling}"] * several_times
            for setting in grid.settings
        ]
        for grid in grids
    ]


def _varying(recipe: Mapping[str, float]) -> dict[str, str]:
    """The numbers of a recipe that a sweep may vary, as text by the name of their flag."""
    return {name.replace("_", "-"): number_text(recipe[name]) for name in RECIPE_NUMBERS if name in recipe}


def _product(configurations: Sequence[_Configuration]) -> dict[str, Cell]:
    """The cells by key, seeds outermost."""
    cells: dict[str, Cell] = {}
    for seed in unique(seed for each in configurations for seed in each.seeds):
        for name, of_any_seed, evaluations, seeds in configurations:
            if seed not in seeds:
                continue
            training = replace(of_any_seed, seed=seed)
            known = cells.get(training.key)
            if known is None:
                cells[training.key] = Cell(training, evaluations, name)
            else:
                every = {evaluation.key: evaluation for evaluation in known.evaluations + evaluations}
                cells[training.key] = replace(known, evaluations=tuple(every.values()))
    return cells


def plan_sweep(options: SweepOptions, subject: type[Subject] | Subject | None = None) -> list[Cell]:
    """The cells of `options`, or of all of their parts; `subject` stands in for the one that they name.
    Raises UsageError."""
    if subject is None:
        subject = load_subject(options.task)
    return plan_cells(*(_grid(part, subject) for part in options.sweeps))


def _grid(options: SweepOptions, subject: type[Subject] | Subject) -> Grid:
    return Grid(
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


def objective_of(record: TrainingRecord) -> Objective:
    """The objective that `record` names, with its schedule."""
    schedule = parse_schedule(record.schedule) if record.schedule else None
    times = record.time_sampling or "stratified"
    return make_objective(record.objective, schedule, times, record.prediction)


def varied_options(options: Sequence[Mapping[str, str]]) -> set[str]:
    """Names of the options that are not the same everywhere."""
    names = {name for each in options for name in each}
    return {name for name in names if len({each.get(name) for each in options}) > 1}
