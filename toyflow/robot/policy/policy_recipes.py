"""Training recipes by the policy's size: the paper's (arXiv 2606.05737) for `tiny` and `full`, ours for
`nano` and `mlp`."""

from __future__ import annotations

from toyflow.robot.policy.policy_options import SizeName
from toyflow.robot.policy.training_defaults import TRAINING_DEFAULTS
from toyflow.training import PolicyRecipe


def _small(size: SizeName) -> PolicyRecipe:
    """The recipe of a size that starts from nothing."""
    return PolicyRecipe(
        **TRAINING_DEFAULTS[size]._asdict(),
        final_learning_rate=1e-5,
        warmup_iterations=200,
        backbone_rate=1.0,
        weight_decay=1e-4,
    )


RECIPES: dict[SizeName, PolicyRecipe] = {
    "nano": _small("nano"),
    "mlp": _small("mlp"),
    "tiny": PolicyRecipe(**TRAINING_DEFAULTS["tiny"]._asdict()),
    "full": PolicyRecipe(**TRAINING_DEFAULTS["full"]._asdict(), final_learning_rate=2e-5),
}
"""The recipe of each size in `SIZES`."""
