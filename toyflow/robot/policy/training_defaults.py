"""What `robot-train` uses where the user gives no flag, by the policy's size. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

from toyflow.robot.policy.policy_options import SizeName


class TrainingDefaults(NamedTuple):
    """The numbers of a recipe that have a flag of their own; `RECIPES` holds the whole recipe.

    Attributes:
        batch_size: samples per iteration, over all processes.
        learning_rate: peak of the learning rate.
    """

    iterations: int
    batch_size: int
    learning_rate: float


TRAINING_DEFAULTS: dict[SizeName, TrainingDefaults] = {
    "nano": TrainingDefaults(4000, 64, 1e-3),
    "mlp": TrainingDefaults(8000, 256, 1e-3),
    "tiny": TrainingDefaults(50_000, 64, 1e-4),
    "full": TrainingDefaults(150_000, 256, 2e-4),
}
"""`tiny` and `full` are the paper's (arXiv 2606.05737)."""
