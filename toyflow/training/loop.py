"""The one training loop: batches in, a trained model and its curve out. Knows no task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from toyflow.errors import ToyflowError
from toyflow.flow.objectives import Loss, Model, Objective
from toyflow.flow.path import noise_level
from toyflow.training.batch import part_of
from toyflow.training.process_group import SINGLE, ProcessGroup, check_split
from toyflow.training.recipes import Recipe

LOSS_BINS = 10
"""The loss is logged in this many equal bins of the noise level s = 1 - t; the last is the noise end."""


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


class DivergedError(ToyflowError):
    """The loss, or a weight, is no longer finite."""


class Trainer:
    """A training run that can be stopped after any iteration and go on as if it had not been.

    Args:
        generator: draws times and noise.
        points: about how many points the curve is to have.
        precision: type of the model's arithmetic, by autocast; None is that of its weights.
        group: the processes that train the model together. Each gives its own samples of every batch, and all
            draw what chance adds to the whole batch, so that their number does not change the losses.
        accumulate: parts of a process's samples that are computed one after the other, for less memory.

    Raises:
        UsageError: the recipe's batch does not fall into equal parts.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        recipe: Recipe,
        generator: torch.Generator,
        points: int = 100,
        precision: torch.dtype | None = None,
        group: ProcessGroup = SINGLE,
        accumulate: int = 1,
    ) -> None:
        check_split(recipe.batch_size, group.world_size, accumulate)
        self.group, self.accumulate = group, accumulate
        self.model, self.objective, self.recipe, self.generator = model, objective, recipe, generator
        self.iteration = 0
        self.curve = TrainingCurve()
        self.precision = precision
        self.every = max(1, recipe.iterations // points)
        self._optimisers = recipe.optimisers(model)
        self._peaks = [[group["lr"] for group in o.param_groups] for o in self._optimisers]
        self._average = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None
        )
        self._window = _Window()
        self._loss = group.wrap(_BatchLoss(model, objective))

    def steps(
        self,
        batches: Iterable[tuple[Any, ...]],
        on_point: Callable[[CurvePoint], None] = lambda point: None,
    ) -> Iterator[int]:
        """Train to the recipe's end, yielding the number of iterations done after each.

        Args:
            batches: of (observation, target) or (observation, target, weight of its elements), on the
                model's device, from iteration `self.iteration` on; must not run out before the last one. In
                a group, this process's samples of each: `group.own`.
            on_point: called with each new point of the curve.

        Raises:
            DivergedError: the loss is no longer finite; the message says by which iteration.
        """
        self.model.train()
        start, before = time.perf_counter(), self.curve.seconds
        todo = range(self.iteration + 1, self.recipe.iterations + 1)
        for iteration, (observation, target, *weight) in zip(todo, batches, strict=False):
            self._step(observation, target, *weight)
            self.curve.seconds = before + time.perf_counter() - start
            if iteration % self.every == 0 or iteration == self.recipe.iterations:
                self._mark(on_point)
            yield iteration
        self.model.eval()

    def trained(self) -> Model:
        """The result so far: the averaged weights if the recipe averages."""
        return self.model if self._average is None else cast(Model, self._average.module)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON values): everything that `restore` needs, the same on every process of the group.

        Raises:
            DivergedError: a weight is not finite; such a state is not worth keeping.
        """
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if not all(torch.isfinite(tensor).all() for tensor in model.values()):
            raise DivergedError(self._diverged("a weight"))
        window = {name: self.group.gathered(tensor) for name, tensor in self._window.tensors().items()}
        tensors = {**model, "generator": self.generator.get_state(), **window}
        if self._average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self._average.state_dict().items()}
        for i, optimiser in enumerate(self._optimisers):
            for j, values in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{i}.{j}.{name}": tensor for name, tensor in values.items()}
        curve = {"points": [asdict(point) for point in self.curve.points], "seconds": self.curve.seconds}
        return tensors, {"iteration": self.iteration, "curve": curve}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, of a trainer that was made in the same way but for its group."""
        self.model.load_state_dict(_below("model.", tensors))
        if self._average is not None:
            self._average.load_state_dict(_below("average.", tensors))
        self.generator.set_state(tensors["generator"].cpu())
        self._window = _Window.of(tensors, self.group.own, next(self.model.parameters()).device)
        for i, optimiser in enumerate(self._optimisers):
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _below(f"optimiser.{i}.", tensors).items():
                index, _, key = name.partition(".")
                like = parameters[int(index)]
                # Fused optimisers go through memory as it lies, so strides must be the parameter's.
                state.setdefault(int(index), {})[key] = (
                    torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
                )
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        self.iteration = values["iteration"]
        points = [CurvePoint(**point) for point in values["curve"]["points"]]
        self.curve = TrainingCurve(points, values["curve"]["seconds"])

    def _step(self, observation: Any, target: Tensor, weight: Tensor | None = None) -> None:
        whole = target[:1].expand(len(target) * self.group.world_size, *target.shape[1:])
        drawn = part_of(self.objective.draw(whole, self.generator), self.group.own)
        self.model.zero_grad()
        parts = [slice(start, None, self.accumulate) for start in range(self.accumulate)]
        for part, share in zip(parts, self._shares(weight, parts), strict=True):
            with nullcontext() if part is parts[-1] else self.group.apart(self._loss):
                with torch.autocast(target.device.type, self.precision, self.precision is not None):
                    loss = self._loss(
                        part_of(observation, part),
                        target[part],
                        part_of(drawn, part),
                        None if weight is None else weight[part],
                    )
                (loss.mean * share).backward()
            self._window.add(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        share = self.recipe.rate(self.iteration)
        for optimiser, peaks in zip(self._optimisers, self._peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * share
            optimiser.step()
        if self._average is not None:
            self._average.update_parameters(self.model)
        self.iteration += 1

    def _shares(self, weight: Tensor | None, parts: list[slice]) -> list[float] | list[Tensor]:
        """What to scale the mean loss of each part by, so that the mean of all processes' gradients is that
        of the whole batch; parts with more padding count less."""
        if weight is None:
            return [1 / len(parts) for _ in parts]
        masses = torch.stack([self.objective.mass(weight[part]) for part in parts])
        return list(masses * self.group.world_size / self.group.total(masses.sum()))

    def _mark(self, on_point: Callable[[CurvePoint], None]) -> None:
        mean, by_noise = self._window.close(self.group)
        if not math.isfinite(mean):
            raise DivergedError(self._diverged("the loss"))
        rate = float(self._optimisers[0].param_groups[0]["lr"])
        self.curve.points.append(CurvePoint(self.iteration, mean, by_noise, rate, self.curve.seconds))
        on_point(self.curve.points[-1])

    def _diverged(self, what: str) -> str:
        return f"{what} became infinite or NaN by iteration {self.iteration}; lower the learning rate."


def train(
    model: Model,
    objective: Objective,
    batches: Iterable[tuple[Any, Float[Tensor, "batch ..."]]],
    recipe: Recipe,
    generator: torch.Generator,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
    points: int = 100,
) -> TrainingCurve:
    """Train `model` in place from start to end; see `Trainer`.

    Raises:
        DivergedError: the loss is no longer finite; the message says by which iteration.
    """
    trainer = Trainer(model, objective, recipe, generator, points)
    for _ in trainer.steps(batches, on_point):
        pass
    return trainer.curve


class _BatchLoss(nn.Module):
    """A batch's loss as one module, for a group to wrap. Within, objectives have the bare model and may
    call it several times, without gradient, or for forward-mode derivatives, which a wrapped one lacks."""

    def __init__(self, model: Model, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, observation: Any, target: Tensor, drawn: Any, weight: Tensor | None) -> Loss:
        return self.objective.loss(self.model, self.model.encode(observation), target, drawn, weight)


class _Window:
    """Losses since the last point, kept as tensors: nothing is read back before the window closes."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.levels: list[Tensor] = []

    def add(self, loss: Loss) -> None:
        self.losses.append(loss.per_sample.detach())
        self.levels.append(noise_level(loss.t))

    def close(self, group: ProcessGroup) -> tuple[float, list[float]]:
        losses, levels = (group.gathered(torch.cat(each)).cpu() for each in (self.losses, self.levels))
        losses = losses.double()
        self.losses, self.levels = [], []
        index = (levels * LOSS_BINS).long().clamp(0, LOSS_BINS - 1)
        total = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, losses)
        count = torch.zeros(LOSS_BINS, dtype=torch.float64).index_add_(0, index, torch.ones_like(losses))
        return float(losses.mean()), (total / count).tolist()

    def tensors(self) -> dict[str, Tensor]:
        if not self.losses:
            return {}
        return {"window.losses": torch.cat(self.losses), "window.levels": torch.cat(self.levels)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], own: slice, device: torch.device) -> _Window:
        window = cls()
        if "window.losses" in tensors:
            losses, levels = (tensors[f"window.{name}"][own].to(device) for name in ("losses", "levels"))
            window.losses, window.levels = [losses], [levels]
        return window


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
