"""The training loop of toyflow's own runs, its recipes, batches and costs."""

from toyflow.training.batch import Batch
from toyflow.training.bench import Bench
from toyflow.training.cost import Cost, measure_cost
from toyflow.training.curve import LOSS_BINS, CurvePoint, TrainingCurve
from toyflow.training.loop import DivergedError, NonFiniteDataError, Trainer, train
from toyflow.training.recipes import OneCycle, PolicyRecipe, Recipe

__all__ = [
    "LOSS_BINS",
    "Batch",
    "Bench",
    "Cost",
    "CurvePoint",
    "DivergedError",
    "NonFiniteDataError",
    "OneCycle",
    "PolicyRecipe",
    "Recipe",
    "Trainer",
    "TrainingCurve",
    "measure_cost",
    "train",
]
