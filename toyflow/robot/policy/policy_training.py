"""Training a policy on demonstrations, so that it can be stopped at any moment and goes on from there."""

from __future__ import annotations

import itertools
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors.torch import load_file
from torch import Tensor

from toyflow.atomic import (
    MANIFEST,
    DamagedError,
    atomic_folder,
    read_json,
    remove_stale,
    verified,
    write_json,
)
from toyflow.flow import Objective
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.frames import Frames
from toyflow.robot.planner import any_observation
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.tensors import save_tensors
from toyflow.training import CurvePoint, PolicyRecipe, Trainer
from toyflow.training.process_group import SINGLE, ProcessGroup, State

LOG = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints of a running training that are kept: the last, and one before it should that be damaged."""
CHECKPOINTS = 20
"""How many are made over a whole training."""


class PolicyBatch(NamedTuple):
    """What `Trainer` takes."""

    observation: PolicyInput
    target: Float[Tensor, "batch horizon width"]
    weight: Float[Tensor, "batch horizon width"]


def batches(
    policy: Policy,
    data: DataSet,
    frames: Frames,
    recipe: PolicyRecipe,
    seed: int,
    start: int = 0,
    own: slice = slice(None),
) -> Iterator[PolicyBatch]:
    """Training batches from iteration `start` (counted from 0) on, without end; every one is a function of
    the seed and its number alone. Of each come only its `own` samples; no other's images are read."""
    from toyflow.robot.data.augmentation import (
        Augmentation,  # torchvision: seconds, which only training waits for
    )

    device = next(policy.parameters()).device
    augmentation = Augmentation(recipe.augment_shift, recipe.augment_colour)
    size = recipe.batch_size
    order, ahead = (  # the same twice, as frames run ahead
        (batch[own] for batch in frame_order(data.frames, size, seed, start)) for _ in range(2)
    )
    for iteration, (indices, images) in enumerate(zip(order, frames.batches(ahead), strict=False), start):
        chunks = data.chunks(indices, policy.spec.horizon)
        images = augmentation(images, _mixed(seed, iteration), own, size)
        observation = PolicyInput(images, chunks.state, policy.tokeniser(chunks.prompts)).to(device)
        target = policy.target(chunks.actions.to(device))
        yield PolicyBatch(observation, target, policy.weight(chunks.is_pad.to(device)))


def frame_order(frames: int, size: int, seed: int, start: int = 0) -> Iterator[Int64[Tensor, "batch"]]:
    """Batches of frame numbers from the `start`-th on: one shuffled pass over all frames after another."""
    position, epoch, order = start * size, -1, torch.empty(0, dtype=torch.long)
    while True:
        parts, left = [], size
        while left:
            if position // frames != epoch:
                epoch = position // frames
                order = torch.randperm(frames, generator=torch.Generator().manual_seed(_mixed(seed, epoch)))
            part = order[position % frames :][:left]
            parts.append(part)
            position, left = position + len(part), left - len(part)
        yield torch.cat(parts)


def train_policy(
    policy: Policy,
    objective: Objective,
    batches_from: Callable[[int], Iterator[PolicyBatch]],
    recipe: PolicyRecipe,
    generator: torch.Generator,
    folder: Path,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
    precision: torch.dtype | None = None,
    group: ProcessGroup = SINGLE,
    accumulate: int = 1,
) -> Trainer:
    """Train to the recipe's end, from the newest checkpoint in `folder` if there is one.

    Checkpoints are made about `CHECKPOINTS` times, and at once when SIGTERM or SIGINT comes, which is then
    passed on; to a process of a group, all of them stop. `folder` is left for the caller to remove once the
    result is safe; only the group's main process looks into it.

    Args:
        batches_from: the batches from an iteration (counted from 0) on.
        group, accumulate: see `Trainer`.

    Raises:
        DivergedError: loss or weights are no longer finite; the last good checkpoint is kept.
    """
    trainer = Trainer(
        policy, objective, recipe, generator, precision=precision, group=group, accumulate=accumulate
    )
    if group.is_main:
        remove_stale(folder.glob(".iteration-*"))
    restore(trainer, folder)
    every = max(1, recipe.iterations // CHECKPOINTS)
    with _held_signals() as held:
        for iteration in trainer.steps(batches_from(trainer.iteration), on_point):
            stop = group.any(bool(held))
            if stop or iteration % every == 0:
                keep(trainer, folder)
            if stop:
                held.append(signal.SIGTERM)  # the last of all reasons, for processes that got none themselves
                break
    return trainer


def seconds_per_iteration(policy: Policy, objective: Objective, recipe: PolicyRecipe) -> float:
    """Seconds of a training step without loading data: the mean of 3, after one to warm up."""
    anything = any_observation(policy.spec.interface, policy.spec.image_size)
    seen = policy.prepare([anything] * recipe.batch_size)
    actions = torch.zeros(recipe.batch_size, policy.spec.horizon, policy.spec.interface.action_dim)
    target = policy.target(actions.to(seen.state.device))
    trainer = Trainer(policy, objective, replace(recipe, iterations=4), torch.Generator().manual_seed(0))
    ticks = [time.perf_counter() for _ in trainer.steps(itertools.repeat((seen, target)))]
    return (ticks[-1] - ticks[0]) / 3


def keep(trainer: Trainer, folder: Path) -> None:
    """Write a checkpoint under `folder`, then drop all but the last `KEPT`; of a group, the main process."""
    tensors, values = trainer.state()
    if not trainer.group.is_main:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"iteration-{trainer.iteration:07d}"
    if not path.exists():
        with atomic_folder(path) as temporary:
            save_tensors(tensors, temporary / "state.safetensors")
            write_json(temporary / "state.json", values)
    for old in _checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)


def restore(trainer: Trainer, folder: Path) -> None:
    """Go on from the newest checkpoint under `folder` that is whole, or from the start. A whole group goes on
    from the one that its main process finds."""
    state = trainer.group.broadcast_state(_newest(folder) if trainer.group.is_main else None)
    if state is not None:
        trainer.restore(*state)


def _newest(folder: Path) -> State | None:
    for path in reversed(_checkpoints(folder)):
        try:
            values = read_json(verified(path, "state.json"))
            tensors = load_file(verified(path, "state.safetensors"))
        except DamagedError as error:
            LOG.warning("%s Training goes on from the checkpoint before it, or from the start.", error)
            shutil.rmtree(path)
            continue
        return tensors, values
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("iteration-*") if (path / MANIFEST).is_file())


@contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT while inside, and raise the first again on leaving, unless an error is on
    its way. In a thread, where Python delivers none, nothing is collected."""
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    before = {
        number: signal.signal(number, lambda number, _: held.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def _mixed(seed: int, number: int) -> int:
    """A seed for the `number`-th of something."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


def weights_of(trainer: Trainer) -> Mapping[str, Tensor]:
    """What is kept of a trained policy."""
    return {name: tensor.cpu().contiguous() for name, tensor in trainer.trained().state_dict().items()}
