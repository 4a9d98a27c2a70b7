"""`toyflow recommend`: the rule that chooses a law and a number of steps, its evidence, its check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.report.compare import compare
from toyflow.report.probe import Probed
from toyflow.report.results import Results
from toyflow.report.tables import MARGIN, in_words
from toyflow.report.verdicts import LEVEL, verdicts

MARGIN_OF_OTHERS = 0.1
"""Of a metric that is not the headline, as a share of the best mean."""


@dataclass(frozen=True)
class Yardstick:
    """The metric by which is chosen. Sizes of differences are written in points for the headline."""

    metric: str
    headline: bool
    lower_is_better: bool
    margin: float | None = None
    """What a law or a K may fall short of the best, in the metric's unit; None for 2 points of the headline
    and a tenth of the best mean of another metric."""

    def scores(self, results: Results) -> pd.DataFrame:
        """label, steps, seed and `value`, of which more is better."""
        frame = results.frame
        value = frame["score"] if self.headline else frame[self.metric]
        return frame[["label", "steps", "seed"]].assign(value=self.sign * value)

    @property
    def sign(self) -> int:
        """Times a value of `scores`, it is the metric's own."""
        return -1 if self.lower_is_better else 1

    def allowed(self, best: float) -> float:
        """The margin, where the best mean is `best`."""
        if self.margin is not None:
            return self.margin
        return MARGIN if self.headline else MARGIN_OF_OTHERS * abs(best)

    def shown(self, value: float) -> str:
        """The metric as it is read: `87.1 %`."""
        return f"{100 * value:.1f} %" if self.headline else f"{value:.4g}"

    def size(self, difference: float) -> str:
        """A difference: `2 points`."""
        return f"{100 * difference:.3g} points" if self.headline else f"{difference:.3g}"


@dataclass(frozen=True)
class Choice:
    """A law and a number of steps, beside the pair with the best mean; the means are the metric's."""

    law: str
    steps: int
    mean: float
    best_law: str
    best_steps: int
    best_mean: float


@dataclass(frozen=True)
class Recommendation:
    """What short trainings say of a setting."""

    yardstick: Yardstick
    choice: Choice
    candidates: pd.DataFrame
    """A row per law: the metric's mean in each K (columns `K=1`, ...), and by the probe, where the law has
    a velocity, `noise_end_mse`, `one_step_gap_rms`, `outcome_changed`."""
    sentences: Sequence[str]
    cost: Mapping[str, float]
    """trainings, iterations (of each), full_iterations, seconds (of one core, all trainings and
    decodings)."""


@dataclass(frozen=True)
class Regret:
    """A choice held against a full sweep of its setting."""

    choice: Choice
    by_seed: Sequence[float]
    """Best pair of law and K, by its mean over these seeds, minus the chosen pair; for each seed. The best is
    the luckiest too, so this is on the large side."""
    best_law: str
    best_steps: int

    @property
    def mean(self) -> float:
        """Over seeds."""
        return sum(self.by_seed) / len(self.by_seed)


def choose(scores: pd.DataFrame, yardstick: Yardstick) -> Choice:
    """The rule: of all pairs of law and K, take the best mean over seeds; then the fewest steps K in which
    some law comes within the margin of it; then the law that is best in that K.

    So one step is asked for unless it costs more than the margin, and the law is that which suits the K.
    `scores` has label, steps, seed, value, more being better.
    """
    means = scores.groupby(["steps", "label"], sort=False)["value"].mean()
    best = means.max()
    top_steps, top_law = means.idxmax()  # pyright: ignore[reportGeneralTypeIssues]
    for steps in sorted(means.index.get_level_values("steps").unique()):
        at = means[steps]
        if best - at.max() <= yardstick.allowed(best):
            mean, top_mean = yardstick.sign * at.max(), yardstick.sign * best
            return Choice(str(at.idxmax()), int(steps), mean, str(top_law), int(top_steps), top_mean)
    raise ValueError("no scores to choose from")


def recommend_from(
    results: Results, probed: Probed | None, yardstick: Yardstick, cost: Mapping[str, float]
) -> Recommendation:
    """The choice by `results` of short trainings of one setting, with its evidence in words."""
    scores = yardstick.scores(results)
    choice = choose(scores, yardstick)
    candidates = yardstick.sign * scores.pivot_table("value", "label", "steps", sort=False)
    candidates.columns = [f"K={steps}" for steps in candidates.columns]
    if probed is not None:
        candidates = candidates.join(_by_law(probed))
    sentences = [_of_steps(choice, yardstick), *_of_laws(results, choice, yardstick)]
    return Recommendation(yardstick, choice, candidates, sentences, cost)


def regret(full: Results, choice: Choice, yardstick: Yardstick) -> Regret | None:
    """How far the choice falls short of the best of a full sweep; None if the choice is not in it."""
    scores = yardstick.scores(full)
    by_seed = scores.pivot_table("value", "seed", ["label", "steps"]).dropna(axis=1)
    chosen = (choice.law, choice.steps)
    if chosen not in by_seed:
        return None
    best = by_seed.mean().idxmax()
    law, steps = best  # pyright: ignore[reportGeneralTypeIssues]
    return Regret(choice, (by_seed[best] - by_seed[chosen]).tolist(), str(law), int(steps))


