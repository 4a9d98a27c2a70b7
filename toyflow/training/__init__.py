"""The one training loop."""

from toyflow.training.batch import Batch
from toyflow.training.bench import Bench
from toyflow.training.cost import Cost, measure_cost
from toyflow.training.loop import LOSS_BINS, CurvePoint, DivergedError, Trainer, TrainingCurve, train
from toyflow.training.recipes import OneCycle, PolicyRecipe, Recipe

__all__ = [
    "LOSS_BINS",
    "Batch",
    "Bench",
    "Cost",
    "CurvePoint",
    "DivergedError",
    "OneCycle",
    "PolicyRecipe",
    "Recipe",
    "Trainer",
    "TrainingCurve",
    "measure_cost",
    "train",
]
