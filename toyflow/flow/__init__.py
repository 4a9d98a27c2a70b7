"""The mathematics, shared by the toy and the robot: schedules, path, samplers, objectives.

Time runs from t = 0, pure noise, to t = 1, data, everywhere.
"""

from toyflow.flow.objectives import Loss, Model, Objective, make_objective
from toyflow.flow.samplers import Sampler, parse_sampler, uniform_grid
from toyflow.flow.schedules import Schedule, parse_schedule

__all__ = [
    "Loss",
    "Model",
    "Objective",
    "Sampler",
    "Schedule",
    "make_objective",
    "parse_sampler",
    "parse_schedule",
    "uniform_grid",
]
