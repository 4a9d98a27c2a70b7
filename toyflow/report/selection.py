"""Selections of results for `toyflow compare`, such as `results/other::shift:4,K=1,encoder=large`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toyflow.errors import UsageError, unknown
from toyflow.report.results import Results, description, in_number_order, prediction_of
from toyflow.sweep.stored import StoredEvaluation
from toyflow.sweep.sweep_options import RECIPE_NUMBERS


@dataclass(frozen=True)
class Selector:
    """What `results/other::shift:4@beta,K=1,encoder=large` says."""

    folder: Path
    label: str
    conditions: tuple[tuple[str, str], ...]
    steps: int | None

    @classmethod
    def parse(cls, text: str, out: Path) -> Selector:
        """Raises UsageError where it is not of the form [FOLDER::]SCHEDULE[,NAME=VALUE]..."""
        folder, _, rest = text.rpartition("::")
        label, *conditions = (part.strip() for part in rest.split(","))
        named = [[part.strip() for part in condition.split("=", 1)] for condition in conditions]
        if not label or any(len(pair) != 2 or not all(pair) for pair in named):
            raise UsageError(
                f"{text!r} is not of the form [FOLDER::]SCHEDULE[,NAME=VALUE]..., as beta,K=10 is."
            )
        chosen = {_condition(name): value for name, value in named}
        if len(chosen) < len(named):
            raise UsageError(f"{text!r} names a condition twice.")
        steps = chosen.pop("K", "")
        if steps and not re.fullmatch("[0-9]{1,9}", steps):
            raise UsageError(f"K={steps[:40]!r} in {text[:80]!r} is not a number of steps.")
        place = Path(folder) if folder else out
        return cls(place, label, tuple(sorted(chosen.items())), int(steps) if steps else None)

    def at(self, steps: int) -> Selector:
        """The same in `steps` steps, unless it says in how many."""
        return self if self.steps is not None else replace(self, steps=steps)


@dataclass(frozen=True)
class Selection:
    """The decodings that a selector names: one per seed, alike in everything else."""

    selector: Selector
    description: Mapping[str, str]
    by_seed: Mapping[int, StoredEvaluation]

    def values(self, metric: str, seeds: Iterable[int]) -> list[float]:
        """The metric at each of the seeds."""
        return [self.by_seed[seed].details["metrics"][metric] for seed in seeds]

    def keys(self, seeds: Iterable[int]) -> list[str]:
        """The trained models of the seeds."""
        return [self.by_seed[seed].training.record.key for seed in seeds]


def select(results: Results, selector: Selector) -> Selection:
    """What `selector` names among `results`. Raises UsageError where nothing fits, or where what fits differs
    in more than the seed."""
    label, named = selector.label, ",".join([selector.label, *map("=".join, selector.conditions)])
    labels = {evaluation.training.record.label for evaluation in results.evaluations}
    if label not in labels:
        raise unknown(f"schedule in {selector.folder},", label, labels)
    found = [(_described(e), e) for e in results.evaluations if e.training.record.label == label]
    for name, wanted in (*selector.conditions, ("K", str(selector.steps))):
        values = {has[name] for has, _ in found if name in has}
        if not values:
            _refuse_prediction(results, label, name, wanted)
            raise unknown(f"condition on {label},", name, {known for has, _ in found for known in has})
        found = [(has, e) for has, e in found if name in has and _alike(has[name], wanted)]
        if not found and name == "K":
            existing = ", ".join(sorted(values, key=int))
            raise UsageError(f"{named} was not decoded at K = {wanted}; there is K = {existing}.")
        if not found:
            raise unknown(f"{name} of {label},", wanted, values)
    choices = values_that_vary([has for has, _ in found])
    if choices:
        several = ", ".join(f"{name}={_either(values)}" for name, values in choices.items())
        raise UsageError(f"{named} at K = {selector.steps} matches several variants; add {several}.")
    return Selection(selector, found[0][0], {e.training.record.seed: e for _, e in found})


def _condition(name: str) -> str:
    """What a description calls it: K for steps, draws for the M of tables, and a number of the recipe also
    by the name of its flag."""
    of_recipe = name.replace("-", "_") in RECIPE_NUMBERS
    short = {"steps": "K", "M": "draws"}
    return short.get(name) or re.sub("[-_]" if of_recipe else "_", " ", name)


def _refuse_prediction(results: Results, label: str, name: str, wanted: str) -> None:
    """Raise UsageError with the label that has it, where a condition names what the network predicts."""
    if name not in ("predict", "prediction"):
        return
    records = [evaluation.training.record for evaluation in results.evaluations]
    alike = {(record.objective, record.schedule) for record in records if record.label == label}
    labels = {r.label for r in records if (r.objective, r.schedule) in alike and prediction_of(r) == wanted}
    said = f"write {_either(sorted(labels))}" if labels else f"none of these like {label} predicts {wanted}"
    raise UsageError(f"{name}={wanted}: a selection names its prediction as tables do; {said}.")


def _either(values: Sequence[str]) -> str:
    """`1, 2 or 8`."""
    *rest, last = values
    return f"{', '.join(rest)} or {last}" if rest else last


def _described(evaluation: StoredEvaluation) -> dict[str, str]:
    described = description(evaluation) | {"K": evaluation.record.steps}
    return {name.replace("_", " "): str(value) for name, value in described.items()}


def _alike(value: str, wanted: str) -> bool:
    """Whether the two are the same text or the same number."""
    try:
        return value == wanted or float(value) == float(wanted)
    except ValueError:
        return False


def values_that_vary(described: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values, by name, of what is not the same in all descriptions."""
    names = dict.fromkeys(name for has in described for name in has)
    values = {n: sorted({has.get(n, "none") for has in described}, key=in_number_order) for n in names}
    return {name: found for name, found in values.items() if len(found) > 1}
