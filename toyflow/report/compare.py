"""`toyflow compare`: one selection of results against others, seed by seed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toyflow import stats
from toyflow.errors import UsageError, unknown
from toyflow.report.results import Results, description, load_results
from toyflow.report.runs import existing_store
from toyflow.report.tables import MARGIN
from toyflow.sweep.records import TEST_SET
from toyflow.sweep.store import StoredEvaluation


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
        chosen = {"K" if name == "steps" else name.replace("_", " "): value for name, value in named}
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
class Arm:
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


@dataclass(frozen=True)
class Pair:
    """Two selections compared; every difference is first - second."""

    first: str
    second: str
    at: str
    """` at K = 1`; nothing where the two differ in K, and their names say it."""
    seeds: tuple[Sequence[int], Sequence[int]]
    """Of each; the same where the comparison is paired."""
    means: tuple[float, float]
    test: stats.SeedTest | None
    """None with one seed, and where the seeds show no spread."""
    same_models: bool
    models: Mapping[int, stats.PairedTest]
    """McNemar's test by seed: where both decode the same trained models, and where there is one seed."""
    p_value: float | None
    """Of the test over seeds, or of McNemar's where there is one seed; adjusted by Holm's method."""

    @property
    def several(self) -> bool:
        """Whether each has two seeds or more."""
        return min(map(len, self.seeds)) > 1

    @property
    def over(self) -> str:
        """`over 3 seeds`."""
        one, two = map(len, self.seeds)
        same = self.seeds[0] == self.seeds[1]
        return f"over {one} seeds" if same else f"over {one} and {two} seeds, none in common"


@dataclass(frozen=True)
class Measure:
    """The metric, and how its numbers are written: the headline, a proportion, in points."""

    metric: str
    headline: bool
    margin: float

    @property
    def within(self) -> str:
        """`within 2 points`."""
        points = 100 * self.margin
        return f"within {points:g} point{'s' * (points != 1)}" if self.headline else f"within {self.margin:g}"

    def signed(self, value: float) -> str:
        """A difference without its unit."""
        return f"{100 * value:+.1f}" if self.headline else f"{value:+.3g}"

    def bounds(self, interval: stats.Interval) -> str:
        """`[-1.1, +2.7]`."""
        return f"[{self.signed(interval.low)}, {self.signed(interval.high)}]"

    def difference(self, value: float) -> str:
        """`+0.8 points`."""
        return self.signed(value) + (" points" if self.headline else "")


@dataclass(frozen=True)
class Comparison:
    """What `toyflow compare` found."""

    measure: Measure
    pairs: Sequence[Pair]
    of_the_whole: Sequence[str]
    """Metrics that no example has, only all of them together: distances of distributions."""

    @property
    def tests(self) -> int:
        """How many p-values were adjusted together."""
        return sum(pair.p_value is not None for pair in self.pairs)


def compare(
    out: Path,
    selectors: Sequence[str],
    steps: Sequence[int] = (1,),
    metric: str | None = None,
    margin: float | None = None,
    results: Results | None = None,
) -> Comparison:
    """The first selection against each of the others; nothing is written.

    Each is compared in each of the `steps`, unless it names its own K.

    Args:
        margin: in points for the headline, else in the metric's unit; where None, 2 points, else a tenth of
            the first's mean.
        results: what stands in for all that `out` holds.

    Raises:
        UsageError: selections that name nothing, too much, or share no examples; no such metric.
        DamagedError: a result's file is missing or altered.
    """
    if len(selectors) < 2 or not steps or not (margin is None or 0 < margin < math.inf):
        raise UsageError("compare needs two selections or more, a K, and a margin above 0.")
    first, *others = (Selector.parse(text, out) for text in selectors)
    folders = {selector.folder for selector in (first, *others)}
    stored = {
        folder: results if results and folder == out else load_results(existing_store(folder))
        for folder in folders
    }
    headline = stored[first.folder].metric
    measure = Measure(headline if metric is None else metric, metric in (None, headline), MARGIN)
    pairs, of_the_whole = [], ()
    for a, b in dict.fromkeys((first.at(k), other.at(k)) for k in steps for other in others):
        if a == b:
            raise UsageError(f"{a.label} at K = {a.steps} would be compared with itself.")
        arms = _select(stored[a.folder], a), _select(stored[b.folder], b)
        _check_comparable(*arms, measure.metric)
        if not pairs:  # one margin for all
            measure = replace(measure, margin=_margin(margin, measure, arms[0]))
            of_the_whole = _of_the_whole(arms[0])
        pairs.append(_compared(*arms, measure))
    adjusted = iter(stats.holm([pair.p_value for pair in pairs if pair.p_value is not None]))
    pairs = [pair if pair.p_value is None else replace(pair, p_value=next(adjusted)) for pair in pairs]
    return Comparison(measure, pairs, of_the_whole)


def _of_the_whole(arm: Arm) -> tuple[str, ...]:
    one = next(iter(arm.by_seed.values()))
    of_each = one.outcomes().columns
    return tuple(name for name in one.details["metrics"] if name not in of_each)


