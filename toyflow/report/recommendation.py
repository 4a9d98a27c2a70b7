"""`toyflow recommend`: the rule that chooses a schedule and a number of steps, its reasons, its check.

Over 300 lines, as all three read the same table of candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.errors import ToyflowError
from toyflow.report.compare import compare, default_margin
from toyflow.report.probe_report import Probed
from toyflow.report.results import Results
from toyflow.report.tables import in_words
from toyflow.report.verdicts import LEVEL, verdicts

ROUNDING = 1e-9
"""A score that falls short by the margin and no more is within it, whatever the last digit."""


@dataclass(frozen=True)
class Yardstick:
    """The metric to choose by. Shares, for which higher is better, are written in per cent and points."""

    metric: str
    headline: bool
    share: bool
    lower_is_better: bool
    margin: float | None = None
    """Largest shortfall from the best that a schedule or a K may have, in the metric's unit; None for 2
    points of a share, and a tenth of the best mean of another metric."""

    def scores(self, results: Results) -> pd.DataFrame:
        """A row per decoding: label, steps, seed and `value`, for which higher is better."""
        frame = results.frame
        value = frame["score"] if self.headline else frame[self.metric]
        return frame[["label", "steps", "seed"]].assign(value=self.sign * value)

    @property
    def sign(self) -> int:
        """1 or -1: multiplied by it, a value of `scores` is the metric's own."""
        return -1 if self.lower_is_better else 1

    def allowed(self, best: float) -> float:
        """The margin, where the best mean is `best`."""
        return default_margin(self.share, best) if self.margin is None else self.margin

    def shown(self, value: float) -> str:
        """The metric as it is read: `87.1 %`."""
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"

    def size(self, difference: float) -> str:
        """A difference: `2 points`."""
        return f"{100 * difference:.3g} points" if self.share else f"{difference:.3g}"


@dataclass(frozen=True)
class ChosenPair:
    """A schedule and a number of steps, beside the pair with the best mean; the means are the metric's."""

    schedule: str
    """The schedule's label in tables; the objective's where that is not flow."""
    steps: int
    mean: float
    best_schedule: str
    best_steps: int
    best_mean: float
    fewest_steps: int
    """The fewest steps that were tried."""


@dataclass(frozen=True)
class Recommendation:
    """What short trainings say of a setting."""

    yardstick: Yardstick
    choice: ChosenPair
    candidates: pd.DataFrame
    """A row per schedule: the metric's mean in each K (columns `K=1`, ...), and by the probe, where the
    objective has a velocity, `noise_end_mse`, `one_step_gap_rms`, `outcome_changed`."""
    sentences: Sequence[str]
    """The choice beside what it was chosen from, and what the seeds can tell."""
    setting: Mapping[str, Any]
    """What it holds for, and what was run: task, data, model, recipe, seeds, seconds, ..."""
    probe_steps: int | None
    """K of the probe's long paths; None where nothing was probed."""


@dataclass(frozen=True)
class Regret:
    """A choice held against a full sweep of its setting."""

    choice: ChosenPair
    by_seed: Sequence[float]
    """Regret for each seed: the score of the pair of schedule and K with the best mean over these seeds,
    minus the chosen pair. The best is the luckiest too, so this is on the large side."""
    best_schedule: str
    best_steps: int
    left_out: Sequence[tuple[str, int]]
    """Pairs that lack one of the seeds, or have a value that is no number there."""

    @property
    def mean(self) -> float:
        """Mean regret over seeds."""
        return sum(self.by_seed) / len(self.by_seed)


def choose(scores: pd.DataFrame, yardstick: Yardstick) -> ChosenPair:
    """The rule: of all pairs of schedule and K, take the best mean over seeds; then the fewest steps K in
    which some schedule comes within the margin of it; then the schedule that is best in that K.

    So one step is asked for unless it costs more than the margin, and the schedule is that which suits the K.
    `scores` has label, steps, seed, value, more being better; a pair with a value that is no number is out.

    Raises:
        ToyflowError: no pair is left.
    """
    means = scores.groupby(["steps", "label"], sort=False)["value"].agg(
        lambda values: values.mean(skipna=False)
    )
    means = means[np.isfinite(means)]
    if means.empty:
        raise ToyflowError(f"no schedule has a {in_words(yardstick.metric)} that is a number on every seed.")
    best = means.max()
    top_steps, top_schedule = means.idxmax()  # pyright: ignore[reportGeneralTypeIssues]
    tried = sorted(means.index.get_level_values("steps").unique())
    enough = best - yardstick.allowed(best) - ROUNDING
    steps = next(k for k in tried if means[k].max() >= enough)
    at = means[steps]
    mean, top_mean = yardstick.sign * at.max(), yardstick.sign * best
    return ChosenPair(
        str(at.idxmax()), int(steps), mean, str(top_schedule), int(top_steps), top_mean, int(tried[0])
    )


