"""The toy's side of a sweep: train and decode one record of a task."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.atomic import DamagedError
from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import Model, Objective, Sampler, parse_sampler
from toyflow.machine import choose_device, device_name
from toyflow.seeds import generator, global_state
from toyflow.sweep.cell import OnProgress, Study
from toyflow.sweep.plan import objective_of
from toyflow.sweep.records import RECIPE_VERSION, EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Evaluated, StoredTraining, Trained
from toyflow.toy.task import Task, make_task
from toyflow.training import Batch, OneCycle, measure_cost, train

if TYPE_CHECKING:
    import pandas as pd

EVALUATION_BATCH = 125
"""Test examples per model call in decoding; part of what the decoding times mean."""


@dataclass(frozen=True)
class ToyStudy(Study):
    """Trains and decodes on one device with a fixed number of threads. `device` may be `auto`, which each
    machine settles for itself; `task` is an instance to use in place of the plug-in of that name."""

    task_name: str
    device: str = "cpu"
    threads: int = 1
    task: Task | None = None
    data_dir: str | None = None

    def train(self, record: TrainingRecord, on_progress: OnProgress) -> Trained:
        """Train the model of `record` from its seed alone. Three generators, derived from the seed, draw
        the weights, the data and the noise, so that two laws see the same model and the same batches."""
        torch.set_num_threads(self.threads)
        device = self._device
        task, recipe = self._task(record), OneCycle(**record.recipe)  # pyright: ignore[reportArgumentType]
        objective = objective_of(record)
        model = build_model(task, objective, record).to(device)
        cost = measure_cost(model, objective, task.train_batch(1, generator(0, "data")).to(device))
        with global_state(record.seed, "network", device):  # dropout draws from it
            curve = train(
                model,
                objective,
                batches(task, recipe.batch_size, record.seed, device),
                recipe,
                generator(record.seed, "noise"),
                on_point=lambda p: on_progress(
                    "training", p.iteration, recipe.iterations, f"loss {p.loss:.4f}"
                ),
            )
        weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
        details = {
            "parameters": sum(p.numel() for p in model.parameters()),
            **asdict(cost),
            "training_passes": objective.training_passes._asdict(),
            "seconds": curve.seconds,
            "final_loss": curve.points[-1].loss,
        }
        return Trained(weights, _table(curve.rows()), details)

    def evaluate(
        self, training: StoredTraining, evaluations: Sequence[EvaluationRecord], on_progress: OnProgress
    ) -> Iterator[Evaluated]:
        """Decode the test set once per evaluation, each time from the same noise."""
        torch.set_num_threads(self.threads)
        device = self._device
        task = self._task(training.record)
        model, objective = load_model(task, training)
        model.to(device)
        test = task.test_set().to(device)
        _warm_up(model, objective, test)
        for done, record in enumerate(evaluations, 1):
            sample, encode_seconds, decode_seconds = decode(model, objective, test, record)
            scores = task.score(sample, test)
            outcomes = _table({name: values.cpu().numpy() for name, values in scores.items()})
            _check_outcomes(task, outcomes)
            details = {
                "metrics": {
                    **{name: float(outcomes[name].mean()) for name in task.metrics},
                    **task.score_set(sample, test),
                },
                "examples": len(outcomes),
                "model_calls": objective.model_calls(record.steps, _sampler(record)),
                "encode_seconds": encode_seconds,
                "decode_seconds": decode_seconds,
            }
            on_progress("decoding", done, len(evaluations), None)
            yield Evaluated(outcomes, details)

    def estimate(
        self, record: TrainingRecord, evaluations: Sequence[EvaluationRecord]
    ) -> tuple[float, float]:
        """(seconds to train, seconds to decode), from 8 iterations after a warm-up and one step."""
        torch.set_num_threads(self.threads)
        device = self._device
        task, recipe = self._task(record), OneCycle(**record.recipe)  # pyright: ignore[reportArgumentType]
        objective = objective_of(record)
        model = build_model(task, objective, record).to(device)
        ticks: list[float] = []
        train(
            model,
            objective,
            batches(task, recipe.batch_size, record.seed, device),
            replace(recipe, iterations=12),
            generator(record.seed, "noise"),
            on_point=lambda _: ticks.append(_now(device)),
        )
        test = task.test_set().to(device)
        _, encode, one_step = decode(model, objective, test, EvaluationRecord("euler", 1))
        calls = [objective.model_calls(e.steps, _sampler(e)) for e in evaluations]
        per_iteration = (ticks[-1] - ticks[-9]) / 8
        return per_iteration * recipe.iterations, sum(encode + one_step * n for n in calls)

    def prepare(self, records: Sequence[TrainingRecord]) -> None:
        """Let the task fetch or unpack what each of its settings needs, and try that the model and the
        objective fit each other."""
        for record in {record.alike: record for record in records}.values():
            task = self._task(record)
            task.prepare()
            try:
                build_model(task, objective_of(record), record)
            except ToyflowError:
                raise
            except Exception as error:
                raise ToyflowError(f"task {task.name!r} cannot build its model: {error}") from error

    def environment(self) -> dict[str, Any]:
        """Device, its name, and threads."""
        kind = self._device.type
        return {"device": kind, "device_name": device_name(kind), "threads": self.threads}

    @property
    def _device(self) -> torch.device:
        return torch.device(choose_device(self.device))

    def _task(self, record: TrainingRecord) -> Task:
        task = self.task or make_task(self.task_name, record.data, self.data_dir)
        if task.identity() != record.task:
            raise UsageError(f"these results are of task {record.task}; this is {task.identity()}.")
        return task


def build_model(task: Task, objective: Objective, record: TrainingRecord) -> Model:
    """The untrained model of `record`, with what the objective adds to it; leaves the global random state
    as it was."""
    with global_state(record.seed, "weights", torch.device("cpu")):
        model = task.build_model(record.model)
        objective.attach(model, task.target_shape)
        return model


def load_model(task: Task, training: StoredTraining) -> tuple[Model, Objective]:
    """A trained model, ready to answer, and its objective.

    Raises:
        UsageError: it was trained under another version of the recipe, so this network is not its own.
        DamagedError: the weights are missing, altered, or another model's.
    """
    version = training.record.recipe_version
    if version != RECIPE_VERSION:
        raise UsageError(
            f"{training.folder} was trained under recipe version {version}; this toyflow runs models of "
            f"version {RECIPE_VERSION}. Its stored results can be read; train again to decode or probe."
        )
    objective = objective_of(training.record)
    model = build_model(task, objective, training.record)
    try:
        model.load_state_dict(training.weights())
    except RuntimeError as error:
        raise DamagedError(
            f"the weights in {training.folder} do not fit {type(model).__name__} as this toyflow builds it; "
            "they are another version's."
        ) from error
    return model.eval(), objective


def batches(task: Task, size: int, seed: int, device: torch.device) -> Iterator[Batch]:
    """Training batches without end, the same for every law under one seed."""
    source = generator(seed, "data")
    while True:
        yield task.train_batch(size, source).to(device)


@torch.inference_mode()
def decode(
    model: Model, objective: Objective, test: Batch, record: EvaluationRecord
) -> tuple[Float[Tensor, "examples ..."], float, float]:
    """(sample, seconds to encode the condition, seconds to decode from it), over the whole test set."""
    sampler = _sampler(record)
    source = generator(record.noise_seed, "test noise")
    noise = torch.randn(test.target.shape, generator=source).to(test.target)
    samples: list[Tensor] = []
    encode_seconds = decode_seconds = 0.0
    for start in range(0, len(noise), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        observation = test.part(part).observation
        began = _now(noise.device)
        condition = model.encode(observation)
        encoded = _now(noise.device)
        samples.append(objective.decode(model, condition, noise[part], record.steps, sampler))
        decode_seconds += _now(noise.device) - encoded
        encode_seconds += encoded - began
    return torch.cat(samples), encode_seconds, decode_seconds


@torch.inference_mode()
def _warm_up(model: Model, objective: Objective, test: Batch) -> None:
    """One call outside the clock: the first one pays for allocations and kernels."""
    first = test.part(slice(0, EVALUATION_BATCH))
    condition = model.encode(first.observation)
    objective.decode(model, condition, torch.zeros_like(first.target), 1, parse_sampler("euler"))


def _sampler(record: EvaluationRecord) -> Sampler:
    return parse_sampler(record.sampler or "euler")


def _table(content: Any) -> pd.DataFrame:
    import pandas as pd  # half a second, which planning does without

    return pd.DataFrame(content)


def _check_outcomes(task: Task, outcomes: pd.DataFrame) -> None:
    headline = task.metrics[0]
    if list(outcomes.columns) != list(task.metrics) or not outcomes[headline].isin((0, 1)).all():
        raise ToyflowError(
            f"task {task.name!r}: score must return {', '.join(task.metrics)}, and {headline} must be 0 or 1."
        )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
