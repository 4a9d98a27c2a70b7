"""Training a policy on demonstrations; it can be stopped at any moment and continues from a checkpoint."""

from __future__ import annotations

import itertools
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

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
from toyflow.robot.data.training_part import training_frames
from toyflow.robot.planner import any_observation
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.seeds import mixed_seed
from toyflow.tensors import save_tensors
from toyflow.training import CurvePoint, PolicyRecipe, Trainer
from toyflow.training.process_group import SINGLE, ProcessGroup, State

LOG = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints of a running training that are kept: the last, and one more in case that is damaged."""
CHECKPOINTS = 20
"""Checkpoints over a whole training."""


class PolicyBatch(NamedTuple):
    """A batch for `Trainer`: inputs, target actions, and weights of the loss."""

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
    hold_out: float = 0.0,
) -> Iterator[PolicyBatch]:
    """Endless training batches. Each is a function of the seed and its number alone.

    Args:
        hold_out: share of episodes that no batch has a frame of, see `held_out_episodes`.
        start: number of the first batch, from 0.
        own: samples of each batch that this process takes; only their images are read.
    """
    # Imports torchvision, which takes seconds, and only training needs.
    from toyflow.robot.data.augmentation import Augmentation

    device = next(policy.parameters()).device
    augmentation = Augmentation(recipe.augment_shift, recipe.augment_colour)
    size = recipe.batch_size
    among = training_frames(data, hold_out)
    order, ahead = (  # the same twice: images are read ahead
        (among[batch[own]] for batch in frame_order(len(among), size, seed, start)) for _ in range(2)
    )
    for iteration, (indices, images) in enumerate(zip(order, frames.batches(ahead), strict=False), start):
        chunks = data.chunks(indices, policy.spec.horizon)
        images = augmentation(images, mixed_seed(seed, iteration), own, size)
        observation = PolicyInput(images, chunks.state, policy.tokeniser(chunks.prompts)).to(device)
        target = policy.target(chunks.actions.to(device), observation.state)
        yield PolicyBatch(observation, target, policy.weight(chunks.is_pad.to(device)))


def frame_order(frames: int, size: int, seed: int, start: int = 0) -> Iterator[Int64[Tensor, "batch"]]:
    """Batches of frame numbers, from the `start`-th batch on: shuffled passes over all frames."""
    position, epoch, order = start * size, -1, torch.empty(0, dtype=torch.long)
    while True:
        parts, left = [], size
        while left:
            if position // frames != epoch:
                epoch = position // frames
                order = torch.randperm(
                    frames, generator=torch.Generator().manual_seed(mixed_seed(seed, epoch))
                )
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

    About `CHECKPOINTS` checkpoints are written, and one at once when SIGTERM or SIGINT comes, which is then
    raised again. A signal to one process of a group stops all of them.

    Args:
        batches_from: gives the batches from an iteration (counted from 0) on; see `batches`.
        generator: generator of noise and times.
        folder: folder of checkpoints, used by the group's main process alone; the caller removes it at the
            end.
        on_point: called with each point of the training curve.
        precision: torch.bfloat16 for mixed precision; None is float32.
        group, accumulate: see `Trainer`.

    Returns:
        The trainer, with the trained policy and its curve.

    Raises:
        DivergedError: loss or weights are not finite any more; the last good checkpoint stays.
    """
    trainer = Trainer(
        policy, objective, recipe, generator, precision=precision, group=group, accumulate=accumulate
    )
    if group.is_main:
        remove_stale(folder.glob(".iteration-*"))
    load_checkpoint(trainer, folder)
    every = max(1, recipe.iterations // CHECKPOINTS)
    with _held_signals() as held:
        for iteration in trainer.steps(batches_from(trainer.iteration), on_point):
            stop = group.any(bool(held))
            if stop or iteration % every == 0:
                save_checkpoint(trainer, folder)
            if stop:
                held.append(signal.SIGTERM)  # also in processes that got no signal themselves
                break
    return trainer


def train_on_nothing(
    policy: Policy, objective: Objective, recipe: PolicyRecipe, batch_size: int
) -> Iterator[int]:
    """Train on batches of this size that hold no data, for their time alone."""
    anything = any_observation(policy.spec.interface, policy.spec.image_size)
    seen = policy.prepare([anything] * batch_size)
    actions = torch.zeros(batch_size, policy.spec.horizon, policy.spec.interface.action_dim)
    target = policy.target(actions.to(seen.state.device), seen.state)
    recipe = replace(recipe, batch_size=batch_size)
    trainer = Trainer(policy, objective, recipe, torch.Generator().manual_seed(0))
    return trainer.steps(itertools.repeat((seen, target)))


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Write a checkpoint under `folder`, then delete all but the last `KEPT`. In a group, only the main
    process writes."""
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


def load_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Continue from the newest undamaged checkpoint under `folder`, or from the start. All processes of a
    group continue from the one that the main process finds."""
    state = trainer.group.broadcast_state(_newest(folder) if trainer.group.is_main else None)
    if state is not None:
        trainer.restore(*state)


def _newest(folder: Path) -> State | None:
    for path in reversed(_checkpoints(folder)):
        try:
            values = read_json(verified(path, "state.json"))
            tensors = load_file(verified(path, "state.safetensors"))
        except DamagedError as error:
            LOG.warning("%s Training continues from the checkpoint before it, or from the start.", error)
            shutil.rmtree(path)
            continue
        return tensors, values
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("iteration-*") if (path / MANIFEST).is_file())


@contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT while inside, and raise the first again on leaving, unless an error is
    raised. Outside of the main thread, where Python delivers no signals, nothing is collected."""
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


def weights_of(trainer: Trainer) -> Mapping[str, Tensor]:
    """The weights that are stored of a trained policy, on the CPU."""
    return {name: tensor.cpu().contiguous() for name, tensor in trainer.trained().state_dict().items()}