def recommend_from(
    results: Results,
    probed: Probed | None,
    yardstick: Yardstick,
    others: Sequence[Yardstick],
    setting: Mapping[str, Any],
) -> Recommendation:
    """The choice by `results` of short trainings of one setting, and what is said for it; also what the
    `others` would have chosen."""
    scores = yardstick.scores(results)
    choice = choose(scores, yardstick)
    candidates = yardstick.sign * scores.pivot_table("value", "label", "steps", sort=False)
    candidates.columns = [f"K={steps}" for steps in candidates.columns]
    if probed is not None:
        candidates = candidates.join(_by_schedule(probed))
    sentences = [_of_steps(choice, yardstick), *_of_schedules(results, choice, yardstick)]
    sentences += [_by_another(results, choice, other) for other in others]
    steps = None if probed is None else int(probed.paths["steps"].iloc[0])
    return Recommendation(yardstick, choice, candidates, sentences, setting, steps)


def regret(full: Results, choice: ChosenPair, yardstick: Yardstick) -> Regret | None:
    """How far the choice falls short of the best of a full sweep, on the seeds that the chosen pair has
    there; None if it has none."""
    by_seed = yardstick.scores(full).pivot_table("value", "seed", ["label", "steps"], dropna=False)
    chosen = (choice.schedule, choice.steps)
    if chosen not in by_seed or by_seed[chosen].isna().all():
        return None
    on_seeds = by_seed[by_seed[chosen].notna()]
    complete = on_seeds.dropna(axis=1)
    schedule, steps = best = complete.mean().idxmax()  # pyright: ignore[reportGeneralTypeIssues]
    tried = by_seed.columns[by_seed.notna().any()]
    left_out = [(str(schedule), int(steps)) for schedule, steps in tried.difference(complete.columns)]
    return Regret(choice, (complete[best] - complete[chosen]).tolist(), str(schedule), int(steps), left_out)


def regret_sentence(found: Regret | None, yardstick: Yardstick) -> str:
    """The regret as a sentence for a terminal."""
    if found is None:
        return "The full sweep does not hold this choice, so nothing can be said of it."
    seeds = f"{len(found.by_seed)} seed{'s' * (len(found.by_seed) > 1)}"
    missing = ", ".join(f"{schedule} at K = {steps}" for schedule, steps in found.left_out)
    note = f" Not on all of these seeds, so left out: {missing}." if missing else ""
    start = f"Held against the full sweep ({seeds}): "
    if (found.best_schedule, found.best_steps) == (found.choice.schedule, found.choice.steps):
        return f"{start}its best is this choice.{note}"
    interval = stats.over_seeds(found.by_seed) if stats.has_spread(found.by_seed) else None
    scale, unit = (100, " points") if yardstick.share else (1, "")
    bounds = f" [{scale * interval.low:+.3g}, {scale * interval.high:+.3g}]" if interval else ""
    return (
        f"{start}its best is {found.best_schedule} at K = {found.best_steps}; {found.choice.schedule} at K = "
        f"{found.choice.steps} is {scale * found.mean:.3g}{unit}{bounds} short of that.{note}"
    )


