"""`toyflow recommend`: from one short training and its anatomy to schedule, prediction, steps and draws.

Over 300 lines, as choosing and checking the choice against a full sweep plan and train in the same way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from toyflow.api.command_options import RECOMMEND_FRACTION
from toyflow.api.study import plan_study
from toyflow.atomic import write_json
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.flow import Decoding, draw_noise
from toyflow.flow.anatomy import dissect
from toyflow.flow.joint_spread import joint_share
from toyflow.machine import choose_device
from toyflow.report.recommendation import (
    Recommendation,
    Stage,
    Yardstick,
    regret,
    regret_sentence,
)
from toyflow.report.recommendation_rule import (
    DRAWS,
    FEW,
    MANY,
    PREDICTION,
    SCHEDULE,
    Evidence,
    apply_rule,
)
from toyflow.report.results import Results, load_results
from toyflow.seeds import generator
from toyflow.sweep.executors import Executor, executor_of
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.plan import Cell
from toyflow.sweep.run import Audience, run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining
from toyflow.sweep.subject import load_subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.models import load_model, task_of
from toyflow.toy.task import Task
from toyflow.toy.toy_runner import ToyRunner
from toyflow.version import __version__

EXAMPLES, ONE_STEP_DRAWS, SAMPLES = 250, 16, 8
"""Conditions of an anatomy, and from how many noises each is decoded: in one step, and in `MANY`."""
FILE = "recommendation.json"


def recommend(
    options: SweepOptions,
    executor: Executor,
    audience: Audience,
    *,
    fraction: float = RECOMMEND_FRACTION,
    metric: str | None = None,
    task: Task | None = None,
) -> Recommendation:
    """Train one model for a `fraction` of the iterations, take its one-step error apart on the validation
    split, and choose by `toyflow/report/recommendation_rule.py`. Where that is unclear the model is trained
    for all iterations. Writes OUT/recommendation.json; finished cells of OUT are kept.

    Args:
        options: one setting of a task, its recipe and the training seeds, over which the measures are
            averaged; `recommend_options` gives the defaults. Schedule, prediction, steps and draws are the
            rule's. A task with an option `split` answers its `validation`, unless `options` name another.
        executor: what runs the trainings.
        audience: what shows them; `show_on(console)` prints.
        fraction: length of the short training, as a share of the full one.
        metric: the metric that is shown; None for the task's headline. The rule does not read it.
        task: an instance to use in place of the plug-in that `options` names; make it with its validation
            split if it has one.

    Raises:
        UsageError: several settings at once, a fraction outside (0, 1], a metric that does not exist, a task
            that is no toy task.
        ToyflowError: a training failed.

    Example:
        options = replace(recommend_options({}), task="wave", iterations=(400,))
        found = recommend(options, DebugExecutor(), show_on(Console()), task=Wave())
        print(found.choice)
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"--fraction must be above 0 and at most 1, got {fraction:g}.")
    for name, values in options.set.items():
        if len(values) > 1:
            raise UsageError(
                f"recommend looks at one setting; give {name} one value, not {', '.join(values)}."
            )
    if len(options.recipes()) > 1:
        raise UsageError(
            "recommend looks at one recipe; give iterations, batch size and learning rate one value."
        )
    subject = _toy_task(options, task)
    yardstick = yardstick_of(subject, metric)
    if task is None:
        options = on_validation(options, subject)
    iterations = int(_planned(options, task)[0].training.recipe["iterations"])
    lengths = sorted({max(1, round(fraction * iterations)), iterations})
    stages: list[Stage] = []
    spent, choice, reason = 0.0, None, "unclear"
    while choice is None:
        cells = _planned(replace(options, iterations=(lengths[len(stages)],)), task)
        results = _trained(cells, options, executor, audience, task)
        began = time.perf_counter()
        stages.append(_stage(results, yardstick, options, task))
        spent += seconds_of(results) + time.perf_counter() - began
        choice, reason = apply_rule(stages[-1].evidence, last=len(stages) == len(lengths))
    record = _planned(options, task)[0].training
    setting = {
        "toyflow": __version__,
        "task": record.task,
        "data": dict(record.data),
        "model": dict(record.model),
        "split": str(getattr(subject.data_options.parse(record.data), "split", "test")),
        "recipe": dict(record.recipe),
        "iterations": iterations,
        "seeds": list(options.seeds),
        "seconds": spent,
        "threads": options.threads,
        "device": choose_device(options.device),
    }
    found = Recommendation(yardstick, choice, reason, stages, setting)
    write_json(Store(options.out).root / FILE, _as_json(found))
    return found


