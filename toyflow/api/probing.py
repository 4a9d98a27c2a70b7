"""`toyflow probe`: measure the velocity fields of the models in a results folder.

Over 300 lines, as choosing the models and measuring them share the bench of each setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.flow import Model, Objective, parse_schedule
from toyflow.flow.diagnostics import distance, error_by_noise_level, euler_paths, noise_levels
from toyflow.flow.samplers import Velocity, euler
from toyflow.machine import choose_device
from toyflow.report.probe_report import IDEAL, STANDARD_ERROR, Probed
from toyflow.report.results import rank, variants
from toyflow.sweep.inspection import ambiguous_key, existing_store
from toyflow.sweep.records import RECIPE_VERSION, EvaluationRecord
from toyflow.sweep.runner import load_runner
from toyflow.sweep.store import Store
from toyflow.sweep.stored import WEIGHTS, StoredEvaluation, StoredTraining
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
Field = Callable[[Any, Tensor], tuple[Velocity, Tensor]]
"""Maps (observation, noise) to a velocity field and the one-step samples that start from the noise."""
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
    """Measure the velocity fields of trained models: error by noise level, straightness of sampled paths, and
    distance of one step from many. All models start from the noise of their decodings; models of another
    recipe version are left out.

    Args:
        out: a results folder.
        selection: schedules or objectives as tables show them, keys of cells, or how a key begins; none for
            every model that has a velocity.
        steps: number K of steps of the paths, and of the samples that one-step samples are compared with.
        device: auto, cpu, cuda or mps.
        examples: most examples to probe on.
        bench_of: what to probe on, in place of the data of the models' task.
        data_dir: folder of data sets that toyflow does not carry.
        on_progress: called with (parts done, parts in all).

    Raises:
        UsageError: a selection that names nothing or a model without a velocity, or a task that is not
            installed.
        DamagedError: a model's weights are missing or altered.

    Example:
        found = probe("results/sweep", ["beta", "uniform"], steps=20)
        print(found.paths[["label", "seed", "straightness"]])
    """
    by_variant, labels = _choose(existing_store(Path(out)), selection)
    return _probe(by_variant, labels, steps, device, examples, bench_of, data_dir, on_progress)


def probe_models(
    trainings: Sequence[StoredTraining],
    *,
    steps: int = 50,
    device: str = "auto",
    examples: int = EXAMPLES,
    bench_of: BenchOf | None = None,
    data_dir: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Probed:
    """Probe models that differ in schedule or objective and seed only.

    Args:
        trainings: the models.
        steps, device, examples, bench_of, data_dir, on_progress: as for `probe`.

    Raises:
        UsageError, DamagedError: as `probe`.
    """
    labels = list(dict.fromkeys(training.record.label for training in trainings))
    return _probe({"": list(trainings)}, labels, steps, device, examples, bench_of, data_dir, on_progress)


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
        setting = repr((record.task, record.data))
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

    errors, paths = [], []
    for variant, bench, trainings in plan:
        for name, field in _fields(bench, trainings):
            by_level, on_paths = measure(bench, field, steps, on_part)
            errors.append(by_level.assign(variant=variant, **name))
            paths.append(on_paths.assign(variant=variant, **name))
    return Probed(pd.concat(errors, ignore_index=True), pd.concat(paths, ignore_index=True), labels)


def _parts(bench: Bench) -> int:
    """Number of model calls that `measure` divides the examples into."""
    return -(-len(bench.noise) // PROBE_BATCH)


@torch.inference_mode()
def measure(
    bench: Bench, field: Field, steps: int, on_part: Callable[[], None] = lambda: None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure one velocity field, as means over examples with standard errors.

    Args:
        bench: the examples, their noise and, where it is known, the optimal field.
        field: the velocity field.
        steps: number K of steps of the paths.
        on_part: called after each part of the examples.

    Returns:
        A frame with a row per noise level, and a frame with one row on the paths.
    """
    errors, paths, one_step = [], [], []
    levels, has_optimal = noise_levels(LEVELS), bench.optimal is not None
    for start in range(0, len(bench.noise), PROBE_BATCH):
        part = slice(start, start + PROBE_BATCH)
        noise, (observation, target) = bench.noise[part], bench.test.part(part)
        velocity, samples = field(observation, noise)
        optimal = _optimal(bench, observation) if has_optimal else None
        errors.append(error_by_noise_level(velocity, noise, target, levels, optimal))
        paths.append(euler_paths(velocity, noise, steps))
        one_step.append(samples)
        on_part()
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
    return (
        pd.DataFrame(
            {
                "examples": examples,
                "noise_level": levels.double().round(decimals=6).numpy(),
                **_over_examples({name: torch.cat(values, dim=1) for name, values in by_level.items()}),
            }
        ),
        pd.DataFrame({"examples": examples, "steps": steps, **_over_examples(on_paths)}, index=[0]),
    )


def _optimal(bench: Bench, observation: Any) -> Velocity:
    optimal = bench.optimal
    assert optimal is not None
    return lambda x, t: optimal(x, t, observation)


