"""The mathematics, shared by the toy and the robot: schedules, path, samplers, objectives.

Time runs from t = 0, pure noise, to t = 1, data, everywhere.

In a training loop of one's own, with any callable as the model:

    >>> import torch
    >>> from toyflow.flow import FlowMatching, Shift
    >>> objective = FlowMatching(Shift(4))
    >>> def model(x, t, condition):  # a network, in earnest
    ...     return condition - x
    >>> condition = target = torch.randn(16, 8)
    >>> loss = objective.loss(model, condition, target)  # draws noise and times; loss.value.backward()
    >>> sample = objective.decode(model, condition, torch.randn(16, 8), steps=1)
"""

from toyflow.flow.objectives import (
    MIP,
    Autoregressive,
    Consistency,
    FlowMatching,
    Loss,
    MeanFlow,
    Model,
    Objective,
    Passes,
    Predictor,
    PureNoise,
    Regression,
    RegressionL1,
    RegressionL1Learned,
    RegressionLearned,
    RegressionLearnedZero,
    Shortcut,
    make_objective,
    normal_like,
    squared_error,
    weighted_mean,
)
from toyflow.flow.path import broadcast_time, interpolate, noise_level, path_velocity
from toyflow.flow.samplers import Sampler, Velocity, euler, heun, midpoint, parse_sampler, uniform_grid
from toyflow.flow.schedules import (
    TIME_SAMPLINGS,
    Beta,
    Edm,
    Groot,
    GrootN17,
    LogitNormal,
    Mode,
    Pi0,
    Schedule,
    Shift,
    TimeSampling,
    Uniform,
    parse_schedule,
)

__all__ = [
    "MIP",
    "TIME_SAMPLINGS",
    "Autoregressive",
    "Beta",
    "Consistency",
    "Edm",
    "FlowMatching",
    "Groot",
    "GrootN17",
    "LogitNormal",
    "Loss",
    "MeanFlow",
    "Mode",
    "Model",
    "Objective",
    "Passes",
    "Pi0",
    "Predictor",
    "PureNoise",
    "Regression",
    "RegressionL1",
    "RegressionL1Learned",
    "RegressionLearned",
    "RegressionLearnedZero",
    "Sampler",
    "Schedule",
    "Shift",
    "Shortcut",
    "TimeSampling",
    "Uniform",
    "Velocity",
    "broadcast_time",
    "euler",
    "heun",
    "interpolate",
    "make_objective",
    "midpoint",
    "noise_level",
    "normal_like",
    "parse_sampler",
    "parse_schedule",
    "path_velocity",
    "squared_error",
    "uniform_grid",
    "weighted_mean",
]