def recommend_and_check(
    options: SweepOptions,
    console: Console,
    *,
    fraction: float = RECOMMEND_FRACTION,
    metric: str | None = None,
    against: Path | None = None,
) -> tuple[Recommendation, str | None]:
    """`recommend` as the command line does it; and a sentence on what the choice costs, by full trainings.

    Args:
        options: the setting; `recommend_options` gives the defaults.
        console: where the trainings are shown.
        fraction, metric: as for `recommend`.
        against: a results folder with full trainings of this setting on other seeds; None for no check.

    Raises:
        UsageError, ToyflowError: as `recommend`; and where `against` holds no such trainings.

    Example:
        found, _ = recommend_and_check(recommend_options({"task": "dial"}), Console())
        print(found.choice)
    """
    executor = executor_of(options)
    full = full_sweep(options, against) if against else None
    found = recommend(options, executor, show_on(console), fraction=fraction, metric=metric)
    if full is None:
        return found, None
    return found, regret_sentence(regret(full, found.choice, found.yardstick), found.yardstick)


def on_validation(options: SweepOptions, subject: Any) -> SweepOptions:
    """`options` with `split=validation`, where the task has such a split and `options` name none."""
    values = subject.data_options.values().get("split")
    if "split" in options.set or values is None:
        return options
    try:
        values.parse("split", "validation")
    except UsageError:
        return options
    return replace(options, set={**options.set, "split": ("validation",)})


def full_sweep(options: SweepOptions, folder: Path) -> Results:
    """Load all full-length results of this setting from `folder`, on seeds that do not choose.

    Args:
        options: as for `recommend`; the results are of the task's own split, not of the one that chooses.
        folder: a results folder.

    Raises:
        UsageError: the folder holds no such trainings.
    """
    store = existing_store(folder)
    wanted = plan_study(options)[0].training
    same = [
        training.record
        for training in store.trainings()
        if training.record.seed not in options.seeds
        and (training.record.task, training.record.data, training.record.model, training.record.recipe)
        == (wanted.task, wanted.data, wanted.model, wanted.recipe)
    ]
    cells = [
        Cell(record, tuple(e.record for e in store.evaluations(store.training(record.key))), record.label)
        for record in same
    ]
    if not cells:
        chosen_on = ", ".join(map(str, options.seeds))
        raise UsageError(
            f"{folder} holds no training of this setting, with its recipe, on seeds other than {chosen_on}, "
            "on which the choice is made."
        )
    return load_results(store, cells)


def yardstick_of(task: Task | type[Task], metric: str | None) -> Yardstick:
    """The metric that is shown, and that regret is counted in; None for the headline. Raises UsageError for a
    metric that `task` does not have."""
    metrics = (*task.metrics, *task.set_metrics)
    if metric is not None and metric not in metrics:
        raise unknown(f"metric of {task.name}", metric, metrics)
    chosen = metric or metrics[0]
    lower = chosen in task.lower_is_better
    return Yardstick(chosen, chosen == metrics[0], chosen in task.metrics and not lower, lower)


def seconds_of(results: Results) -> float:
    """Seconds that training every model and all decodings took."""
    trainings = {e.training.record.key: e.training.details["seconds"] for e in results.evaluations}
    return sum(trainings.values()) + float(
        results.frame[["encode_seconds", "decode_seconds"]].to_numpy().sum()
    )


