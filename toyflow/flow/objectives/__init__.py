"""Objectives: one small file each. See `base` for what an objective is."""

from toyflow.flow.model import Model, Predictor
from toyflow.flow.objectives.autoregressive import Autoregressive
from toyflow.flow.objectives.base import Objective, Passes, normal_like
from toyflow.flow.objectives.consistency import Consistency
from toyflow.flow.objectives.flow_matching import FlowMatching
from toyflow.flow.objectives.loss import Loss, squared_error, weighted_mean
from toyflow.flow.objectives.meanflow import MeanFlow
from toyflow.flow.objectives.mip import MIP
from toyflow.flow.objectives.names import make_objective
from toyflow.flow.objectives.pure_noise import PureNoise
from toyflow.flow.objectives.regression import (
    Regression,
    RegressionL1,
    RegressionL1Learned,
    RegressionLearned,
    RegressionLearnedZero,
)
from toyflow.flow.objectives.shortcut import Shortcut

__all__ = [
    "MIP",
    "Autoregressive",
    "Consistency",
    "FlowMatching",
    "Loss",
    "MeanFlow",
    "Model",
    "Objective",
    "Passes",
    "Predictor",
    "PureNoise",
    "Regression",
    "RegressionL1",
    "RegressionL1Learned",
    "RegressionLearned",
    "RegressionLearnedZero",
    "Shortcut",
    "make_objective",
    "normal_like",
    "squared_error",
    "weighted_mean",
]
