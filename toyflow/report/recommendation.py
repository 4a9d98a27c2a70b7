"""`toyflow recommend` as a table and sentences, and its check by full trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd
from rich.table import Table

from toyflow import stats
from toyflow.flow.decoding import decoding_label
from toyflow.report.recommendation_rule import DRAWS, FEW, JOINT, MANY, SPREAD, Choice, Evidence, Reason
from toyflow.report.results import Results
from toyflow.report.tables import in_words

TESTED = (
    "In 18 settings whose full sweeps are known, this rule was no better than always predicting the "
    "data in one step with 8 draws. Where a model can be scored, let its scores choose steps and draws."
)
Pair = TypeVar("Pair")
MARGIN, ROUNDING = 0.02, 1e-9
"""How far below the best a cheaper decoding may score, where it is chosen by scores: 2 points of a share."""


@dataclass(frozen=True)
class Yardstick:
    """The metric that is shown. Shares, for which higher is better, are written in per cent and points."""

    metric: str
    headline: bool
    share: bool
    lower_is_better: bool

    def scores(self, results: Results) -> pd.DataFrame:
        """A row per decoding: label, steps, draws, seed and `value`, for which higher is better."""
        frame = results.frame
        value = frame["score"] if self.headline else frame[self.metric]
        return frame[["label", "steps", "draws", "seed"]].assign(value=self.sign * value)

    @property
    def sign(self) -> int:
        """1 or -1: multiplied by it, a value of `scores` is the metric's own."""
        return -1 if self.lower_is_better else 1

    def shown(self, value: float) -> str:
        """The metric as it is read: `87.1 %`."""
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"


@dataclass(frozen=True)
class Stage:
    """A training that the rule looked at."""

    evidence: Evidence
    """Mean over the seeds."""
    scores: Mapping[tuple[int, int], float]
    """The metric by (steps, draws), mean over the seeds; the rule does not read it."""


@dataclass(frozen=True)
class Recommendation:
    """What to train for a setting, how to decode it, and why."""

    yardstick: Yardstick
    choice: Choice
    reason: Reason
    stages: Sequence[Stage]
    """The short training; and the full one, where the short one was unclear."""
    setting: Mapping[str, Any]
    """What it holds for, and what was run: task, data, model, split, recipe, seeds, seconds, ..."""


@dataclass(frozen=True)
class Regret:
    """A choice held against a full sweep of its setting."""

    choice: Choice
    by_seed: Sequence[float]
    """Regret for each seed: the score of what has the best mean over these seeds, minus the choice's. The
    best is the luckiest too, so this is on the large side."""
    best: str
    """What is best: label of the training, steps and draws."""
    left_out: Sequence[str]
    """What lacks one of the seeds, or has a value that is no number there."""

    @property
    def mean(self) -> float:
        """Mean regret over seeds."""
        return sum(self.by_seed) / len(self.by_seed)


def name_of(choice: Choice) -> str:
    """What tables call a choice: `data(shift:4) K=1 M=2`."""
    return f"{choice.label} {decoding_label(choice.steps, None, None, choice.draws)}"


def regret(full: Results, choice: Choice, yardstick: Yardstick) -> Regret | None:
    """How far the choice falls short of the best of a full sweep, on the seeds that the choice has there;
    None if it has none."""
    names = [f"{e.training.record.label} {e.record.label}" for e in full.evaluations]
    by_seed = yardstick.scores(full).assign(name=names).pivot_table("value", "seed", "name", dropna=False)
    chosen = name_of(choice)
    if chosen not in by_seed or by_seed[chosen].isna().all():
        return None
    on_seeds = by_seed[by_seed[chosen].notna()]
    complete = on_seeds.dropna(axis=1)
    best = str(complete.mean().idxmax())
    tried = by_seed.columns[by_seed.notna().any()]
    left_out = [str(name) for name in tried.difference(complete.columns)]
    return Regret(choice, (complete[best] - complete[chosen]).tolist(), best, left_out)


def regret_sentence(found: Regret | None, yardstick: Yardstick) -> str:
    """The regret as a sentence for a terminal."""
    if found is None:
        return "The full sweep does not hold this choice, so nothing can be said of it."
    seeds = f"{len(found.by_seed)} seed{'s' * (len(found.by_seed) > 1)}"
    missing = ", ".join(found.left_out)
    note = f" Not on all of these seeds, so left out: {missing}." if missing else ""
    start = f"Held against the full sweep ({seeds}): "
    chosen = name_of(found.choice)
    if found.best == chosen:
        return f"{start}its best is this choice.{note}"
    interval = stats.over_seeds(found.by_seed) if stats.has_spread(found.by_seed) else None
    scale, unit = (100, " points") if yardstick.share else (1, "")
    bounds = f" [95 %: {scale * interval.low:+.3g}, {scale * interval.high:+.3g}]" if interval else ""
    return (
        f"{start}its best is {found.best}; {chosen} is {scale * found.mean:.3g}{unit}{bounds} short of "
        f"that.{note}"
    )


def cheapest(scores: Mapping[Pair, float], margin: float) -> Pair:
    """The first of `scores`, which are in the order of their cost, that is within `margin` of the highest.

    Example:
        >>> from toyflow.report.recommendation import cheapest
        >>> cheapest({"K=1": 0.87, "K=2": 0.895, "K=10": 0.91}, margin=0.02)
        'K=2'
    """
    enough = max(scores.values()) - margin - ROUNDING
    return next(pair for pair, score in scores.items() if score >= enough)


