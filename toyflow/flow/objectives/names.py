"""The objective that a name stands for."""

from __future__ import annotations

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow.objectives.base import Objective
from toyflow.flow.predictions import parse_prediction
from toyflow.flow.schedules.base import Schedule

_WHO_PREDICTS = "flow, consistency and shortcut have the choice"


def make_objective(
    name: str,
    schedule: Schedule | None = None,
    time_sampling: str = "stratified",
    prediction: str | None = None,
) -> Objective:
    """The objective called `name`, with the schedule of its training time and the prediction where it takes
    them.

    Args:
        prediction: name of what the model says, see `parse_prediction`; None for the velocity, or what an
            objective without a choice has.

    Raises:
        UsageError: no such objective, it needs a schedule and none is given, or it has no use for the
            prediction.

    Example:
        >>> from toyflow import make_objective, parse_schedule
        >>> type(make_objective("flow", parse_schedule("shift:4"))).__name__
        'FlowMatching'
        >>> make_objective("regression").uses_schedule
        False
    """
    objective = plugins.load("objectives", name)
    predicts = None if prediction is None else parse_prediction(prediction)
    if predicts is not None and not objective.uses_prediction:
        raise UsageError(f"objective {name!r} has no use for prediction {predicts.name!r}: {_WHO_PREDICTS}.")
    if not objective.uses_schedule:
        return objective()
    if schedule is None:
        raise UsageError(f"objective {name!r} needs a schedule, such as parse_schedule('shift:4').")
    if predicts is None:
        return objective(schedule, time_sampling)
    return objective(schedule, time_sampling, prediction=predicts)