def _ideal(bench: Bench) -> Field:
    """The optimal velocity field, and its one step."""

    def field(observation: Any, noise: Float[Tensor, "batch ..."]) -> tuple[Velocity, Tensor]:
        velocity = _optimal(bench, observation)
        return velocity, noise + velocity(noise, noise.new_zeros(len(noise)))

    return field


def _choose(store: Store, selection: Sequence[str]) -> tuple[dict[str, list[StoredTraining]], list[str]]:
    """The models that `selection` names, by variant, and all labels of the folder, in reports' order."""
    everything = list(store.trainings())
    # Weights of another version may fit the model that this one builds, and mean something else in it.
    current = [training for training in everything if training.record.recipe_version == RECIPE_VERSION]
    if everything and not current:
        raise UsageError(
            f"the models in {store.root} are of recipe version {everything[0].record.recipe_version}, and "
            f"this toyflow builds version {RECIPE_VERSION}; train new ones: toyflow sweep."
        )
    # Reports order and describe decodings; these models may have none, or several.
    stored = [
        StoredEvaluation(training.folder, training, EvaluationRecord(None, 1), {}) for training in current
    ]
    stored.sort(key=lambda m: (rank(m), m.training.record.label, m.training.record.seed))
    chosen = _with_velocity(store, [model.training for model in stored], selection)
    several_tasks = len({training.record.task for training in chosen}) > 1
    models = [model for model in stored if model.training in chosen]
    by_variant: dict[str, list[StoredTraining]] = {}
    for model, differing in zip(models, variants(models), strict=True):
        words = [model.training.record.task] * several_tasks + [differing] * bool(differing)
        by_variant.setdefault(", ".join(words), []).append(model.training)
    labels = dict.fromkeys(model.training.record.label for model in stored)
    return dict(sorted(by_variant.items())), list(labels)


def _with_velocity(
    store: Store, stored: Sequence[StoredTraining], selection: Sequence[str]
) -> list[StoredTraining]:
    """The models that `selection` names. Raises UsageError where one of them has no velocity."""
    able = [training for training in stored if _has_velocity(training.record.objective)]
    could = ", ".join(dict.fromkeys(training.record.label for training in able))
    if not able:
        raise UsageError(f"no model in {store.root} has a velocity field, as those of `flow` do.")
    chosen: list[StoredTraining] = []
    for name in selection:
        named = _named(store, stored, name)
        for training in named:
            if training not in able:
                raise UsageError(f"{training.record.label} has no velocity to probe; these have: {could}.")
        chosen += [training for training in named if training not in chosen]
    return chosen or able


def _has_velocity(objective: str) -> bool:
    """Whether an objective has a velocity; False for those of imported models, which toyflow lacks."""
    ours = objective in plugins.available("objectives")
    return ours and plugins.load("objectives", objective).has_velocity


def _named(store: Store, stored: Sequence[StoredTraining], name: str) -> list[StoredTraining]:
    """The models of a label, or the one whose key begins so. Raises UsageError."""
    by_label = [training for training in stored if training.record.label in (name, _canonical(name))]
    by_key = [training for training in stored if training.record.key.startswith(name)]
    if by_label or len(by_key) == 1:
        return by_label or by_key
    if by_key:
        raise ambiguous_key(name, len(by_key), store)
    raise unknown(
        f"schedule, objective or key of recipe version {RECIPE_VERSION} in {store.root},",
        name,
        {training.record.label for training in stored},
    )


def _canonical(name: str) -> str:
    """The name of a schedule in records: `beta` for `beta:1:1.5`."""
    try:
        return parse_schedule(name).name
    except UsageError:
        return name


def _fields(bench: Bench, trainings: Sequence[StoredTraining]) -> Iterator[tuple[dict[str, Any], Field]]:
    """Each model's field, then the ideal one where it is known, with the columns that name them."""
    for training in trainings:
        record = training.record
        names = {"label": record.label, "seed": record.seed, "key": record.key}
        yield names, _Learned(*bench.load(training))
    if bench.optimal is not None:
        yield {"label": IDEAL, "seed": None, "key": ""}, _ideal(bench)


@dataclass(frozen=True)
class _Learned:
    """A trained model's field. The velocity is that of an infinitesimal step; the one-step sample is the
    objective's own, which for `meanflow` and `shortcut` is more than one step along the velocity."""

    model: Model
    objective: Objective

    def __call__(self, observation: Any, noise: Float[Tensor, "batch ..."]) -> tuple[Velocity, Tensor]:
        condition = self.model.encode(observation)
        one_step = self.objective.decode(self.model, condition, noise, 1, euler)
        return lambda x, t: self.objective.velocity(self.model, x, t, condition), one_step


def _over_examples(measures: Mapping[str, Float[Tensor, "*levels examples"]]) -> dict[str, Any]:
    """Mean and standard error over the examples, for each measure."""
    columns: dict[str, Any] = {}
    for name, values in measures.items():
        values = values.cpu().double()
        columns[name] = values.mean(-1).numpy()
        columns[name + STANDARD_ERROR] = (values.std(-1) / values.shape[-1] ** 0.5).numpy()
    return columns
