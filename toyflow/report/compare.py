"""`toyflow compare`: one selection of results against others, seed by seed, with a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.errors import UsageError, unknown
from toyflow.report.results import Results, description, load_results
from toyflow.report.runs import existing_store
from toyflow.report.tables import MARGIN, in_words
from toyflow.sweep.store import StoredEvaluation

LEVEL = 0.05
"""Of every test here."""


@dataclass(frozen=True)
class Selector:
    """What `results/other::shift:4@beta,K=1,encoder=large` says."""

    folder: Path
    label: str
    conditions: tuple[tuple[str, str], ...]
    steps: int | None

    @classmethod
    def parse(cls, text: str, out: Path) -> Selector:
        """Raises UsageError where it is not of the form [FOLDER::]LAW[,NAME=VALUE]..."""
        folder, _, rest = text.rpartition("::")
        label, *conditions = (part.strip() for part in rest.split(","))
        named = [[part.strip() for part in condition.split("=", 1)] for condition in conditions]
        if not label or any(len(pair) != 2 or not all(pair) for pair in named):
            raise UsageError(f"{text!r} is not of the form [FOLDER::]LAW[,NAME=VALUE]..., as beta,K=10 is.")
        chosen = {"K" if name == "steps" else name.replace("_", " "): value for name, value in named}
        if len(chosen) < len(named):
            raise UsageError(f"{text!r} names a condition twice.")
        steps = chosen.pop("K", "")
        if steps and not steps.isdecimal():
            raise UsageError(f"K={steps} in {text!r} is not a number of steps.")
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

    @property
    def tests(self) -> int:
        """How many p-values were adjusted together."""
        return sum(pair.p_value is not None for pair in self.pairs)


def compare(
    out: Path,
    selectors: Sequence[str],
    steps: Sequence[int] = (1,),
    metric: str | None = None,
    margin: float = MARGIN,
) -> Comparison:
    """The first selection against each of the others; nothing is written.

    Each is compared in each of the `steps`, unless it names its own K. The margin is in the metric's unit.

    Raises:
        UsageError: selections that name nothing, too much, or share no examples; no such metric.
        DamagedError: a result's file is missing or altered.
    """
    if len(selectors) < 2 or not steps or not 0 < margin < math.inf:
        raise UsageError("compare needs two selections or more, a K, and a margin above 0.")
    first, *others = (Selector.parse(text, out) for text in selectors)
    folders = {selector.folder for selector in (first, *others)}
    stored = {folder: load_results(existing_store(folder)) for folder in folders}
    headline = stored[first.folder].metric
    measure = Measure(headline if metric is None else metric, metric in (None, headline), margin)
    pairs = []
    for a, b in dict.fromkeys((first.at(k), other.at(k)) for k in steps for other in others):
        if a == b:
            raise UsageError(f"{a.label} at K = {a.steps} would be compared with itself.")
        pairs.append(_compared(_select(stored[a.folder], a), _select(stored[b.folder], b), measure))
    adjusted = iter(stats.holm([pair.p_value for pair in pairs if pair.p_value is not None]))
    pairs = [pair if pair.p_value is None else replace(pair, p_value=next(adjusted)) for pair in pairs]
    return Comparison(measure, pairs)


def _select(results: Results, selector: Selector) -> Arm:
    """Raises UsageError where nothing fits, or where what fits differs in more than the seed."""
    label, named = selector.label, ",".join([selector.label, *map("=".join, selector.conditions)])
    labels = {evaluation.training.record.label for evaluation in results.evaluations}
    if label not in labels:
        raise unknown(f"law in {selector.folder},", label, labels)
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
    described = description(evaluation) | {
        "K": evaluation.record.steps,
        "test set": evaluation.record.test_set,
    }
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


def _compared(a: Arm, b: Arm, measure: Measure) -> Pair:
    """The pair, its p-value not yet adjusted. Raises UsageError where the two cannot be compared."""
    _check_comparable(a, b, measure.metric)
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
    evaluations = [(arm.selector.label, e) for arm in (a, b) for e in arm.by_seed.values()]
    examples = [
        {
            "task": e.training.record.task,
            **{name: str(value) for name, value in e.training.record.data.items()},
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


def _mcnemar(a: Arm, b: Arm, seeds: Iterable[int], metric: str) -> dict[int, stats.PairedTest]:
    """By seed; nothing for a metric that does not say of each example whether it is right."""
    tests: dict[int, stats.PairedTest] = {}
    for seed in seeds:
        outcomes = [arm.by_seed[seed].outcomes() for arm in (a, b)]
        if all(metric in each and each[metric].isin([0, 1]).all() for each in outcomes):
            tests[seed] = stats.paired_proportions(*(each[metric].to_numpy() > 0.5 for each in outcomes))
    return tests


def _names(a: Arm, b: Arm) -> tuple[str, str, str]:
    """Each by its law and by what was asked for or tells the two apart; and the K that they share."""
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


def verdicts(comparison: Comparison) -> list[str]:
    """A sentence for each pair, and one on the single models where both decode the same."""
    sentences = []
    for pair in comparison.pairs:
        said = _verdict(pair, pair.test, comparison) if pair.test else _no_test(pair, comparison)
        sentences.append(said)
        if pair.same_models and len(pair.models) > 1:
            counts = "; ".join(
                f"seed {seed}: {model.first_only} and {model.second_only} (p {_p(model.p_value)})"
                for seed, model in pair.models.items()
            )
            sentences.append(
                f"Examples that only {pair.first} and only {pair.second} got right, model by model "
                f"(McNemar's exact test, not adjusted): {counts}."
            )
    return sentences


def _verdict(pair: Pair, test: stats.SeedTest, comparison: Comparison) -> str:
    measure, both, where = comparison.measure, f"{pair.first} and {pair.second}", _where(pair, comparison)
    mean = measure.difference(test.difference.estimate)
    difference = f"{mean} {measure.bounds(test.difference)}"
    p = f"p {_p(pair.p_value)}" if comparison.tests == 1 else f"Holm-adjusted p {_p(pair.p_value)}"
    tested = f"{'paired' if test.paired else 'unpaired, Welch'} t-test, {p}"
    different = pair.p_value is not None and pair.p_value < LEVEL
    if test.equivalence_p < LEVEL:
        equivalent = f"{both} are equivalent {measure.within}{where}"
        if different:
            return f"{equivalent}, though the difference of {difference} {pair.over} is not zero ({tested})."
        return (
            f"{equivalent}: {mean} {measure.bounds(test.within)}, 90 %, {pair.over} (two one-sided t-tests, "
            f"p {_p(test.equivalence_p)})."
        )
    if different:
        more, less = ("better", "worse") if measure.headline else ("higher", "lower")
        word = more if test.difference.estimate > 0 else less
        return f"{pair.first} is {word} than {pair.second}{where}: {difference} {pair.over} ({tested})."
    level = LEVEL / comparison.tests
    needed = stats.seeds_needed(test.difference.estimate, test.deviation, measure.margin, level)
    already = needed.to_be_equivalent is not None and needed.to_be_equivalent <= min(map(len, pair.seeds))
    return (
        f"Too few to tell: {both} differ by {difference}{where} {pair.over}; if a difference of this size is "
        f"real, {_about(needed.to_differ)} seeds would show it ({100 * stats.POWER:g} % power); if there is "
        f"none, {_about(needed.to_be_equivalent)} seeds {'should already' if already else 'would'} show that "
        f"they are equal {measure.within}."
    )


def _no_test(pair: Pair, comparison: Comparison) -> str:
    measure = comparison.measure
    differ = f"{pair.first} and {pair.second} differ by {measure.difference(pair.means[0] - pair.means[1])}"
    where = _where(pair, comparison)
    if pair.several:
        return (
            f"Too few to tell: {differ}{where} {pair.over}, and these seeds show no spread to judge that by; "
            "more are needed."
        )
    if pair.seeds[0] != pair.seeds[1]:
        return f"Too few to tell: {differ}{where} {pair.over}; each needs two or more, or one in common."
    said = "the law; on this one model" if pair.same_models else "the laws; on this pair of models"
    shown = [
        f" {measure.bounds(model.difference)} (Newcombe, 90 %; McNemar p {_p(pair.p_value)})"
        for model in pair.models.values()
    ]
    return f"One seed: nothing can be said about {said}, {differ}{''.join(shown)}{where}."


def comparison_table(comparison: Comparison) -> Table:
    """For a terminal: a line per pair."""
    measure, several = comparison.measure, comparison.tests > 1
    unit = ", %; differences in points" if measure.headline else ""
    table = Table(title=f"{in_words(measure.metric)}{unit}", title_justify="left", show_lines=True)
    table.add_column("first\nsecond")
    p = "p, Holm" if several else "p"
    for head in ("seeds", "mean", "difference\n[95 %]\n[90 %]", p, "d_z\n[95 %]", "p, equi-\nvalence"):
        table.add_column(escape(head), justify="right", no_wrap=True)
    for pair in comparison.pairs:
        table.add_row(*map(escape, _row(pair, measure)))
    table.caption = (
        "The seed is the unit. difference: first - second. d_z: mean / standard deviation of the seeds' "
        f"differences. Equivalence: the 90 % interval lies {measure.within} of zero (two one-sided tests)."
        + (
            " p of the difference is adjusted by Holm's method, that of equivalence is not."
            if several
            else ""
        )
    )
    table.caption_justify = "left"
    return table


def _row(pair: Pair, measure: Measure) -> list[str]:
    means = [f"{100 * mean:.1f}" if measure.headline else f"{mean:.4g}" for mean in pair.means]
    difference = measure.signed(pair.means[0] - pair.means[1])
    row = [
        f"{pair.first}\n{pair.second}{pair.at}",
        "\n".join(str(len(s)) for s in pair.seeds),
        "\n".join(means),
    ]
    if pair.test is None:
        return [*row, difference, "n/a", "n/a", "n/a"]
    bounds = [measure.bounds(interval) for interval in (pair.test.difference, pair.test.within)]
    d_z = pair.test.effect
    effect = "n/a" if d_z is None else f"{d_z.estimate:+.2f}\n[{d_z.low:+.2f}, {d_z.high:+.2f}]"
    p_values = [_p(p).removeprefix("= ") for p in (pair.p_value, pair.test.equivalence_p)]
    return [*row, "\n".join([difference, *bounds]), p_values[0], effect, p_values[1]]


def _where(pair: Pair, comparison: Comparison) -> str:
    measure = comparison.measure
    return pair.at if measure.headline else f" in {in_words(measure.metric)}{pair.at}"


def _p(p: float | None) -> str:
    return "n/a" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _about(seeds: int | None) -> str:
    return f"more than {stats.MOST_SEEDS}" if seeds is None else f"about {seeds}"
