"""Objectives: one small file each. See `base` for what an objective is."""

from toyflow.flow.objectives.base import Loss, Model, Objective, Passes, make_objective

__all__ = ["Loss", "Model", "Objective", "Passes", "make_objective"]
