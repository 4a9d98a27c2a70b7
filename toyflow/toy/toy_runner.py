"""The toy's side of a sweep: train and decode one record of a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import choose_device, device_name
from toyflow.machine_load import LoadMeter
from toyflow.seeds import generator, global_state
from toyflow.sweep.plan import objective_of
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.runner import Estimate, OnProgress, Runner, Seconds
from toyflow.sweep.stored import Code, Evaluated, StoredTraining, Trained
from toyflow.sweep.subject import Subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.sweep.timing import iteration_seconds
from toyflow.toy.checks import check_scores, check_set_scores, check_test_set
from toyflow.toy.code import code_of
from toyflow.toy.models import (
    EVALUATION_BATCH,
    batches,
    build_model,
    decode,
    load_model,
    now,
    task_of,
    warm_up,
)
from toyflow.toy.probe_examples import bench_of
from toyflow.toy.task import Task, make_task
from toyflow.training import Bench, OneCycle, Trainer, measure_cost, train

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ToyRunner(Runner):
    """Trains and decodes on one device with a fixed number of threads. `device` may be `auto`, which each
    machine settles for itself; `task` is an instance to use in place of the plug-in of that name."""

    task_name: str
    device: str = "cpu"
    threads: int = 1
    task: Task | None = None
    data_dir: str | None = None

    @classmethod
    def from_options(cls, subject: type[Subject], options: SweepOptions) -> ToyRunner:
        """See `Runner`."""
        return cls(subject.name, options.device, options.threads, data_dir=options.data_dir)

    @classmethod
    def bench(
        cls, training: StoredTraining, examples: int, device: torch.device, data_dir: str | None = None
    ) -> Bench:
        """See `Runner`: the first test examples."""
        return bench_of(task_of(training.record, data_dir=data_dir), examples, device)

    def train(self, record: TrainingRecord, on_progress: OnProgress) -> Trained:
        """Train the model of `record` from its seed alone. Three generators, derived from the seed, draw
        the weights, the data and the noise, so that two schedules see the same model and the same batches."""
        torch.set_num_threads(self.threads)
        device = self._device
        task, recipe = self._task(record), OneCycle(**record.recipe)  # pyright: ignore[reportArgumentType]
        code = self.code(record)  # before the work, in which files may be edited
        objective = objective_of(record)
        model = build_model(task, objective, record).to(device)
        cost = measure_cost(model, objective, task.checked_batch(1, generator(0, "data")).to(device))
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
        return Trained(weights, _table(curve.rows()), details, code)

    def evaluate(
        self, training: StoredTraining, evaluations: Sequence[EvaluationRecord], on_progress: OnProgress
    ) -> Iterator[Evaluated]:
        """Decode the test set once per evaluation, each time from the same noise."""
        torch.set_num_threads(self.threads)
        device = self._device
        task = self._task(training.record)
        codes = [self.code(training.record, record) for record in evaluations]  # before files may be edited
        model, objective = load_model(task, training)
        model.to(device)
        test = check_test_set(task, task.checked_test_set()).to(device)
        warm_up(model, objective, test)
        for done, (record, code) in enumerate(zip(evaluations, codes, strict=True), 1):
            meter = LoadMeter(self.threads)
            sample, encode_seconds, decode_seconds = decode(model, objective, test, record)
            load = meter.load()
            scores, set_scores = task.score(sample, test), task.score_set(sample, test)
            check_scores(task, scores, len(sample))
            check_set_scores(task, set_scores)
            outcomes = _table({name: values.cpu().numpy() for name, values in scores.items()})
            means = {name: float(outcomes[name].mean()) for name in task.metrics}
            details = {
                "metrics": {**means, **set_scores},
                "examples": len(outcomes),
                "model_calls": record.decoding.model_calls(objective),
                "encode_seconds": encode_seconds,
                "decode_seconds": decode_seconds,
                **({"load": asdict(load)} if load else {}),
            }
            on_progress("decoding", done, len(evaluations), None)
            yield Evaluated(outcomes, details, code)

    def estimate(self, record: TrainingRecord, evaluations: Sequence[EvaluationRecord]) -> Iterator[Estimate]:
        """See `Runner`: one batch is decoded in one step, then iterations are timed."""
        torch.set_num_threads(self.threads)
        device = self._device
        task, recipe = self._task(record), OneCycle(**record.recipe)  # pyright: ignore[reportArgumentType]
        objective = objective_of(record)
        model = build_model(task, objective, record).to(device)
        test = task.checked_test_set()
        first = test.part(slice(0, EVALUATION_BATCH)).to(device)
        warm_up(model.eval(), objective, first)
        _, encode, one_step = decode(model, objective, first, EvaluationRecord("euler", 1))
        calls = sum(e.draws * e.decoding.model_calls(objective) for e in evaluations)
        call = one_step / objective.model_calls()  # several with an autoregressive one
        decoding = len(test.target) / len(first.target) * (encode * len(evaluations) + call * calls)

        def run(size: int) -> Iterator[float]:
            part = replace(recipe, batch_size=size)
            trainer = Trainer(model, objective, part, generator(record.seed, "noise"))
            for _ in trainer.steps(batches(task, size, record.seed, device)):
                yield now(device)

        for seconds in iteration_seconds(run, recipe.batch_size):
            yield Estimate(seconds.times(recipe.iterations), Seconds(decoding, decoding))

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

    def code(self, record: TrainingRecord, evaluation: EvaluationRecord | None = None) -> Code | None:
        """See `Runner`."""
        return code_of(self._task(record), record, evaluation)

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


def _table(content: Any) -> pd.DataFrame:
    import pandas as pd  # half a second, which planning does without

    return pd.DataFrame(content)
