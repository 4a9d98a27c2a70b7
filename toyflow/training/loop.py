"""The one training loop: batches in, a trained model and its curve out. Knows no task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from toyflow.errors import ToyflowError
from toyflow.flow.model import Model
from toyflow.flow.objectives.base import Objective
from toyflow.flow.objectives.loss import Loss, nonzero
from toyflow.training.batch import DataCheck, part_of
from toyflow.training.curve import CurvePoint, LossWindow, TrainingCurve
from toyflow.training.process_group import SINGLE, ProcessGroup, check_split
from toyflow.training.recipes import Recipe


class DivergedError(ToyflowError):
    """The loss, or a weight, is no longer finite, although the data is."""


class NonFiniteDataError(ToyflowError):
    """An observation of a batch contains NaN, or a target or weight NaN or infinity."""


class Trainer:
    """A training run that can be stopped after any iteration and resumed with the same result.

    Args:
        model: trained in place.
        objective: already attached to the model, see `Objective.attach`.
        recipe: optimisers, learning rates, number of iterations.
        generator: of noise and times.
        points: about how many points the curve is to have.
        precision: dtype of the model's arithmetic, by autocast; None is that of its weights.
        group: the processes that train the model together. Each gives its own samples of every batch, and all
            draw noise and times of the whole batch, so that their number does not change the losses.
        accumulate: parts of a process's samples that are computed one after the other, for less memory.

    Raises:
        UsageError: the recipe's batch does not fall into equal parts, or the model has nothing to train.

    Example:
        >>> import torch
        >>> from toyflow import FlowMatching, Shift, VectorModel
        >>> from toyflow.training import OneCycle, Trainer
        >>> model, recipe = VectorModel(observation=2, target=2), OneCycle(iterations=20, batch_size=8)
        >>> trainer = Trainer(model, FlowMatching(Shift(4)), recipe, torch.Generator().manual_seed(0))
        >>> data = torch.randn(20, 8, 2)
        >>> for iteration in trainer.steps((batch, batch) for batch in data):
        ...     pass
        >>> iteration, trainer.trained() is model
        (20, True)
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
        self._window = LossWindow()
        self._data = DataCheck()
        self._loss = group.wrap(_BatchLoss(model, objective))

    def steps(
        self,
        batches: Iterable[tuple[Any, ...]],
        on_point: Callable[[CurvePoint], None] = lambda point: None,
    ) -> Iterator[int]:
        """Train to the recipe's end, yielding the number of iterations done after each.

        Args:
            batches: (observation, target) or (observation, target, weight of its elements) for each
                iteration from `self.iteration` on, on the model's device. In a group, this process's samples
                of each: `group.own`.
            on_point: called with each new point of the curve.

        Raises:
            ToyflowError: the batches end before the recipe's last iteration.
            NonFiniteDataError: a batch cannot be trained on (see `DataCheck`); the message says which. This
                is found at the next point of the curve.
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
        if self.iteration < self.recipe.iterations:
            raise ToyflowError(
                f"the batches ended after {self.iteration} of {self.recipe.iterations} iterations; give as "
                "many batches as the recipe has iterations, repeating the data if need be."
            )
        self.model.eval()

    def trained(self) -> Model:
        """The result so far: the averaged weights if the recipe averages."""
        return self.model if self._average is None else cast(Model, self._average.module)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON values): everything that `restore` needs, the same on every process of the group.

        Raises:
            NonFiniteDataError, DivergedError: a weight is not finite; such a state is not worth keeping.
        """
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if not all(torch.isfinite(tensor).all() for tensor in model.values()):
            self._check_data()
            raise self._diverged("a weight")
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
        self._window = LossWindow.of(tensors, self.group.own, next(self.model.parameters()).device)
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
        self._data.add(self.iteration + 1, observation=observation, target=target, weight=weight)
        whole = target[:1].expand(len(target) * self.group.world_size, *target.shape[1:])
        drawn = part_of(self.objective.draw(whole, self.generator), self.group.own)
        self.model.zero_grad()
        parts = [slice(start, None, self.accumulate) for start in range(self.accumulate)]
        for part, share in zip(parts, self._shares(weight, parts), strict=True):
            with nullcontext() if part is parts[-1] else self.group.apart(self._loss):
                with self._arithmetic(target.device):
                    loss = self._loss(
                        part_of(observation, part),
                        part_of(target, part),
                        part_of(drawn, part),
                        None if weight is None else part_of(weight, part),
                    )
                (loss.value if share is None else loss.value * share).backward()
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

    def _arithmetic(self, device: torch.device) -> AbstractContextManager[Any]:
        """Inside, the model computes in `precision`."""
        return nullcontext() if self.precision is None else torch.autocast(device.type, self.precision)

    def _shares(self, weight: Tensor | None, parts: list[slice]) -> list[None] | list[float] | list[Tensor]:
        """What to scale the loss of each part by, so that the mean of all processes' gradients is that of
        the whole batch; parts with more padding count less, and all count 0 where all is padding. None
        scales by 1."""
        if weight is None:
            return [None] if len(parts) == 1 else [1 / len(parts) for _ in parts]
        masses = torch.stack([self.objective.mass(weight[part]) for part in parts])
        return list(masses * self.group.world_size / nonzero(self.group.total(masses.sum())))

    def _mark(self, on_point: Callable[[CurvePoint], None]) -> None:
        mean, by_noise = self._window.close(self.group)
        self._check_data()
        if not math.isfinite(mean):
            raise self._diverged("the loss")
        rate = float(self._optimisers[0].param_groups[0]["lr"])
        self.curve.points.append(CurvePoint(self.iteration, mean, by_noise, rate, self.curve.seconds))
        on_point(self.curve.points[-1])

    def _check_data(self) -> None:
        """Raise NonFiniteDataError for a batch since the last point of the curve."""
        found = self._data.first_fault()
        if self.group.any(found is not None):
            found = found or "the batch of another process contains NaN or infinity"
            raise NonFiniteDataError(f"the training data is not finite: {found}; correct the data.")
        self._data = DataCheck()

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} became infinite or NaN by iteration {self.iteration}; lower the learning rate."
        )


def train(
    model: Model,
    objective: Objective,
    batches: Iterable[tuple[Any, ...]],
    recipe: Recipe,
    generator: torch.Generator,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
    points: int = 100,
) -> TrainingCurve:
    """Train `model` in place from start to end; arguments and errors are those of `Trainer` and its `steps`.

    Example:
        >>> import torch
        >>> from toyflow import FlowMatching, Shift, VectorModel
        >>> from toyflow.training import OneCycle, train
        >>> def batches():
        ...     while True:
        ...         phase = 6.28 * torch.rand(16, 1)
        ...         yield phase, phase.sin()
        >>> model, recipe = VectorModel(observation=1, target=1), OneCycle(iterations=50)
        >>> curve = train(model, FlowMatching(Shift(4)), batches(), recipe, torch.Generator().manual_seed(0))
        >>> len(curve.points), curve.points[-1].iteration
        (50, 50)
    """
    trainer = Trainer(model, objective, recipe, generator, points)
    for _ in trainer.steps(batches, on_point):
        pass
    return trainer.curve


class _BatchLoss(nn.Module):
    """A batch's loss as one module, for a group to wrap. Objectives get the bare model: they may call it
    several times, without gradient, or for forward-mode derivatives, which a wrapped model lacks."""

    def __init__(self, model: Model, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, observation: Any, target: Tensor, drawn: Any, weight: Tensor | None) -> Loss:
        return self.objective.loss(self.model, self.model.encode(observation), target, drawn, weight)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