def recommendation_table(found: Recommendation) -> Table:
    """Table for a terminal: a line per training that the rule looked at, and the scores beside."""
    metric = in_words(found.yardstick.metric)
    table = Table(title="Anatomy of the short training", title_justify="left")
    heads = ("iterations", "variance", "bias^2 +\nspread", "leak", *(f"leak\nM={m}" for m in DRAWS[1:]))
    for head in (*heads, f"spread\nK={MANY}", "joint\nshare"):
        table.add_column(head, justify="right", no_wrap=True)
    decodings = list(found.stages[0].scores)
    for steps, draws in decodings:
        table.add_column(f"{metric}\n{decoding_label(steps, None, None, draws)}", justify="right")
    for stage in found.stages:
        e = stage.evidence
        measures = (
            e.variance,
            e.rest,
            *(e.leak[draws] for draws in DRAWS),
            e.spread,
            e.joint,
        )
        shown = [found.yardstick.shown(stage.scores[pair]) for pair in decodings]
        numbers = ("[dim]n/a[/]" if value is None else f"{value:.2g}" for value in measures)
        table.add_row(str(e.iterations), *numbers, *shown)
    table.caption = (
        "Mean squares per number of the target. Joint share: 0 where every token varies alone, 1 where one "
        "hidden variable moves all. The rule does not read the scores."
    )
    table.caption_justify = "left"
    return table


def recommendation_sentences(found: Recommendation) -> list[str]:
    """The advice, its reasons, what it was found on, and its cost."""
    choice, ran, last = found.choice, found.setting, found.stages[-1].evidence
    how = f"decode in {choice.steps} step{'s' * (choice.steps > 1)}"
    how += f", the mean of {choice.draws} draws" if choice.draws > 1 else ""
    sentences = [f"Train with --schedules {choice.schedule} --predict {choice.prediction} and {how}."]
    if len(found.stages) > 1:
        first = found.stages[0].evidence.iterations
        sentences.append(
            f"{first} iterations were unclear, so the model was trained for all {last.iterations}."
        )
    sentences.append(_steps(found.reason, last))
    if found.reason == "one step":
        sentences.append(_draws(choice, last))
    sentences.append(_by_scores(found))
    trainings = " and one of ".join(str(stage.evidence.iterations) for stage in found.stages)
    threads = f"{ran['threads']} thread{'s' * (ran['threads'] > 1)}"
    sentences += [
        f"Schedule and prediction are always {choice.schedule} and {choice.prediction}. {TESTED}",
        f"Found on {_SPLITS.get(ran['split'], ran['split'])}; seeds {', '.join(map(str, ran['seeds']))}.",
        f"Cost: a training of {trainings} iterations (of {ran['iterations']}) for each seed, "
        f"{ran['seconds']:.0f} s of work with decoding ({threads} on {ran['device']}).",
    ]
    return sentences


def _by_scores(found: Recommendation) -> str:
    """What the scores of the last training would choose."""
    yardstick, scores = found.yardstick, found.stages[-1].scores
    signed = {pair: yardstick.sign * score for pair, score in scores.items()}
    best = max(signed.values())
    margin = MARGIN if yardstick.share else abs(best) / 10
    pair = cheapest(signed, margin)
    alike = pair == (found.choice.steps, found.choice.draws)
    chosen = "the same" if alike else decoding_label(pair[0], None, None, pair[1])
    return (
        f"By {in_words(yardstick.metric)}, which the rule does not read, it would be {chosen}: "
        f"{yardstick.shown(scores[pair])}, where the best has {yardstick.shown(yardstick.sign * best)}."
    )


_SPLITS = {
    "test": "the task's test set, not a validation split: final numbers should be of other examples",
    "validation": "the validation split",
}


def _steps(reason: Reason, e: Evidence) -> str:
    share = f"{e.spread / e.variance:.0%} of the targets' variance"
    if reason == "joint spread" and e.joint is None:
        return (
            f"Ten steps: its samples vary by {share} under one condition, and the mean of numbers, which one "
            "step returns, need not be one of them."
        )
    if reason == "joint spread":
        return (
            f"Ten steps: its samples vary by {share} under one condition, and over the target together "
            f"(joint share {e.joint:.2f}), so that the mean, which one step returns, is none of them."
        )
    if reason == "nothing learned":
        return (
            f"This is no advice but the default: the model explains {1 - e.rest / e.variance:.0%} of the "
            "targets' variance, so it has learned nothing that could be taken apart. Train longer "
            "(--iterations)."
        )
    if e.spread >= SPREAD * e.variance:  # so that joint is known
        return (
            f"One step: samples vary by {share} under one condition, but every token on its own (joint share "
            f"{e.joint:.2f}, below {JOINT:g}), so that the mean is read as the likeliest of each. A training "
            f"too short to learn what couples tokens looks the same: the advice stands if --iterations "
            f"{2 * e.iterations} leaves the joint share below {JOINT:g}."
        )
    little = f"One step: samples in {MANY} steps vary by {share} under one condition: too little to lose."
    if e.rest < SPREAD * e.variance:
        return little
    return (
        f"{little} But one step misses {e.rest / e.variance:.0%}, so a spread may not be learned yet. The "
        f"advice stands if --iterations {2 * e.iterations} leaves the spread below {SPREAD:.0%}."
    )


def _draws(choice: Choice, e: Evidence) -> str:
    left = f"noise leaks {e.leak[FEW]:.2g} into an answer, beside {e.rest:.2g} that no average removes"
    if choice.draws == 1:
        return f"One draw: {left}."
    return f"{choice.draws} draws: {left}; their mean keeps {e.leak[choice.draws]:.2g}."