def regret_sentence(found: Regret | None, yardstick: Yardstick) -> str:
    """For a terminal."""
    if found is None:
        return "The full sweep does not hold this choice, so nothing can be said of it."
    seeds = len(found.by_seed)
    interval = stats.over_seeds(found.by_seed) if seeds > 1 else None
    scale, unit = (100, " points") if yardstick.headline else (1, "")
    bounds = f" [{scale * interval.low:+.3g}, {scale * interval.high:+.3g}]" if interval else ""
    return (
        f"Held against the full sweep: its best is {found.best_law} at K = {found.best_steps}; "
        f"{found.choice.law} at K = {found.choice.steps} is {scale * found.mean:.3g}{unit}{bounds} short "
        f"of that ({seeds} seed{'s' * (seeds > 1)})."
    )


def recommendation_table(found: Recommendation) -> Table:
    """For a terminal: a line per candidate, the chosen pair bold."""
    yardstick, choice = found.yardstick, found.choice
    table = Table(title=f"{in_words(yardstick.metric)} of short trainings", title_justify="left")
    table.add_column("law", no_wrap=True)
    heads = {
        "noise_end_mse": "MSE\ns=1",
        "one_step_gap_rms": "gap\nRMS",
        "outcome_changed": "outcome\nchanged",
    }
    for name in found.candidates.columns:
        table.add_column(heads.get(name, name.replace("=", " = ")), justify="right", no_wrap=True)
    for law, row in found.candidates.iterrows():
        cells = []
        for name, value in row.items():
            if pd.isna(value):
                cells.append("[dim]n/a[/]")
            elif name in heads:
                cells.append(f"{value:.1%}" if name == "outcome_changed" else f"{value:.3f}")
            else:
                chosen = law == choice.law and name == f"K={choice.steps}"
                cells.append(f"[bold green]{yardstick.shown(value)}[/]" if chosen else yardstick.shown(value))
        table.add_row(escape(str(law)), *cells)
    table.caption = (
        "Means over seeds. MSE: of the velocity at pure noise; gap: of a sample in 1 step from the one in "
        "50, per element, and how often the outcome differs."
    )
    table.caption_justify = "left"
    return table


def recommendation_sentences(found: Recommendation) -> list[str]:
    """The advice, its evidence, its cost."""
    choice, cost = found.choice, found.cost
    return [
        f"Train with {choice.law} and decode in {choice.steps} step{'s' * (choice.steps > 1)}.",
        *found.sentences,
        f"Cost: {cost['trainings']:.0f} trainings of {cost['iterations']:.0f} iterations (of "
        f"{cost['full_iterations']:.0f}), {cost['seconds']:.0f} s of one core with their decodings.",
    ]


def _of_steps(choice: Choice, yardstick: Yardstick) -> str:
    margin = yardstick.size(yardstick.allowed(choice.best_mean))
    if (choice.law, choice.steps) == (choice.best_law, choice.best_steps):
        start = f"K: {choice.law} at K = {choice.steps} scored best of all, {yardstick.shown(choice.mean)}"
    else:
        start = (
            f"K: the best was {choice.best_law} at K = {choice.best_steps}, "
            f"{yardstick.shown(choice.best_mean)}; {choice.law} at K = {choice.steps}, "
            f"{yardstick.shown(choice.mean)}, is within {margin} of it"
        )
    fewer = f", and no law comes within {margin} of it in fewer steps" if choice.steps > 1 else ""
    return f"{start}{fewer}."


def _of_laws(results: Results, choice: Choice, yardstick: Yardstick) -> list[str]:
    """Whether the seeds tell the chosen law from the others in the chosen K."""
    at = results.frame[results.frame["steps"] == choice.steps]
    others = [label for label in dict.fromkeys(at["label"]) if label != choice.law]
    if not others:
        return ["Law: there was no other candidate in this K."]
    margin = yardstick.allowed(choice.best_mean) * (100 if yardstick.headline else 1)
    metric = None if yardstick.headline else yardstick.metric
    folder = results.evaluations[0].training.folder.parent
    comparison = compare(folder, [choice.law, *others], [choice.steps], metric, margin, results)
    told = [p for p in comparison.pairs if p.test and p.p_value is not None and p.p_value < LEVEL]
    if len(told) == len(others):
        start = f"Law: the seeds tell {choice.law} from every other candidate."
    elif told:
        start = f"Law: the seeds tell {choice.law} from {' and '.join(pair.second for pair in told)} only."
    else:
        start = (
            f"Law: {choice.law} has the best mean, but these seeds do not tell it from the others; take that "
            "as a guess."
        )
    return [start, *verdicts(comparison)]


def _by_law(probed: Probed) -> pd.DataFrame:
    errors = probed.errors[probed.errors["seed"].notna()]
    noise_end = errors[errors["noise_level"] == errors["noise_level"].max()]
    paths = probed.paths[probed.paths["seed"].notna()].groupby("label")
    measures = paths[["one_step_gap_rms", "outcome_changed"]].mean()
    measures.insert(0, "noise_end_mse", noise_end.groupby("label")["mse"].mean())
    return measures
