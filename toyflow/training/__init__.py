"""The one training loop."""

from toyflow.training.cost import Cost, measure_cost
from toyflow.training.loop import LOSS_BINS, Recipe, TrainingCurve, train

__all__ = ["LOSS_BINS", "Cost", "Recipe", "TrainingCurve", "measure_cost", "train"]
