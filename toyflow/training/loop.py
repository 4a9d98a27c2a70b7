"""The one training loop: batches in, a trained model and its curve out. Knows no task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.errors import ToyflowError
from toyflow.flow.objectives import Loss, Model, Objective
from toyflow.flow.path import noise_level
from toyflow.training.muon import Muon

LOSS_BINS = 10
"""The loss is logged in this many equal bins of the noise level s = 1 - t; the last is the noise end."""


@dataclass(frozen=True)
class Recipe:
    """AdamW, and Muon for convolution kernels, under a one-cycle learning rate: linear warm-up to the
    peak, then a cosine to 0.

    `warmup` is a share of the iterations; weights of one axis (biases, norms) are not decayed.
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


@dataclass(frozen=True)
class CurvePoint:
    """Means over the iterations since the last point; a bin that saw no sample is NaN."""

    iteration: int
    loss: float
    loss_by_noise: list[float]
    learning_rate: float
    seconds: float


@dataclass
class TrainingCurve:
    """The log of one training run."""

    points: list[CurvePoint] = field(default_factory=list)
    seconds: float = 0.0

    def rows(self) -> list[dict[str, int | float]]:
        """One flat row per point; `loss_s0.9` is the mean loss of samples with s in [0.9, 1]."""
        return [
            {
                "iteration": p.iteration,
                "loss": p.loss,
                **{f"loss_s{i / LOSS_BINS:.1f}": x for i, x in enumerate(p.loss_by_noise)},
                "learning_rate": p.learning_rate,
                "seconds": round(p.seconds, 3),
            }
            for p in self.points
        ]


def train(
    model: Model,
    objective: Objective,
    batches: Iterable[tuple[Any, Float[Tensor, "batch ..."]]],
    recipe: Recipe,
    generator: torch.Generator,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
    points: int = 100,
) -> TrainingCurve:
    """Train `model` in place for `recipe.iterations` batches of (observation, target).

    Args:
        batches: on the model's device; must not run out before the last iteration.
        generator: draws times and noise.
        on_point: called about `points` times, with the mean losses since the last call.

    Raises:
        ToyflowError: the loss is no longer finite; the message says at which iteration.
    """
    model.train()
    optimisers = _optimisers(model, recipe)
    rates = [torch.optim.lr_scheduler.LambdaLR(o, lambda i: one_cycle(i, recipe)) for o in optimisers]
    every = max(1, recipe.iterations // points)
    curve, window = TrainingCurve(), _Window()
    start = time.perf_counter()
    for iteration, (observation, target) in zip(range(1, recipe.iterations + 1), batches, strict=False):
        loss = objective.loss(model, model.encode(observation), target, generator)
        model.zero_grad()
        loss.mean.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        for optimiser in optimisers:
            optimiser.step()
        window.add(loss)
        if iteration % every == 0 or iteration == recipe.iterations:
            mean, by_noise = window.close()
            if not math.isfinite(mean):
                raise ToyflowError(
                    f"the loss became {mean} by iteration {iteration}; lower the learning rate."
                )
            lr, seconds = float(rates[0].get_last_lr()[0]), time.perf_counter() - start
            curve.points.append(CurvePoint(iteration, mean, by_noise, lr, seconds))
            on_point(curve.points[-1])
        for rate in rates:
            rate.step()
    curve.seconds = time.perf_counter() - start
    model.eval()
    return curve


def one_cycle(iteration: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at an iteration counted from 0."""
    warmup = max(1, round(recipe.warmup * recipe.iterations))
    if iteration < warmup:
        return (iteration + 1) / warmup
    done = (iteration - warmup) / max(1, recipe.iterations - warmup)
    return (1 + math.cos(math.pi * min(1.0, done))) / 2


def _optimisers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon where the model has convolutions."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    kernels = [p for p in parameters if p.ndim > 2]
    groups = [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    betas = (recipe.beta1, recipe.beta2)
    fused = parameters[0].device.type in ("cpu", "cuda")
    adam = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=fused)
    return [adam, Muon(kernels, recipe.kernel_learning_rate, recipe.beta1)] if kernels else [adam]


class _Window:
    """Losses since the last point, kept as tensors: nothing is read back before the window closes."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.levels: list[Tensor] = []

    def add(self, loss: Loss) -> None:
        self.losses.append(loss.per_sample.detach())
        self.levels.append(noise_level(loss.t))

    def close(self) -> tuple[float, list[float]]:
        losses, levels = torch.cat(self.losses).cpu().double(), torch.cat(self.levels).cpu()
        self.losses, self.levels = [], []
        index = (levels * LOSS_BINS).long().clamp(0, LOSS_BINS - 1)
        total = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, losses)
        count = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, torch.ones_like(losses))
        return float(losses.mean()), (total / count).tolist()
