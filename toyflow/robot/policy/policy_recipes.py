"""Training recipes by the policy's size: the paper's (arXiv 2606.05737) for `tiny` and `full`, ours for
`nano`."""

from __future__ import annotations

from toyflow.training import PolicyRecipe

RECIPES = {
    "nano": PolicyRecipe(
        iterations=4000,
        batch_size=64,
        learning_rate=1e-3,
        final_learning_rate=1e-5,
        warmup_iterations=200,
        backbone_rate=1.0,  # no pretrained weights
        weight_decay=1e-4,
    ),
    "tiny": PolicyRecipe(),
    "full": PolicyRecipe(iterations=150_000, batch_size=256, learning_rate=2e-4, final_learning_rate=2e-5),
}
"""By the size's name; see `SIZES`."""
