"""Ways of training: objectives, each under every schedule and prediction that it has a use for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Objective, make_objective, parse_grid, parse_prediction, parse_schedule
from toyflow.sweep.sweep_options import SweepOptions

VELOCITY = "velocity"
"""The default prediction, which records leave out."""

LOG = logging.getLogger(__name__)


class Method(NamedTuple):
    """An objective with its canonical schedule and prediction, which are None where it has no such choice, or
    predicts the velocity."""

    objective: Objective
    schedule: str | None
    prediction: str | None


def methods_of(
    objectives: Sequence[str], schedules: Sequence[str], predict: Sequence[str], time_sampling: str
) -> list[Method]:
    """The ways of training, each once, in the order asked for; the lists are those of `SweepOptions`.

    Raises:
        UsageError: a name that does not exist.
    """
    kinds, names = _objectives(objectives, schedules)
    times = [parse_schedule(name).name for name in names]
    predictions = [parse_prediction(name).name for name in unique(predict)]
    methods: list[Method] = []
    for name, kind in kinds.items():
        over = product(
            unique(times) if kind.uses_schedule else [None],
            unique(predictions) if kind.uses_prediction else [VELOCITY],
        )
        for schedule, prediction in over:
            drawn = parse_schedule(schedule) if schedule else None
            says = None if prediction == VELOCITY else prediction
            methods.append(Method(make_objective(name, drawn, time_sampling, says), schedule, says))
    return methods


def check_predictions(predict: Sequence[str], objectives: Sequence[Objective]) -> None:
    """Raise UsageError where `predict` names other predictions than the default and no objective has the
    choice."""
    others = [name for name in unique(predict) if name != VELOCITY]
    if others and not any(objective.uses_prediction for objective in objectives):
        raise UsageError(
            f"--predict {listed(others)}: {listed(unique(o.name for o in objectives))} has no choice of "
            "prediction; flow, consistency and shortcut have."
        )


def warn_of_unused(options: SweepOptions) -> None:
    """Log the schedules that `options` and their parts name if no objective uses one, and the predictions of
    objectives that have no choice of them, and the steps where every grid has times of its own. Defaults are
    not named."""
    parts = options.sweeps
    named = [_objectives(part.objectives, part.schedules or ()) for part in parts]
    objectives = {name: objective for of_part, _ in named for name, objective in of_part.items()}
    schedules = unique(name for _, of_part in named for name in of_part)
    if schedules and not any(objective.uses_schedule for objective in objectives.values()):
        train, are = "trains" if len(objectives) == 1 else "train", "is" if len(schedules) == 1 else "are"
        names, unused = listed(objectives), listed(schedules)
        LOG.warning(f"No schedule is used: {names} {train} without one, so {unused} {are} left out.")
    for part, (of_part, _) in zip(parts, named, strict=True):
        grids = [parse_grid(name) for name in part.grid]
        fixed = unique(grid.steps for grid in grids)
        needed = not all(fixed) or not all(objective.uses_grid for objective in of_part.values())
        if not needed and part.steps != SweepOptions().steps and not {*part.steps} <= {*fixed}:
            LOG.warning(
                f"--steps {listed(part.steps)} is not used: the times of --grid {listed(part.grid)} make "
                f"K = {listed(fixed)}."
            )
    others = unique(name for part in parts for name in part.predict if name != VELOCITY)
    without = unique(
        name
        for part, (of_part, _) in zip(parts, named, strict=True)
        for name, objective in of_part.items()
        if not objective.uses_prediction and {*part.predict} - {VELOCITY}
    )
    if without:
        have = "has" if len(without) == 1 else "have"
        LOG.warning(
            f"{listed(without)} {have} no choice of prediction, so --predict {listed(others)} does not "
            "change what is trained there."
        )


def _objectives(
    objectives: Sequence[str], schedules: Sequence[str]
) -> tuple[dict[str, type[Objective]], list[str]]:
    """(objectives by name, names of schedules), where the name of an objective without a schedule may stand
    among the schedules."""
    names, left = list(objectives), list[str]()
    for name in unique(schedules):
        is_objective = name in plugins.available("objectives") and name not in plugins.available("schedules")
        is_objective = is_objective and not plugins.load("objectives", name).uses_schedule
        (names if is_objective else left).append(name)
    return {name: plugins.load("objectives", name) for name in unique(names)}, left


def unique(items: Iterable[Any]) -> list[Any]:
    """Each item once, in order."""
    return list(dict.fromkeys(items))


def listed(items: Iterable[Any]) -> str:
    """Items as text, separated by commas."""
    return ", ".join(map(str, items))
