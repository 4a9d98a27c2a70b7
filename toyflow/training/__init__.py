"""The one training loop."""

from toyflow.training.loop import LOSS_BINS, Recipe, TrainingCurve, train

__all__ = ["LOSS_BINS", "Recipe", "TrainingCurve", "train"]
