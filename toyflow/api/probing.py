"""`toyflow probe`: the anatomy of one-step errors, and velocity fields, of the models in a results folder.

Both are measured in one pass over the examples, for which conditions are encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.api.probe_selection import choose_models
from toyflow.errors import UsageError
from toyflow.flow import FlowMatching, Model, Objective, Predictor, Uniform, VelocityPrediction, draw_noise
from toyflow.flow.anatomy import ONE_STEP_DRAWS, Anatomy, dissect_model, joined, many_steps
from toyflow.flow.diagnostics import distance, error_by_noise_level, euler_paths, noise_levels
from toyflow.flow.samplers import Velocity, euler
from toyflow.machine import choose_device
from toyflow.report.anatomy_report import DissectedModel
from toyflow.report.probe_report import IDEAL, STANDARD_ERROR, Probed
from toyflow.seeds import generator
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.runner import load_runner
from toyflow.sweep.stored import WEIGHTS, StoredTraining
from toyflow.sweep.subject import subject_of
from toyflow.training import Bench

EXAMPLES = 500
"""Most examples that a model is probed on."""
LEVELS = 20
"""Number of noise levels, from 1 to 1/20."""
PROBE_BATCH = 125
"""Examples per model call."""

BenchOf = Callable[[StoredTraining, int, torch.device], Bench]
"""Maps (trained model, number of examples, device) to the examples that the model is probed on."""
OnProgress = Callable[[int, int], None]
"""(done, total)."""


def probe(
    out: Path | str,
    selection: Sequence[str] = (),
    *,
    steps: int = 50,
    device: str = "auto",
    examples: int = EXAMPLES,
    bench_of: BenchOf | None = None,
    data_dir: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Probed:
    """Take the one-step errors of trained models apart, into leak, bias and spread (see
    `toyflow.flow.anatomy`). Of models with a velocity measure its error by noise level, the straightness of
    sampled paths, and the distance of one step from many. All models start from the same noise; models of
    another recipe version are left out.

    Args:
        out: a results folder.
        selection: schedules or objectives as tables show them, keys of cells, or how a key begins; none for
            every model.
        steps: number K of steps of the paths, and of the samples that one-step samples are compared with.
        device: auto, cpu, cuda or mps.
        examples: most examples to probe on.
        bench_of: what to probe on, in place of the data of the models' task.
        data_dir: folder of data sets that toyflow does not carry.
        on_progress: called with (parts done, parts in all).

    Raises:
        UsageError: a selection that names nothing or a model of an objective that is not installed, or a task
            that is not.
        DamagedError: a model's weights are missing or altered.

    Example:
        found = probe("results/sweep", ["beta", "uniform"], steps=20)
        print(found.paths[["label", "seed", "straightness"]])
    """
    by_variant, labels = choose_models(existing_store(Path(out)), selection)
    return _probe(by_variant, labels, steps, device, examples, bench_of, data_dir, on_progress)


def _probe(
    by_variant: Mapping[str, list[StoredTraining]],
    labels: Sequence[str],
    steps: int,
    device: str,
    examples: int,
    bench_of: BenchOf | None,
    data_dir: str | None,
    on_progress: OnProgress,
) -> Probed:
    if steps < 2:
        raise UsageError(f"a probe needs at least 2 steps, got {steps}.")
    if examples < 2:
        raise UsageError(f"a probe needs at least 2 examples, got {examples}.")
    every = [training for trainings in by_variant.values() for training in trainings]
    if not any((training.folder / WEIGHTS).exists() for training in every):
        raise UsageError(
            f"{every[0].folder.parent.parent} holds results without weights, which cannot be probed; "
            "train with another --out."
        )
    where = torch.device(choose_device(device))
    benches: dict[str, Bench] = {}
    plan: list[tuple[str, Bench, list[StoredTraining]]] = []
    for variant, trainings in by_variant.items():
        record = trainings[0].record
        setting = repr(
            (record.task, record.data, record.model)
        )  # a policy's inputs and targets differ by all
        if setting not in benches:
            benches[setting] = (
                load_runner(subject_of(record)).bench(trainings[0], examples, where, data_dir)
                if bench_of is None
                else bench_of(trainings[0], examples, where)
            )
        plan.append((variant, benches[setting], trainings))
    total = sum(
        _parts(bench) * (len(trainings) + (bench.optimal is not None)) for _, bench, trainings in plan
    )
    done = 0

    def on_part() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    errors, paths, anatomies = [], [], []
    for variant, bench, trainings in plan:
        for model in _models(bench, trainings):
            found = measure(bench, model, steps, on_part)
            names = {"variant": variant, "label": model.label, "seed": model.seed, "key": model.key}
            if found.errors is not None and found.paths is not None:
                errors.append(found.errors.assign(**names))
                paths.append(found.paths.assign(**names))
            anatomies.append(
                DissectedModel(
                    **names,
                    anatomy=found.anatomy,
                    variance=float(bench.test.target.double().var(0).mean()),
                    steps=many_steps(model.objective),
                    may_predict_data=model.may_predict_data,
                    origin=bench.origin,
                )
            )
    return Probed(_joined(errors), _joined(paths), anatomies, labels)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _parts(bench: Bench) -> int:
    """Number of model calls that `measure` divides the examples into."""
    return -(-len(bench.noise) // PROBE_BATCH)


@dataclass(frozen=True)
class _ProbedModel:
    """A trained model, or the optimal velocity, with what names it."""

    label: str
    seed: int | None
    key: str
    objective: Objective
    bind: Callable[[Any], tuple[Predictor, Any]]
    """Maps an observation to a model and the condition that it is to be given."""
    may_predict_data: bool = False


class _Measured(NamedTuple):
    """What `measure` found of one model, as means over examples with standard errors; None without a
    velocity."""

    errors: pd.DataFrame | None
    """A row per noise level."""
    paths: pd.DataFrame | None
    """One row."""
    anatomy: Anatomy
    """Over the elements of a target."""


@torch.inference_mode()
def measure(
    bench: Bench, probed: _ProbedModel, steps: int, on_part: Callable[[], None] = lambda: None
) -> _Measured:
    """Measure one model.

    The velocity is that of an infinitesimal step; the one-step sample is the objective's own, which for
    `meanflow` and `shortcut` is more than one step along the velocity.

    Args:
        bench: the examples, their noise and, where it is known, the optimal field.
        probed: the model.
        steps: number K of steps of the paths.
        on_part: called after each part of the examples.
    """
    objective = probed.objective
    errors, paths, one_step, anatomies = [], [], [], []
    levels, has_optimal = noise_levels(LEVELS), bench.optimal is not None
    source = generator(1, "test noise")
    drawn = draw_noise(ONE_STEP_DRAWS, lambda: torch.randn(bench.noise.shape, generator=source))
    for start in range(0, len(bench.noise), PROBE_BATCH):
        part = slice(start, start + PROBE_BATCH)
        noise, (observation, target) = bench.noise[part], bench.test.part(part)
        model, condition = probed.bind(observation)
        anatomies.append(
            dissect_model(
                objective, model, condition, drawn[:, part].to(noise),
                targets=target[None],
                moments=None if bench.moments is None else bench.moments(observation),
                groups=None if bench.groups is None else bench.groups[part],
                steps=many_steps(objective),
            ).over_elements()
        )  # fmt: skip
        if objective.has_velocity:
            velocity = _velocity(objective, model, condition)
            optimal = _optimal(bench, observation) if has_optimal else None
            errors.append(error_by_noise_level(velocity, noise, target, levels, optimal))
            paths.append(euler_paths(velocity, noise, steps))
            one_step.append(objective.decode(model, condition, noise, 1, euler))
        on_part()
    if not errors:
        return _Measured(None, None, joined(anatomies))
    by_level = {"mse": [e.mse for e in errors], "cosine_error": [e.cosine_error for e in errors]}
    if has_optimal:
        by_level["excess"] = [e.excess for e in errors]
    one, many = torch.cat(one_step), torch.cat([p.sample for p in paths])
    gap = distance(one, many)
    changed = bench.outcome(one) != bench.outcome(many)
    on_paths = {
        "straightness": torch.cat([p.straightness for p in paths]),
        "length_ratio": torch.cat([p.length_ratio for p in paths]),
        "one_step_gap": gap,
        "one_step_gap_rms": gap / one[0].numel() ** 0.5,
        "outcome_changed": changed.float(),
    }
    examples = len(bench.noise)
    return _Measured(
        pd.DataFrame(
            {
                "examples": examples,
                "noise_level": levels.double().round(decimals=6).numpy(),
                **_over_examples({name: torch.cat(values, dim=1) for name, values in by_level.items()}),
            }
        ),
        pd.DataFrame({"examples": examples, "steps": steps, **_over_examples(on_paths)}, index=[0]),
        joined(anatomies),
    )


def _velocity(objective: Objective, model: Predictor, condition: Any) -> Velocity:
    return lambda x, t: objective.velocity(model, x, t, condition)


def _optimal(bench: Bench, observation: Any) -> Velocity:
    optimal = bench.optimal
    assert optimal is not None
    return lambda x, t: optimal(x, t, observation)


def _models(bench: Bench, trainings: Sequence[StoredTraining]) -> Iterator[_ProbedModel]:
    """Each trained model, then the optimal velocity where it is known."""
    for training in trainings:
        record = training.record
        model, objective = bench.load(training)
        yield _ProbedModel(
            record.label, record.seed, record.key, objective, _encoding(model),
            may_predict_data=objective.uses_prediction and objective.prediction.key == VelocityPrediction.key,
        )  # fmt: skip
    if bench.optimal is not None:

        def bind(observation: Any) -> tuple[Predictor, Any]:
            optimal = _optimal(bench, observation)
            return lambda x, t, condition: optimal(x, t), None

        yield _ProbedModel(IDEAL, None, "", FlowMatching(Uniform()), bind)


def _encoding(model: Model) -> Callable[[Any], tuple[Predictor, Any]]:
    return lambda observation: (model, model.encode(observation))


def _over_examples(measures: Mapping[str, Float[Tensor, "*levels examples"]]) -> dict[str, Any]:
    """Mean and standard error over the examples, for each measure."""
    columns: dict[str, Any] = {}
    for name, values in measures.items():
        values = values.cpu().double()
        columns[name] = values.mean(-1).numpy()
        columns[name + STANDARD_ERROR] = (values.std(-1) / values.shape[-1] ** 0.5).numpy()
    return columns
