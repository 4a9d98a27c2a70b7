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

from toyflow.flow.anatomy import Anatomy, Moments, dissect, dissect_model
from toyflow.flow.decoding import Decoding, draw_noise
from toyflow.flow.grids import TimeGrid, parse_grid
from toyflow.flow.guidance import Known, guided_velocity, soft_mask
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
from toyflow.flow.predictions import DataPrediction, Prediction, VelocityPrediction, parse_prediction
from toyflow.flow.samplers import Sampler, Velocity, euler, heun, midpoint, parse_sampler, uniform_grid
from toyflow.flow.schedules import (
    TIME_SAMPLINGS,
    Beta,
    Edm,
    GrootN1,
    GrootN17,
    LogitNormal,
    Mixture,
    Mode,
    Pi0,
    PointMass,
    Schedule,
    Shift,
    TimeSampling,
    Uniform,
    parse_schedule,
)

__all__ = [
    "MIP",
    "TIME_SAMPLINGS",
    "Anatomy",
    "Autoregressive",
    "Beta",
    "Consistency",
    "DataPrediction",
    "Decoding",
    "Edm",
    "FlowMatching",
    "GrootN1",
    "GrootN17",
    "Known",
    "LogitNormal",
    "Loss",
    "MeanFlow",
    "Mixture",
    "Mode",
    "Model",
    "Moments",
    "Objective",
    "Passes",
    "Pi0",
    "PointMass",
    "Prediction",
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
    "TimeGrid",
    "TimeSampling",
    "Uniform",
    "Velocity",
    "VelocityPrediction",
    "broadcast_time",
    "dissect",
    "dissect_model",
    "draw_noise",
    "euler",
    "guided_velocity",
    "heun",
    "interpolate",
    "make_objective",
    "midpoint",
    "noise_level",
    "normal_like",
    "parse_grid",
    "parse_prediction",
    "parse_sampler",
    "parse_schedule",
    "path_velocity",
    "soft_mask",
    "squared_error",
    "uniform_grid",
    "weighted_mean",
]
