"""The log of a training run: its loss over the iterations and by noise level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from toyflow.flow.objectives.loss import Loss
from toyflow.flow.path import noise_level
from toyflow.training.process_group import ProcessGroup

LOSS_BINS = 10
"""The loss is logged in this many equal bins of the noise level s = 1 - t; the last is the noise end."""


@dataclass(frozen=True)
class CurvePoint:
    """Means over the iterations since the last point.

    Example:
        >>> from toyflow.training import CurvePoint
        >>> point = CurvePoint(10, loss=0.5, loss_by_noise=[0.5] * 10, learning_rate=1e-3, seconds=2.0)
        >>> point.loss_by_noise[-1]  # s from 0.9 to 1, the noise end
        0.5
    """

    iteration: int
    """How many iterations were done."""
    loss: float
    loss_by_noise: list[float]
    """Mean loss of the samples in each of `LOSS_BINS` equal bins of s; NaN where there was none."""
    learning_rate: float
    """Learning rate of the first group of parameters at this iteration."""
    seconds: float
    """Time spent in training so far."""


@dataclass
class TrainingCurve:
    """The log of one training run.

    Example:
        >>> from toyflow.training import CurvePoint, TrainingCurve
        >>> point = CurvePoint(10, loss=0.5, loss_by_noise=[0.5] * 10, learning_rate=1e-3, seconds=2.0)
        >>> [row] = TrainingCurve([point], seconds=2.0).rows()
        >>> row["iteration"], row["loss"], row["loss_s0.9"]
        (10, 0.5, 0.5)
    """

    points: list[CurvePoint] = field(default_factory=list)
    seconds: float = 0.0
    """Time spent in training."""

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


class LossWindow:
    """Losses since the last point, kept as tensors: nothing is read back from the device before it closes."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.times: list[Tensor] = []

    def add(self, loss: Loss) -> None:
        """Take in the loss of a batch."""
        self.losses.append(loss.per_sample.detach())
        self.times.append(loss.t)

    def close(self, group: ProcessGroup) -> tuple[float, list[float]]:
        """(mean loss, mean loss in each bin of s) of all processes' samples; the window is empty again."""
        losses, t = (group.gathered(torch.cat(each)).cpu() for each in (self.losses, self.times))
        losses = losses.double()
        self.losses, self.times = [], []
        index = (noise_level(t) * LOSS_BINS).long().clamp(0, LOSS_BINS - 1)
        total = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, losses)
        count = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, torch.ones_like(losses))
        return float(losses.mean()), (total / count).tolist()

    def tensors(self) -> dict[str, Tensor]:
        """The losses and noise levels by name, from which `of` rebuilds the window; empty where there are
        none."""
        if not self.losses:
            return {}
        return {"window.losses": torch.cat(self.losses), "window.levels": noise_level(torch.cat(self.times))}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], own: slice, device: torch.device) -> LossWindow:
        """Rebuild the window that `tensors()` saved, keeping samples `own`."""
        window = cls()
        if "window.losses" in tensors:
            losses, levels = (tensors[f"window.{name}"][own].to(device) for name in ("losses", "levels"))
            window.losses, window.times = [losses], [noise_level(levels)]
        return window