@torch.inference_mode()
def measure(training: StoredTraining, device: str, task: Task | None, data_dir: str | None) -> Evidence:
    """What the rule reads of a trained model, on the first test examples of its task."""
    own, where = task_of(training.record, task, data_dir), torch.device(choose_device(device))
    model, objective = load_model(own, training)
    model.to(where)
    test = own.test_set().part(slice(0, EXAMPLES)).to(where)
    source = generator(0, "test noise")
    noise = draw_noise(ONE_STEP_DRAWS, lambda: torch.randn(test.target.shape, generator=source))
    noise = noise.to(test.target)
    condition = model.encode(test.observation)
    answers = torch.stack([Decoding(FEW).sample(objective, model, condition, x0) for x0 in noise])
    independent = noise[::2][:SAMPLES]  # the first of each pair
    samples = torch.stack([Decoding(MANY).sample(objective, model, condition, x0) for x0 in independent])
    found = dissect(answers, targets=test.target[None])
    assert found.bias_and_spread is not None
    return Evidence(
        variance=float(test.target.double().var(0).mean()),
        rest=float(found.bias_and_spread.mean()),
        leak={draws: float(found.left(draws).mean()) for draws in DRAWS},
        spread=float(samples.double().var(0).mean()),
        joint=_joint(samples),
        iterations=int(training.record.recipe["iterations"]),
    )


def _joint(samples: Float[Tensor, "samples conditions ..."]) -> float | None:
    """The joint share where targets are codes, [tokens, code], and samples vary."""
    if samples.ndim != 4 or samples.shape[3] == 1:
        return None
    share = joint_share(samples.cpu())
    return share if math.isfinite(share) else None


def _toy_task(options: SweepOptions, task: Task | None) -> Any:
    subject: Any = load_subject(options.task) if task is None else task
    if subject.runner != Task.runner:
        raise UsageError(
            f"recommend supports toy tasks only, not {options.task!r}; for a policy, "
            "`toyflow probe CHECKPOINT --dataset DATA` says what one step loses."
        )
    return subject


def _planned(options: SweepOptions, task: Task | None) -> list[Cell]:
    """The rule's model for each seed, with the decodings that it chooses among."""
    asked = replace(
        options, schedules=(SCHEDULE,), predict=(PREDICTION,), objectives=("flow",), samplers=("euler",),
        grid=("uniform",), steps=(FEW, MANY), draws=DRAWS,
    )  # fmt: skip
    return [
        replace(cell, evaluations=tuple(e for e in cell.evaluations if e.steps == FEW or e.draws == 1))
        for cell in plan_study(asked, task)
    ]


def _trained(
    cells: Sequence[Cell],
    options: SweepOptions,
    executor: Executor,
    audience: Audience,
    task: Task | None,
) -> Results:
    store, name = Store(options.out), options.task if task is None else task.name
    runner = ToyRunner(
        name, choose_device(options.device), options.threads, task=task, data_dir=options.data_dir
    )
    failed = run_missing(cells, runner, store, executor, audience)
    if failed:
        raise ToyflowError(
            f"{len(failed)} of {len(cells)} trainings failed; the same command tries them again."
        )
    return load_results(store, cells)


def _stage(results: Results, yardstick: Yardstick, options: SweepOptions, task: Task | None) -> Stage:
    """The mean evidence over seeds, beside the scores that the rule does not read."""
    models = {e.training.record.key: e.training for e in results.evaluations}.values()
    every = [measure(model, options.device, task, options.data_dir) for model in models]
    scores = yardstick.scores(results).groupby(["steps", "draws"])["value"].mean()
    return Stage(mean_evidence(every), {pair: yardstick.sign * value for pair, value in scores.items()})  # pyright: ignore[reportArgumentType]


def mean_evidence(every: Sequence[Evidence]) -> Evidence:
    """The means over models that differ in their seed."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    joint = [e.joint for e in every if e.joint is not None]
    return Evidence(
        **{name: mean([getattr(e, name) for e in every]) for name in ("variance", "rest", "spread")},
        joint=mean(joint) if joint else None,
        leak={draws: mean([e.leak[draws] for e in every]) for draws in DRAWS},
        iterations=every[0].iterations,
    )


def _as_json(found: Recommendation) -> Mapping[str, object]:
    return {
        **asdict(found.choice),
        "reason": found.reason,
        "metric": found.yardstick.metric,
        "trainings": [
            {
                **asdict(stage.evidence),
                "scores": [
                    {"steps": steps, "draws": draws, "score": score}
                    for (steps, draws), score in stage.scores.items()
                ],
            }
            for stage in found.stages
        ],
        "setting": dict(found.setting),
    }
