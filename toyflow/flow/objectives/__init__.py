"""Objectives: one small file each. See `base` for what an objective is."""

from toyflow.flow.objectives.base import Loss, Model, Objective, make_objective
from toyflow.flow.objectives.flow_matching import FlowMatching
from toyflow.flow.objectives.pure_noise import PureNoise
from toyflow.flow.objectives.regression import Regression

__all__ = ["FlowMatching", "Loss", "Model", "Objective", "PureNoise", "Regression", "make_objective"]
