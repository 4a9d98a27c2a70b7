"""Recipes: which optimiser, at which learning rate, for how long."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from toyflow.errors import UsageError
from toyflow.flow.objectives.regression import LearnedStart
from toyflow.training.muon import Muon

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Recipe(ABC):
    """How a model is trained. Subclasses are frozen dataclasses of numbers, which enter training records.

    Example:
        >>> from dataclasses import dataclass
        >>> import torch
        >>> from toyflow.training import Recipe
        >>> @dataclass(frozen=True)
        ... class Constant(Recipe):
        ...     iterations: int = 100
        ...     batch_size: int = 16
        ...     clip_norm: float = 1.0
        ...
        ...     def optimisers(self, model):
        ...         return [torch.optim.Adam(model.parameters(), lr=1e-3)]
        ...
        ...     def rate(self, iteration):
        ...         return 1.0
        >>> Constant().rate(50)
        1.0
    """

    iterations: int
    batch_size: int
    clip_norm: float
    """Largest norm of all gradients together, to which they are scaled down."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights that is kept as the result; 0 for none."""

    @abstractmethod
    def optimisers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        """Fresh optimisers over the model's parameters, at their peak learning rates."""

    @abstractmethod
    def rate(self, iteration: int) -> float:
        """Share of the peak learning rate at an iteration counted from 0."""


@dataclass(frozen=True)
class OneCycle(Recipe):
    """AdamW, and Muon for convolution kernels and the learned starts of images, under a one-cycle learning
    rate: linear warm-up to the peak, then a cosine to 0.

    Convolution kernels are the weights of torch's convolution modules. The learned start of an image is an
    objective's `LearnedStart` of three axes or more; it went to Muon in 0.1.0, whose results keep their keys.
    Neither these nor parameters of one axis (biases, norms) are decayed.

    Args:
        iterations: number of steps.
        batch_size: examples in each.
        learning_rate: AdamW's peak.
        kernel_learning_rate: Muon's peak.
        warmup: share of the iterations, from 0 to 1.
        weight_decay, beta1, beta2: AdamW's; beta1 is also Muon's momentum.
        clip_norm: see `Recipe`.

    Source: one-cycle, Smith and Topin 1708.07120; Muon, see `toyflow.training.muon`.

    Example:
        >>> from toyflow.training import OneCycle
        >>> recipe = OneCycle(iterations=100)
        >>> recipe.rate(0), recipe.rate(9), round(recipe.rate(55), 2), round(recipe.rate(99), 4)
        (0.1, 1.0, 0.5, 0.0003)
    """

    iterations: int = 1000
    batch_size: int = 16
    learning_rate: float = 4e-3
    kernel_learning_rate: float = 0.1
    warmup: float = 0.1
    weight_decay: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float = 1.0

    def rate(self, iteration: int) -> float:
        """See `Recipe`."""
        warmup = max(1, round(self.warmup * self.iterations))
        if iteration < warmup:
            return (iteration + 1) / warmup
        return _cosine((iteration - warmup) / max(1, self.iterations - warmup))

    def optimisers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        """See `Recipe`. Raises UsageError if the model has no parameters to train."""
        parameters = _trained(model)
        of_muon = {id(m.weight) for m in model.modules() if isinstance(m, CONVOLUTIONS)}
        of_muon |= {id(p) for p in parameters if isinstance(p, LearnedStart) and p.ndim >= 3}
        kernels = [p for p in parameters if id(p) in of_muon]
        others = [p for p in parameters if id(p) not in of_muon]
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ]
        betas = (self.beta1, self.beta2)
        adam = torch.optim.AdamW(groups, lr=self.learning_rate, betas=betas, fused=_fused(parameters))
        return [adam, Muon(kernels, self.kernel_learning_rate, self.beta1)] if kernels else [adam]


@dataclass(frozen=True)
class PolicyRecipe(Recipe):
    """AdamW under linear warm-up and a cosine to `final_learning_rate`, the backbone's rate multiplied by
    `backbone_rate`, and an average of the weights as the result. The defaults are the paper's for `tiny`.

    The backbone is what the model holds as `backbone`; all parameters are decayed alike.

    Args:
        iterations: number of optimiser steps.
        batch_size: samples per step, over all processes.
        learning_rate: peak, reached after the warm-up.
        final_learning_rate: at the end of the cosine.
        warmup_iterations: of linear warm-up; at most a tenth of `iterations`.
        backbone_rate: the backbone's learning rate as a multiple of the others'.
        weight_decay, beta1, beta2, epsilon: of AdamW.
        clip_norm: largest norm of all gradients together.
        ema: decay of the exponential moving average of the weights, which is the result; 0 for none.
        augment_shift: largest shift of the images in training, as a share of their side.
        augment_colour: largest change of brightness, contrast and saturation, as a share.

    Example:
        >>> from toyflow.training import PolicyRecipe
        >>> recipe = PolicyRecipe(iterations=20_000)
        >>> recipe.rate(999), round(recipe.rate(19_999), 3)
        (1.0, 0.1)
    """

    iterations: int = 50_000
    batch_size: int = 64
    learning_rate: float = 1e-4
    final_learning_rate: float = 1e-5
    warmup_iterations: int = 1000
    backbone_rate: float = 0.1
    weight_decay: float = 1e-10
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    ema: float = 0.99
    augment_shift: float = 0.05
    augment_colour: float = 0.2

    def rate(self, iteration: int) -> float:
        """See `Recipe`. A run shorter than ten warm-ups warms up for a tenth of itself."""
        warmup = max(1, min(self.warmup_iterations, self.iterations // 10))
        if iteration < warmup:
            return (iteration + 1) / warmup
        floor = self.final_learning_rate / self.learning_rate
        return floor + (1 - floor) * _cosine((iteration - warmup) / max(1, self.iterations - warmup))

    def optimisers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        """See `Recipe`. Raises UsageError if the model has no parameters to train."""
        parameters = _trained(model)
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        backbone = [p for name, p in named if name.startswith("backbone.")]
        head = [p for name, p in named if not name.startswith("backbone.")]
        groups = [
            {"params": head, "lr": self.learning_rate},
            {"params": backbone, "lr": self.learning_rate * self.backbone_rate},
        ]
        return [
            torch.optim.AdamW(
                [group for group in groups if group["params"]],
                betas=(self.beta1, self.beta2),
                eps=self.epsilon,
                weight_decay=self.weight_decay,
                fused=_fused(parameters),
            )
        ]


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * min(1.0, done))) / 2


def _trained(model: nn.Module) -> list[nn.Parameter]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise UsageError(f"{type(model).__name__} has no parameters that require a gradient to train.")
    return parameters


def _fused(parameters: list[nn.Parameter]) -> bool:
    return parameters[0].device.type in ("cpu", "cuda")
