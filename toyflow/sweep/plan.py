"""Turns lists of options into cells: which models to train, and how each is decoded. Keys: see
`records.py`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Objective, make_objective, parse_sampler, parse_schedule
from toyflow.flow.schedules import TIME_SAMPLINGS
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.subject import ResolvedOptions, Subject, load_subject
from toyflow.sweep.sweep_options import DEFAULT_SCHEDULES, SweepOptions

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


@dataclass(frozen=True)
class Grid:
    """The options of a sweep; its cells are their product."""

    task: str
    schedules: Sequence[str]
    objectives: Sequence[str]
    steps: Sequence[int]
    seeds: Sequence[int]
    samplers: Sequence[str]
    settings: Sequence[ResolvedOptions]
    recipe: Mapping[str, float]
    time_sampling: str = "stratified"


class _Configuration(NamedTuple):
    """Cells that differ only in their seed."""

    name: str
    training: TrainingRecord
    evaluations: tuple[EvaluationRecord, ...]


def plan_cells(grid: Grid) -> list[Cell]:
    """The cells of a grid, seeds outermost, so that every schedule has a first result early.

    An objective that takes no schedule gives one cell per seed, however many schedules there are. Among
    the schedules, the name of such an objective stands for that cell. Steps that an objective cannot
    decode are left out. Settings that differ only in their test set share one model.

    Raises:
        UsageError: a name or value that does not exist, or nothing left to run.
    """
    if grid.time_sampling not in TIME_SAMPLINGS:
        raise UsageError(f"time sampling is {' or '.join(TIME_SAMPLINGS)}, not {grid.time_sampling!r}.")
    methods = _methods(grid)
    samplers = [parse_sampler(name) for name in _unique(grid.samplers)]
    for steps in grid.steps:
        if steps < 1:
            raise UsageError(f"--steps must be 1 or more, got {steps}.")
    varied = varied_options([{**settings.data, **settings.model} for settings in grid.settings])
    decoding = cache(EvaluationRecord)  # a sweep of many cells has few different decodings
    configurations: list[_Configuration] = []
    for settings, (objective_name, schedule, objective) in product(grid.settings, methods):
        training = TrainingRecord(
            task=grid.task,
            model=dict(settings.model),
            objective=objective_name,
            schedule=schedule,
            time_sampling=grid.time_sampling if schedule else None,
            seed=0,
            recipe=dict(grid.recipe),
            data=dict(settings.data),
        )
        steps = [k for k in sorted(set(grid.steps)) if objective.can_decode(k)]
        used = [sampler.name for sampler in samplers] if objective.uses_sampler else [None]
        on = settings.test_set
        evaluations = tuple(decoding(s, k, 0, on) for s, k in product(used, steps) if on)
        options = {**settings.data, **settings.model}
        told = [f"{key}={value}" for key, value in options.items() if key in varied]
        if evaluations or not on:
            name = " ".join([training.label, *told])
            configurations.append(_Configuration(name, training, evaluations))
    cells = _product(configurations, _unique(grid.seeds))
    if not (grid.steps and grid.seeds and methods):
        raise UsageError("nothing to run: steps, seeds and schedules or objectives must each name something.")
    if not cells:
        named = {name: _listed([k for k in range(1, 129) if on.can_decode(k)]) for name, _, on in methods}
        able = "; ".join(f"{name} decodes in {steps}" for name, steps in named.items())
        raise UsageError(f"nothing to run in {_listed(grid.steps)} steps: {able}.")
    return list(cells.values())


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
            settings=[subject.choose(choice) for choice in options.choices()],
            recipe=subject.recipe(options),
            time_sampling=options.time_sampling,
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
    return make_objective(record.objective, schedule, record.time_sampling or "stratified")  # pyright: ignore[reportArgumentType]


def _methods(grid: Grid) -> list[tuple[str, str | None, Objective]]:
    """(objective, canonical schedule or None, the objective itself), each once, in the order asked for."""
    objectives = list(_unique(grid.objectives))
    schedules: list[str] = []
    for name in grid.schedules:
        is_objective = name in plugins.available("objectives") and name not in plugins.available("schedules")
        if is_objective and not plugins.load("objectives", name).uses_schedule:
            objectives.append(name)
        else:
            schedules.append(parse_schedule(name).name)
    methods: dict[tuple[str, str | None], Objective] = {}
    for name in _unique(objectives):
        if plugins.load("objectives", name).uses_schedule:
            for schedule in _unique(schedules):
                methods[name, schedule] = make_objective(name, parse_schedule(schedule), grid.time_sampling)
        else:
            methods[name, None] = make_objective(name, None)
    return [(name, schedule, objective) for (name, schedule), objective in methods.items()]


def varied_options(options: Sequence[Mapping[str, str]]) -> set[str]:
    """Names of the options that are not the same everywhere."""
    names = {name for each in options for name in each}
    return {name for name in names if len({each.get(name) for each in options}) > 1}


def _unique(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))
