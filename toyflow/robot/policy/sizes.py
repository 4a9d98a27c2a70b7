"""The sizes of a policy by name, and the width of its network's actions."""

from __future__ import annotations

from dataclasses import dataclass

from toyflow.networks import DenoiserSize, MLPSize

ACTION_WIDTH = 32
"""Dimensions of the network's actions, as in openpi: the robot's own come first, zeros follow."""


@dataclass(frozen=True)
class BackboneSize:
    """What a backbone reads. Its layers are in `toyflow.robot.policy.backbones`.

    Attributes:
        image_size: side in pixels of the images that the vision network sees, unless told otherwise.
        patch: the side of an image must be a multiple of it.
        vocabulary: number of tokens.
        prompt_length: tokens of a prompt; shorter ones are padded, longer ones are cut.
    """

    image_size: int
    patch: int
    vocabulary: int
    prompt_length: int


@dataclass(frozen=True)
class PolicySize:
    """What a size's name stands for.

    Attributes:
        head: width, depth and attention heads of the denoising transformer; or width and depth of an MLP,
            which reads the state alone.
        backbone: what reads images and prompts; None for a policy that sees neither.
    """

    head: DenoiserSize | MLPSize
    backbone: BackboneSize | None


_PAPER = PolicySize(DenoiserSize(width=768, depth=4, heads=12), BackboneSize(224, 14, 257_152, 48))
SIZES: dict[str, PolicySize] = {
    "mlp": PolicySize(MLPSize(width=512, depth=4), None),
    "nano": PolicySize(DenoiserSize(width=192, depth=3, heads=4), BackboneSize(64, 16, 1 << 13, 32)),
    "tiny": _PAPER,
    "full": _PAPER,
}
"""{name: size}. On one CPU core `mlp`, which reads the state alone, trains in minutes and `nano` in a quarter
of an hour; `tiny` and `full` have the head of arXiv 2606.05737."""