def _select(results: Results, selector: Selector) -> Arm:
    """Raises UsageError where nothing fits, or where what fits differs in more than the seed."""
    label, named = selector.label, ",".join([selector.label, *map("=".join, selector.conditions)])
    labels = {evaluation.training.record.label for evaluation in results.evaluations}
    if label not in labels:
        raise unknown(f"schedule in {selector.folder},", label, labels)
    found = [(_described(e), e) for e in results.evaluations if e.training.record.label == label]
    for name, wanted in (*selector.conditions, ("K", str(selector.steps))):
        values = {has[name] for has, _ in found if name in has}
        if not values:
            raise unknown(f"condition on {label},", name, {known for has, _ in found for known in has})
        found = [(has, e) for has, e in found if name in has and _alike(has[name], wanted)]
        if not found and name == "K":
            existing = ", ".join(sorted(values, key=int))
            raise UsageError(f"{named} was not decoded at K = {wanted}; there is K = {existing}.")
        if not found:
            raise unknown(f"{name} of {label},", wanted, values)
    choices = _differing([has for has, _ in found])
    if choices:
        several = ", ".join(f"{name}={' or '.join(values)}" for name, values in choices.items())
        raise UsageError(f"{named} at K = {selector.steps} is there in several variants; add {several}.")
    return Arm(selector, found[0][0], {e.training.record.seed: e for _, e in found})


def _described(evaluation: StoredEvaluation) -> dict[str, str]:
    described = description(evaluation) | {"K": evaluation.record.steps}
    return {name.replace("_", " "): str(value) for name, value in described.items()}


def _alike(value: str, wanted: str) -> bool:
    """Whether the two are the same text or the same number."""
    try:
        return value == wanted or float(value) == float(wanted)
    except ValueError:
        return False


def _differing(described: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """What is not the same in all, with its values."""
    names = dict.fromkeys(name for has in described for name in has)
    values = {name: sorted({has.get(name, "none") for has in described}) for name in names}
    return {name: found for name, found in values.items() if len(found) > 1}


def default_margin(share: bool, mean: float) -> float:
    """2 points of a share; a tenth of the mean of another metric."""
    return MARGIN if share else abs(mean) / 10 or math.ulp(0.0)


def _margin(given: float | None, measure: Measure, first: Arm) -> float:
    """In the metric's unit."""
    if given is not None:
        return given / 100 if measure.headline else given
    return default_margin(measure.headline, float(np.mean(first.values(measure.metric, first.by_seed))))


def _compared(a: Arm, b: Arm, measure: Measure) -> Pair:
    """The pair, its p-value not yet adjusted."""
    common = sorted(a.by_seed.keys() & b.by_seed.keys())
    seeds = (common, common) if common else (sorted(a.by_seed), sorted(b.by_seed))
    one, two = a.values(measure.metric, seeds[0]), b.values(measure.metric, seeds[1])
    several = min(len(one), len(two)) > 1
    test = stats.seed_test(one, two, measure.margin, paired=bool(common)) if several else None
    same_models = bool(common) and a.keys(common) == b.keys(common)
    models = _mcnemar(a, b, common, measure.metric) if same_models or not several else {}
    p_of_models = next((model.p_value for model in models.values()), None)
    p_value = test.p_value if test else 1.0 if several else p_of_models
    means = float(np.mean(one)), float(np.mean(two))
    return Pair(*_names(a, b), seeds, means, test, same_models, models, p_value)


def _check_comparable(a: Arm, b: Arm, metric: str) -> None:
    """Raises UsageError where the two cannot be compared."""
    evaluations = [(arm.selector.label, e) for arm in (a, b) for e in arm.by_seed.values()]
    examples = [
        {
            "task": e.training.record.task,
            **_of_the_task(e),
            "test set": e.record.test_set,
            "noise seed": str(e.record.noise_seed),
            "number of examples": str(e.details["examples"]),
        }
        for _, e in evaluations
    ]
    for name, values in _differing(examples).items():
        raise UsageError(
            f"{a.selector.label} and {b.selector.label} share no examples, so cannot be paired: "
            f"{name} {' and '.join(values)}."
        )
    metrics = {name for _, e in evaluations for name in e.details["metrics"]}
    if metric not in metrics:
        raise unknown("metric", metric, metrics)
    for label, e in evaluations:
        if not math.isfinite(e.details["metrics"].get(metric, math.nan)):
            raise UsageError(f"{label}, seed {e.training.record.seed}, has no {metric}, or not as a number.")


def _of_the_task(evaluation: StoredEvaluation) -> dict[str, str]:
    """What settles the examples besides the test set's name: a task's knobs. Where the name says it all, as a
    simulator's does, the data are those of training, and may differ."""
    data = evaluation.training.record.data if evaluation.record.test_set == TEST_SET else {}
    return {name: str(value) for name, value in data.items()}


def _mcnemar(a: Arm, b: Arm, seeds: Iterable[int], metric: str) -> dict[int, stats.PairedTest]:
    """By seed; nothing for a metric that does not say of each example whether it is right."""
    tests: dict[int, stats.PairedTest] = {}
    for seed in seeds:
        outcomes = [arm.by_seed[seed].outcomes() for arm in (a, b)]
        if all(metric in each and each[metric].isin([0, 1]).all() for each in outcomes):
            tests[seed] = stats.paired_proportions(*(each[metric].to_numpy() > 0.5 for each in outcomes))
    return tests


def _names(a: Arm, b: Arm) -> tuple[str, str, str]:
    """Each by its schedule and by what was asked for or tells the two apart; and the K that they share."""
    shared = a.description.keys() & b.description.keys()
    telling = {name for name in shared if a.description[name] != b.description[name]}
    names = []
    for arm in (a, b):
        shown = telling | {name for name, _ in arm.selector.conditions}
        told = [f"{name}={value}" for name, value in arm.description.items() if name in shown - {"K"}]
        if a.selector.folder != b.selector.folder:
            told.append(f"in {arm.selector.folder}")
        name = arm.selector.label + (f" ({', '.join(told)})" if told else "")
        names.append(f"{name} at K = {arm.selector.steps}" if "K" in telling else name)
    return names[0], names[1], "" if "K" in telling else f" at K = {a.selector.steps}"
