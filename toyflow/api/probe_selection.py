"""Which models of a results folder `toyflow probe` measures."""

from __future__ import annotations

from collections.abc import Sequence

from toyflow import plugins
from toyflow.errors import UsageError, unknown
from toyflow.flow import parse_schedule
from toyflow.report.results import rank, variants
from toyflow.sweep.inspection import ambiguous_key
from toyflow.sweep.records import RECIPE_VERSION, EvaluationRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredEvaluation, StoredTraining


def choose_models(
    store: Store, selection: Sequence[str]
) -> tuple[dict[str, list[StoredTraining]], list[str]]:
    """The models that `selection` names, by variant, and all labels of the folder, in reports' order.

    Args:
        store: of a results folder.
        selection: as for `toyflow.api.probing.probe`.

    Raises:
        UsageError: as for `probe`.
    """
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
    chosen = _installed(store, [model.training for model in stored], selection)
    several_tasks = len({training.record.task for training in chosen}) > 1
    models = [model for model in stored if model.training in chosen]
    by_variant: dict[str, list[StoredTraining]] = {}
    for model, differing in zip(models, variants(models), strict=True):
        words = [model.training.record.task] * several_tasks + [differing] * bool(differing)
        by_variant.setdefault(", ".join(words), []).append(model.training)
    labels = dict.fromkeys(model.training.record.label for model in stored)
    return dict(sorted(by_variant.items())), list(labels)


def _installed(
    store: Store, stored: Sequence[StoredTraining], selection: Sequence[str]
) -> list[StoredTraining]:
    """The models that `selection` names. Raises UsageError where the objective of one is not installed, as
    those of imported models."""
    available = plugins.available("objectives")
    able = [training for training in stored if training.record.objective in available]
    could = ", ".join(dict.fromkeys(training.record.label for training in able))
    if not able:
        raise UsageError(f"no model in {store.root} is of an objective that is installed, so none is probed.")
    chosen: list[StoredTraining] = []
    for name in selection:
        named = _named(store, stored, name)
        for training in named:
            if training not in able:
                label = training.record.label
                raise UsageError(f"the objective of {label} is not installed; these can be probed: {could}.")
        chosen += [training for training in named if training not in chosen]
    return chosen or able


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