def recommendation_table(found: Recommendation) -> Table:
    """Table for a terminal: a line per candidate, the chosen pair bold."""
    yardstick, choice = found.yardstick, found.choice
    table = Table(title=f"{in_words(yardstick.metric)} of short trainings", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    heads = {
        "noise_end_mse": "MSE\ns=1",
        "one_step_gap_rms": "gap\nRMS",
        "outcome_changed": "outcome\nchanged",
    }
    for name in found.candidates.columns:
        table.add_column(heads.get(name, name.replace("=", " = ")), justify="right", no_wrap=True)
    for schedule, row in found.candidates.iterrows():
        cells = []
        for name, value in row.items():
            if pd.isna(value):
                cells.append("[dim]n/a[/]")
            elif name in heads:
                cells.append(f"{value:.1%}" if name == "outcome_changed" else f"{value:.3f}")
            else:
                chosen = schedule == choice.schedule and name == f"K={choice.steps}"
                cells.append(f"[bold green]{yardstick.shown(value)}[/]" if chosen else yardstick.shown(value))
        table.add_row(escape(str(schedule)), *cells)
    probe = (
        " MSE: of the velocity at pure noise; gap: of a sample in 1 step from the one in "
        f"{found.probe_steps}, per element, and how often the outcome differs."
    )
    table.caption = "Means over seeds." + (probe if found.probe_steps else "")
    table.caption_justify = "left"
    return table


def recommendation_sentences(found: Recommendation) -> list[str]:
    """The advice, what is said for it, its cost."""
    choice, ran = found.choice, found.setting
    threads = f"{ran['threads']} thread{'s' * (ran['threads'] > 1)}"
    return [
        f"Train with {choice.schedule} and decode in {choice.steps} step{'s' * (choice.steps > 1)}.",
        *found.sentences,
        f"Cost: {ran['trainings']} trainings of {ran['short_iterations']} iterations (of "
        f"{ran['iterations']}), {ran['seconds']:.0f} s of work with decoding and probing ({threads} on "
        f"{ran['device']}).",
    ]


def _of_steps(choice: ChosenPair, yardstick: Yardstick) -> str:
    margin = yardstick.size(yardstick.allowed(choice.best_mean))
    if (choice.schedule, choice.steps) == (choice.best_schedule, choice.best_steps):
        start = (
            f"K: {choice.schedule} at K = {choice.steps} scored best of all, {yardstick.shown(choice.mean)}"
        )
    else:
        start = (
            f"K: the best was {choice.best_schedule} at K = {choice.best_steps}, "
            f"{yardstick.shown(choice.best_mean)}; {choice.schedule} at K = {choice.steps}, "
            f"{yardstick.shown(choice.mean)}, is within {margin} of it"
        )
    fewer = f", and no schedule comes within {margin} of it in fewer steps"
    return f"{start}{fewer if choice.steps > choice.fewest_steps else ''}."


def _of_schedules(results: Results, choice: ChosenPair, yardstick: Yardstick) -> list[str]:
    """What the seeds can tell of the chosen schedule and the others in the chosen K."""
    at = yardstick.scores(results)
    at = at[at["steps"] == choice.steps]
    known = at.groupby("label", sort=False)["value"].agg(lambda values: bool(np.isfinite(values).all()))
    odd = [f"Left out, as it has no number there: {label}." for label in known.index[~known]]
    others = [str(label) for label in known.index[known] if label != choice.schedule]
    if not others:
        return [*odd, "Schedule: there was no other candidate in this K."]
    margin = yardstick.allowed(choice.best_mean) * (100 if yardstick.headline else 1)
    metric = None if yardstick.headline else yardstick.metric
    folder = results.evaluations[0].training.folder.parent
    comparison = compare(folder, [choice.schedule, *others], [choice.steps], metric, margin, results)
    told = [p for p in comparison.pairs if p.test and p.p_value is not None and p.p_value < LEVEL]
    if len(told) == len(others):
        start = f"Schedule: these seeds tell {choice.schedule} from every other candidate"
    elif told:
        beaten = " and ".join(pair.second for pair in told)
        start = f"Schedule: these seeds tell {choice.schedule} from {beaten} only"
    else:
        start = (
            f"Schedule: {choice.schedule} has the best mean, but these seeds do not tell it from the others, "
            "so it is a guess"
        )
    chosen_by_them = "; it was chosen on the same seeds, which flatters it." if told else "."
    return [*odd, start + chosen_by_them, *verdicts(comparison)]


def _by_another(results: Results, choice: ChosenPair, other: Yardstick) -> str:
    """What another metric of the task would have chosen."""
    name = in_words(other.metric)
    try:
        found = choose(other.scores(results), other)
    except ToyflowError as error:
        return f"By {name}: {error}"
    said = f"{found.schedule} at K = {found.steps} ({other.shown(found.mean)})"
    alike = (found.schedule, found.steps) == (choice.schedule, choice.steps)
    return f"By {name}{', too' if alike else ' it would be'}: {said}."


def _by_schedule(probed: Probed) -> pd.DataFrame:
    errors = probed.errors[probed.errors["seed"].notna()]
    noise_end = errors[errors["noise_level"] == errors["noise_level"].max()]
    paths = probed.paths[probed.paths["seed"].notna()].groupby("label")
    measures = paths[["one_step_gap_rms", "outcome_changed"]].mean()
    measures.insert(0, "noise_end_mse", noise_end.groupby("label")["mse"].mean())
    return measures
