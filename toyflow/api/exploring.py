"""`toyflow explore`: a page of results to play with, and what models make of a few examples, call by call."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from toyflow.errors import ToyflowError
from toyflow.flow import Model, Objective, draw_noise
from toyflow.machine import choose_device
from toyflow.report.explore.denoising import (
    DenoisedBy,
    Denoising,
    Kind,
    in_8_bits,
    read_denoising,
    write_denoising,
)
from toyflow.report.explore.embedded import data_uri
from toyflow.report.explore.page import write_explore
from toyflow.report.results import load_results
from toyflow.seeds import generator
from toyflow.sweep.inspection import results_folders
from toyflow.sweep.records import RECIPE_VERSION, EvaluationRecord
from toyflow.sweep.runner import load_runner
from toyflow.sweep.stored import WEIGHTS, StoredEvaluation, StoredTraining
from toyflow.sweep.subject import subject_of
from toyflow.toy.models import task_of
from toyflow.toy.probe_examples import bench_of
from toyflow.toy.task import Task
from toyflow.training import Bench

EXAMPLES = 6
"""Test examples, the first ones, that are shown being denoised."""
MOST_MODELS = 24
"""Models of a folder that are decoded for the page at a time."""
MOST_STEPS = 20
"""Decodings of more steps are not shown."""
MOST_NUMBERS = 64
"""Of targets of more numbers, one draw is shown on its way, and of smaller ones `MOST_DRAWS`."""
MOST_DRAWS = 8
MOST_WORDS = 16
"""Numbers of a condition that are written out."""

OnProgress = Callable[[int, int], None]
"""(models done, models in all)."""
LOG = logging.getLogger(__name__)


def explore(
    out: Path | str,
    *,
    task: Task | None = None,
    device: str = "auto",
    data_dir: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Path:
    """Write OUT/explore.html, one self-contained page on which two settings of a study stand side by side.

    Where weights are, and it was not done before, the first test examples are decoded, and kept call by call
    in FOLDER/denoising of their results folder. The page shows what is kept there.

    Args:
        out: a results folder, or a folder of some.
        task: the task of the results, where it is not installed as a plug-in.
        device: auto, cpu, cuda or mps.
        data_dir: folder of data sets that toyflow does not carry.
        on_progress: called with (models done, models in all).

    Returns:
        The page's path.

    Raises:
        UsageError: no results there that can be read.
        DamagedError: the only results there are damaged.

    Example:
        run_study(MyTask(), out="results/mine")
        print(explore("results/mine", task=MyTask()))
    """
    out = Path(out)
    where = torch.device(choose_device(device))
    todo = [(folder, models) for folder in results_folders(out) for models in _to_decode(folder)]
    failed = dict[str, list[Path]]()  # the models of each reason
    for done, (folder, evaluations) in enumerate(todo):
        on_progress(done, len(todo))
        training = evaluations[0].training
        try:
            write_denoising(denoise(training, evaluations, where, data_dir, task), folder)
        except (ToyflowError, OSError) as error:
            failed.setdefault(str(error), []).append(training.folder)
    for why, (first, *more) in failed.items():
        others = f", nor {'is' if len(more) == 1 else 'are'} {len(more)} more" if more else ""
        LOG.warning(f"{first} is not shown denoising{others}: {why}")
    if todo:
        on_progress(len(todo), len(todo))
    return write_explore(out)


def _to_decode(folder: Path) -> list[list[StoredEvaluation]]:
    """The decodings of each model of a results folder that is still to be decoded for the page: one model for
    each label and variant, the first with weights, where its decodings are not kept yet. Only decodings of
    noise seed 0 are shown, since the noise of a bench is of that seed."""
    try:
        results = load_results(folder)
    except ToyflowError:
        return []  # the page says why
    by_key: dict[str, list[StoredEvaluation]] = {}
    for evaluation in results.evaluations:
        if evaluation.record.noise_seed == 0 and evaluation.record.steps <= MOST_STEPS:
            by_key.setdefault(evaluation.training.record.key, []).append(evaluation)
    alike: dict[str, list[str]] = {}
    for key, (first, *_) in by_key.items():
        record = replace(first.training.record, seed=0)
        alike.setdefault(record.key, []).append(key)
    todo = []
    for keys in alike.values():
        able = [key for key in keys if _can_decode(by_key[key][0].training)]
        if able and not _is_kept(folder, keys, by_key):
            todo.append(by_key[able[0]])
    return todo[:MOST_MODELS]


def _is_kept(folder: Path, keys: Sequence[str], by_key: Mapping[str, list[StoredEvaluation]]) -> bool:
    """Whether one of these models was decoded for the page, with the weights that it has now and in every way
    in which it is evaluated by now."""
    kept = read_denoising(folder, keys)
    if kept is None:
        return False
    training = by_key[kept.key][0].training
    if _can_decode(training) and kept.weights != training.weights_checksum:
        return False  # it was trained again
    there = {(each.steps, each.draws, each.sampler, each.grid) for each in kept.decodings}
    return all(_ways(each.record) in there for each in by_key[kept.key])


def _ways(record: EvaluationRecord) -> tuple[int, int, str | None, str | None]:
    return record.steps, record.draws, record.sampler, record.grid


def _can_decode(training: StoredTraining) -> bool:
    return (training.folder / WEIGHTS).is_file() and training.record.recipe_version == RECIPE_VERSION


@torch.inference_mode()
def denoise(
    training: StoredTraining,
    evaluations: Iterable[StoredEvaluation],
    device: torch.device,
    data_dir: str | None = None,
    task: Task | None = None,
) -> Denoising:
    """Decode the first test examples with a trained model as each of `evaluations` did, and note every call.

    The first noise, and its negative in a pair of draws, is that of an evaluation of noise seed 0. Further
    draws are of a stream of their own, because an evaluation draws noise for its whole test set.

    Raises:
        UsageError: the task or its data are not here.
        DamagedError: the weights are altered.
    """
    record = training.record
    if task is None:
        subject = subject_of(record)
        bench = load_runner(subject).bench(training, EXAMPLES, device, data_dir)
    else:
        subject, bench = task, bench_of(task_of(record, task), EXAMPLES, device)
    model, objective = bench.load(training)
    target = bench.test.target
    words, pictures = _conditions(bench.test.observation, len(target))
    condition = model.encode(bench.test.observation)
    decodings = [_denoised_by(each.record, bench, model, objective, condition) for each in evaluations]
    kind = subject.shown_as or ("image" if target.ndim == 4 else "curve")
    return Denoising(
        key=record.key,
        weights=training.weights_checksum,
        kind=cast(Kind, kind),
        shape=list(target.shape[1:]),
        target=_stored(target),
        conditions=words,
        pictures=pictures,
        decodings=decodings,
    )


def _denoised_by(
    record: EvaluationRecord, bench: Bench, model: Model, objective: Objective, condition: Any
) -> DenoisedBy:
    target, decoding = bench.test.target, record.decoding
    source = generator(1, "test noise")
    first = iter([bench.noise])

    def draw() -> Tensor:
        again = torch.randn(target.shape, generator=source).to(target)
        return next(first, again)  # the first noise is that of the evaluation

    noise = draw_noise(decoding.draws, draw)
    noise = noise if decoding.draws > 1 else noise[None]
    with _inputs(model) as given:
        answers = decoding.answers(objective, model, condition, noise)
    seen = [x for x in given if x.shape[1:] == target.shape[1:] and len(x) == len(noise) * len(target)]
    shown = min(decoding.draws, MOST_DRAWS if target[0].numel() <= MOST_NUMBERS else 1)
    ways = torch.stack([x.unflatten(0, noise.shape[:2])[:shown] for x in (*seen, answers.flatten(0, 1))], 1)
    answer = answers.mean(0)
    return DenoisedBy(
        steps=record.steps,
        draws=record.draws,
        sampler=record.sampler,
        grid=record.grid,
        calls=len(seen),
        draws_shown=shown,
        frames=_stored(ways),
        answer=_stored(answer),
        right=bench.outcome(answer).float().cpu().tolist(),
    )


@contextmanager
def _inputs(model: Model) -> Iterator[list[Tensor]]:
    """What the model is asked about at each call: x, as a growing list."""
    given: list[Tensor] = []
    hook = model.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0].clone()))
    try:
        yield given
    finally:
        hook.remove()


def _stored(values: Float[Tensor, "..."]) -> str:
    return in_8_bits(values.float().cpu().numpy())


def _conditions(observation: Any, examples: int) -> tuple[list[str], list[str]]:
    """(in words, as pictures): what the network is told of each example, as far as that can be shown."""
    if not isinstance(observation, Tensor):
        return [""] * examples, [""] * examples
    each = observation.cpu()
    if each.dtype == torch.uint8 and each.ndim == 4:  # tiles of a square, or channels
        return [""] * examples, [_mosaic(tiles) for tiles in each]
    if each[0].numel() <= MOST_WORDS:
        return [_in_words(numbers.flatten().tolist()) for numbers in each], [""] * examples
    return [""] * examples, [""] * examples


def _in_words(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.3g}" for number in numbers)


def _mosaic(tiles: Tensor) -> str:
    """The tiles row by row in a square, as a data URI."""
    side = int(len(tiles) ** 0.5)
    rows = tiles[: side * side].unflatten(0, (side, side)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    file = io.BytesIO()
    Image.fromarray(rows.numpy()).save(file, "PNG", optimize=True)
    return data_uri(file.getvalue(), "image/png")
