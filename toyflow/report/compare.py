"""`toyflow compare`: one selection of results against others, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toyflow import stats
from toyflow.errors import UsageError, unknown
from toyflow.report.results import by_example, load_results, prediction_of, set_metrics_of
from toyflow.report.selection import Selection, Selector, select, values_that_vary
from toyflow.report.tables import MARGIN
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.records import TEST_SET
from toyflow.sweep.stored import StoredEvaluation, caveat_of, errors_in_words, on_common_examples
from toyflow.sweep.subject import options_of


@dataclass(frozen=True)
class Pair:
    """Two selections compared; every difference is first - second."""

    first: str
    second: str
    at: str
    """` at K = 1`; nothing where the names say it: where the two differ in K, or decode the same models."""
    seeds: tuple[Sequence[int], Sequence[int]]
    """Training seeds of each selection; the same where the comparison is paired."""
    means: tuple[float, float]
    test: stats.SeedTest | None
    """The test over seeds; None with one seed, and where the seeds show no spread."""
    same_models: bool
    models: Mapping[int, stats.PairedTest]
    """McNemar's test by seed: where both decode the same trained models, and where there is no test over
    seeds."""
    pooled: stats.Interval | None
    """Where there are several seeds, but no test over them: the 90 % interval of the difference by all
    examples of all seeds. It speaks of these models. None of a metric that is not right or wrong."""
    crossed: tuple[stats.Interval, stats.Interval] | None
    """The difference for new seeds and new examples at once (see `toyflow.stats.crossed`), at 95 % and at
    90 %. None without two common seeds, and of a metric that is not of each example."""
    p_value: float | None
    """P-value of the test over seeds, or of McNemar's test where there is one seed, adjusted by Holm's
    method. 1 where seeds show no spread."""
    equivalence_p: float | None
    """P-value of equivalence over seeds, adjusted by Holm's method among those of all pairs. 1 where seeds
    show no spread; None with one seed."""
    confounded: Mapping[str, tuple[str, str]]
    """Values of the settings in which the two differ, where these are more than one."""

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
    """The metric, and how its numbers are written: those of the headline, a proportion, in points."""

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
    caveat: str
    """What to say beside all of the scores, which are of one test set; nothing in most."""
    set_metrics: Sequence[str]
    """Set metrics of the task: computed on all samples together, such as the Fréchet distance."""

    @property
    def tests(self) -> int:
        """How many p-values of differences were adjusted together."""
        return len(self.pairs)


def compare(
    out: Path,
    selectors: Sequence[str],
    steps: Sequence[int] = (1,),
    metric: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """The first selection against each of the others; nothing is written.

    Each is compared in each of the `steps`, unless it names its own K.

    Args:
        margin: in points for the headline, else in the metric's unit; where None, 2 points, else a tenth of
            the first's mean.

    Raises:
        UsageError: selections that name nothing, too much, or share no examples; no such metric.
        DamagedError: a result's file is missing or altered.
    """
    if len(selectors) < 2:
        raise UsageError(f"compare needs two selections or more, got {len(selectors)}.")
    if not steps:
        raise UsageError("compare needs a number of steps K, got none.")
    if margin is not None and not 0 < margin < math.inf:
        raise UsageError(f"--margin must be a number above 0, got {margin:g}.")
    first, *others = (Selector.parse(text, out) for text in selectors)
    folders = {selector.folder for selector in (first, *others)}
    stored = {folder: load_results(existing_store(folder)) for folder in folders}
    headline = stored[first.folder].metric
    measure = Measure(headline if metric is None else metric, metric in (None, headline), MARGIN)
    pairs, caveat, set_metrics = [], "", ()
    for a, b in dict.fromkeys((first.at(k), other.at(k)) for k in steps for other in others):
        if a == b:
            raise UsageError(f"{a.label} at K = {a.steps} would be compared with itself.")
        chosen = select(stored[a.folder], a), select(stored[b.folder], b)
        _check_comparable(*chosen, measure.metric)
        if not pairs:  # one margin for all
            measure = replace(measure, margin=_margin(margin, measure, chosen[0]))
            any_of_first = next(iter(chosen[0].by_seed.values()))
            caveat, set_metrics = caveat_of(any_of_first), set_metrics_of(any_of_first)
        pairs.append(_compared(*chosen, measure))
    p_values = stats.holm([pair.p_value for pair in pairs])
    equivalence = stats.holm([pair.equivalence_p for pair in pairs])
    pairs = [
        replace(pair, p_value=p, equivalence_p=of_equivalence)
        for pair, p, of_equivalence in zip(pairs, p_values, equivalence, strict=True)
    ]
    return Comparison(measure, pairs, caveat, set_metrics)


def _margin(given: float | None, measure: Measure, first: Selection) -> float:
    """The margin in the metric's unit; where none is given, 2 points, else a tenth of the first's mean."""
    if given is not None:
        return given / 100 if measure.headline else given
    if measure.headline:
        return MARGIN
    return abs(float(np.mean(first.values(measure.metric, first.by_seed)))) / 10 or math.ulp(0.0)


def _compared(a: Selection, b: Selection, measure: Measure) -> Pair:
    """The pair, its p-values not yet adjusted."""
    common = sorted(a.by_seed.keys() & b.by_seed.keys())
    seeds = (common, common) if common else (sorted(a.by_seed), sorted(b.by_seed))
    one, two = a.values(measure.metric, seeds[0]), b.values(measure.metric, seeds[1])
    several = min(len(one), len(two)) > 1
    test = stats.seed_test(one, two, measure.margin, paired=bool(common)) if several else None
    same_models = bool(common) and a.keys(common) == b.keys(common)
    models = _mcnemar(a, b, common, measure.metric) if same_models or test is None else {}
    alone = next((model.p_value for model in models.values()), None)
    return Pair(
        *_names(a, b, same_models),
        seeds=seeds,
        means=(float(np.mean(one)), float(np.mean(two))),
        test=test,
        same_models=same_models,
        models=models,
        pooled=_pooled(a, b, measure, models) if several and test is None else None,
        crossed=_crossed(a, b, common, measure.metric) if len(common) > 1 else None,
        p_value=test.p_value if test else 1.0 if several else alone,
        equivalence_p=test.equivalence_p if test else 1.0 if several else None,
        confounded=_confounded(a, b),
    )


def _crossed(
    a: Selection, b: Selection, seeds: Sequence[int], metric: str
) -> tuple[stats.Interval, stats.Interval] | None:
    """See `Pair.crossed`."""
    one, two = (by_example([each.by_seed[seed] for seed in seeds], metric) for each in (a, b))
    if one is None or two is None or one.shape != two.shape or one.shape[1] < 2:
        return None
    outcomes = all(np.isin(each, (0, 1)).all() for each in (one, two))
    within = (-1.0, 1.0) if outcomes else None
    return stats.crossed(one - two, 0.95, within), stats.crossed(one - two, 0.90, within)


def _pooled(
    a: Selection, b: Selection, measure: Measure, models: Mapping[int, stats.PairedTest]
) -> stats.Interval | None:
    """The interval from the examples of all seeds: paired where there are common seeds, else as two
    independent samples."""
    if models:
        return stats.pooled_difference(list(models.values()))
    if a.by_seed.keys() & b.by_seed.keys() or not measure.headline:
        return None
    first, second = (
        (
            sum(round(e.score * e.details["examples"]) for e in selection.by_seed.values()),
            sum(e.details["examples"] for e in selection.by_seed.values()),
        )
        for selection in (a, b)
    )
    return stats.unpaired_difference(first, second)


def _confounded(a: Selection, b: Selection) -> dict[str, tuple[str, str]]:
    """See `Pair.confounded`. What only one of the two has, as a sampler, comes with its objective."""
    settings = [
        {"objective": each.objective, "schedule": each.schedule, "prediction": prediction_of(each)}
        | dict(selection.description)
        for selection in (a, b)
        for each in [next(iter(selection.by_seed.values())).training.record]
    ]
    one, two = settings
    shared = [name for name in one if one[name] is not None and two.get(name) is not None]
    found = {name: (str(one[name]), str(two[name])) for name in shared if one[name] != two[name]}
    return found if len(found) > 1 else {}


def _check_comparable(a: Selection, b: Selection, metric: str) -> None:
    """Raises UsageError where the two cannot be compared."""
    evaluations = [(selection.selector.label, e) for selection in (a, b) for e in selection.by_seed.values()]
    examples = [
        {
            "task": e.training.record.task,
            **_options_of_examples(e),
            "test set": e.record.test_set,
            "noise seed": str(e.record.noise_seed),
            "number of examples": str(e.details["examples"] + e.errors),
        }
        for _, e in evaluations
    ]
    for name, values in values_that_vary(examples).items():
        raise UsageError(
            f"{a.selector.label} and {b.selector.label} share no examples, so cannot be paired: "
            f"{name} {' and '.join(values)}."
        )
    metrics = {name for _, e in evaluations for name in e.details["metrics"]}
    if metric not in metrics:
        raise unknown("metric", metric, metrics)
    for label, e in evaluations:
        if not math.isfinite(e.details["metrics"].get(metric, math.nan)):
            raise UsageError(f"{label}, seed {e.training.record.seed}, has no number for {metric}.")


def _options_of_examples(evaluation: StoredEvaluation) -> dict[str, str]:
    """The data options, which decide the examples of a task's own test set. None for other test sets, such as
    a simulator's: their name says it all, and the options are those of the training data, which may
    differ."""
    return options_of(evaluation.training)[0] if evaluation.record.test_set == TEST_SET else {}


def _mcnemar(a: Selection, b: Selection, seeds: Iterable[int], metric: str) -> dict[int, stats.PairedTest]:
    """McNemar's test by seed; empty for a metric that does not say of each example whether it is right."""
    tests: dict[int, stats.PairedTest] = {}
    for seed in seeds:
        outcomes = on_common_examples(*(selection.by_seed[seed].outcomes() for selection in (a, b)))
        if all(metric in each and each[metric].isin([0, 1]).all() for each in outcomes):
            tests[seed] = stats.paired_proportions(*(each[metric].to_numpy() > 0.5 for each in outcomes))
    return tests


def _names(a: Selection, b: Selection, same_models: bool) -> tuple[str, str, str]:
    """Each by its schedule and by what was asked for or tells the two apart; and the K that they share, which
    is in each name where the two are decodings of the same models."""
    shared = a.description.keys() & b.description.keys()
    telling = {name for name in shared if a.description[name] != b.description[name]}
    with_steps = same_models or "K" in telling
    names = []
    for selection in (a, b):
        shown = telling | {name for name, _ in selection.selector.conditions}
        told = [f"{name}={value}" for name, value in selection.description.items() if name in shown - {"K"}]
        if errors := sum(evaluation.errors for evaluation in selection.by_seed.values()):
            told.append(f"{errors_in_words(errors)} left out")
        if a.selector.folder != b.selector.folder:
            told.append(f"in {selection.selector.folder}")
        name = selection.selector.label + (f" ({', '.join(told)})" if told else "")
        names.append(f"{name} at K = {selection.selector.steps}" if with_steps else name)
    return names[0], names[1], "" if with_steps else f" at K = {a.selector.steps}"
