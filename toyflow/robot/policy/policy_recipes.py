"""Training recipes by the policy's size: the paper's (arXiv 2606.05737) for `tiny` and `full`, ours for
`nano`."""

from __future__ import annotations

from toyflow.robot.policy.training_defaults import TRAINING_DEFAULTS
from toyflow.training import PolicyRecipe

RECIPES = {
    "nano": PolicyRecipe(
        **TRAINING_DEFAULTS["nano"]._asdict(),
        final_learning_rate=1e-5,
        warmup_iterations=200,
        backbone_rate=1.0,  # no pretrained weights
        weight_decay=1e-4,
    ),
    "tiny": PolicyRecipe(**TRAINING_DEFAULTS["tiny"]._asdict()),
    "full": PolicyRecipe(**TRAINING_DEFAULTS["full"]._asdict(), final_learning_rate=2e-5),
}
"""The recipe of each size in `SIZES`."""
