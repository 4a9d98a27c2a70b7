"""What the study claims of its toy, what we add, and how results bear on it.

The seed is the unit throughout: a claim is judged by one difference per seed, between results that agree in
the recipe and in everything else that the claim does not name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from toyflow import plugins, stats
from toyflow.report.results import Results
from toyflow.report.tables import MARGIN
from toyflow.sweep.store import StoredEvaluation, StoredTraining
from toyflow.training import LOSS_BINS

Verdict = Literal["agree", "disagree", "undecided", "undecided (one seed)", "no data here"]

NOISE_BIASED = ("shift:3", "shift:4", "shift:8", "shift:4@beta", "shift:8@beta")
"""The study's laws that spend most of the training near the noise end."""
MANY = 10
"""The steps that one step is held against; where these were not run, the most that were."""
CLEARLY = 0.10
"""A difference of proportions that is more than a matter of degree."""
LEARNED = 0.2
"""A score below this says that the task was not learned, and nothing else."""
NEAR = 0.05
"""Scores within this of each other are near."""
READ_LOSS = 0.5
"""A model whose loss at the noise end is below this has begun to read its condition."""
NOISE_END = f"loss_s{(LOSS_BINS - 1) / LOSS_BINS:.1f}"
"""Column of a training curve."""
FEW_STEP = ("regression", "mip", "shortcut", "consistency", "meanflow")
"""Objectives without which nothing is said of all."""
OWN_STEPS = {"mip": 2}
"""In how many steps an objective is meant to be decoded, where not in one."""
STUDY_BASELINE = 0.25
"""Exact match of the study's small autoregressive baseline."""
ANY = None
"""In `Data.pick`: every value."""


@dataclass(frozen=True)
class Judgement:
    """How results bear on a claim."""

    verdict: Verdict
    evidence: str
    folders: tuple[str, ...] = ()
    """Where the results are."""
    seeds: int = 0


@dataclass(frozen=True)
class Data:
    """Decodings of one task under one recipe, a row each; see `tidy`."""

    rows: pd.DataFrame
    defaults: Mapping[str, str]
    """Of the task's options."""

    def pick(self, **wanted: Any) -> pd.DataFrame:
        """Rows in which each named column has the value, one of several values (a tuple), or passes a test
        (a callable). `ANY` lets all through; options of the task that are not named are at their default."""
        rows = self.rows
        for column, value in {**self.defaults, **wanted}.items():
            if value is ANY:
                continue
            if column not in rows:
                return rows.iloc[:0]
            if callable(value):
                rows = rows[rows[column].map(value).astype(bool)]
            else:
                rows = rows[rows[column].isin(value if isinstance(value, tuple) else (value,))]
        return rows

    def flow(self, schedule: Any, steps: Any, **wanted: Any) -> pd.DataFrame:
        """Rows of flow matching."""
        return self.pick(objective="flow", schedule=schedule, steps=steps, **wanted)

    def many(self, **wanted: Any) -> int:
        """`MANY` if flow was decoded so, else the most steps that it was."""
        steps = set(self.flow(ANY, ANY, **wanted)["steps"])
        return MANY if MANY in steps or not steps else max(steps)


@dataclass(frozen=True)
class Contrast:
    """Two means by seed; `first - second` is what is looked at."""

    first: pd.Series
    second: pd.Series
    folders: tuple[str, ...]
    laws: tuple[str, ...] = ()
    """Those of `first`."""

    @property
    def difference(self) -> pd.Series:
        """By seed."""
        return self.first - self.second

    @property
    def seeds(self) -> int:
        """How many."""
        return len(self.first)

    @property
    def has_spread(self) -> bool:
        """Whether there are seeds enough that differ; without, there is no interval."""
        largest = max(self.first.abs().max(), self.second.abs().max())
        return self.seeds > 1 and bool(np.ptp(self.difference) > 1e-6 * largest)

    def interval(self, confidence: float = 0.95) -> stats.Interval:
        """Student's t over seeds."""
        return stats.over_seeds(self.difference.tolist(), confidence)

    def minus(self, other: Contrast) -> Contrast | None:
        """How much larger this difference is than another one."""
        seeds = self.first.index.intersection(other.first.index)
        if seeds.empty:
            return None
        folders = _unique([*self.folders, *other.folders])
        return Contrast(self.difference[seeds], other.difference[seeds], folders)


@dataclass(frozen=True)
class Finding:
    """A claim, and how to hold results against it."""

    name: str
    claim: str
    numbers: str
    """What the study reports; where the claim is ours, why we make it."""
    ours: bool
    task: str
    needs: str
    """What must have been run."""
    judge: Callable[[Data], Judgement | None]
    """None where the data are not there."""


def judge_all(folders: Mapping[str, Results]) -> list[tuple[Finding, Judgement]]:
    """Every finding, by the results of all these folders together."""
    decodings = tidy(folders)
    return [(finding, _judged(finding, decodings)) for finding in FINDINGS]


def tidy(folders: Mapping[str, Results]) -> pd.DataFrame:
    """A row per decoding: folder, task, objective, schedule ("" for none), seed, steps, model_calls, score,
    its metrics, the task's options by name, recipe and cell in words, training (the stored model) and keys. A
    cell is all that tells models apart but for the seed. What lies in two folders is listed once, tasks of no
    claim are left out."""
    judged = {finding.task for finding in FINDINGS}
    rows = [
        _row(name, evaluation)
        for name, results in folders.items()
        for evaluation in results.evaluations
        if _task(evaluation) in judged
    ]
    columns = None if rows else ["task", "times", "sampler", "recipe", "training_key", "evaluation_key"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(
        ["training_key", "evaluation_key"], ignore_index=True
    )


def contrast(
    first: pd.DataFrame, second: pd.DataFrame, value: str = "score", alike: Sequence[str] = ()
) -> Contrast | None:
    """`first` against `second` on the seeds they share, each seed's mean over what every seed has, where the
    columns `alike` have values that both have. None where they share nothing."""
    seeds = set(first["seed"]) & set(second["seed"])
    first, second = (_complete(rows, value, seeds) for rows in (first, second))
    keys = list(alike)
    if keys:
        shared = pd.MultiIndex.from_frame(first[keys]).intersection(pd.MultiIndex.from_frame(second[keys]))
        first, second = (rows[pd.MultiIndex.from_frame(rows[keys]).isin(shared)] for rows in (first, second))
    if first.empty or second.empty:
        return None
    one, other = (
        rows.groupby(["seed", *keys])[value].mean().groupby("seed").mean() for rows in (first, second)
    )
    folders, laws = _unique([*first["folder"], *second["folder"]]), _unique(sorted(first["schedule"]))
    return Contrast(one, other, folders, laws)


def _row(folder: str, evaluation: StoredEvaluation) -> dict[str, Any]:
    training, record = evaluation.training, evaluation.training.record
    task = _task(evaluation)
    setting = {
        "task version": record.task.removeprefix(task),
        **{name.replace("_", " "): f"{value:g}" for name, value in record.recipe.items()},
        "recipe version": record.recipe_version,
        "noise seed": evaluation.record.noise_seed,
        "test set": evaluation.record.test_set,
    }
    options = {**_defaults(task), **record.data, **record.model}
    return {
        **options,
        **evaluation.details["metrics"],
        "score": evaluation.score,
        "folder": folder,
        "task": task,
        "objective": record.objective,
        "schedule": record.schedule or "",
        "times": record.time_sampling or "stratified",
        "sampler": evaluation.record.sampler or "euler",
        "seed": record.seed,
        "steps": evaluation.record.steps,
        "model_calls": evaluation.details["model_calls"],
        "training_flops": training.details.get("training_flops", np.nan),
        "recipe": ", ".join(f"{name} {value}" for name, value in setting.items() if value != ""),
        "drawn": record.recipe.get("iterations", 0) * record.recipe.get("batch_size", 1),
        "cell": repr((record.objective, record.schedule, sorted(options.items()))),
        "training": training,
        "training_key": record.key,
        "evaluation_key": evaluation.record.key,
    }


def _defaults(task: str) -> dict[str, str]:
    """The task's options at their default."""
    data, model = plugins.load("tasks", task).choose({})
    return {**data, **model}


def _task(evaluation: StoredEvaluation) -> str:
    """Its name without the version."""
    return re.sub(r"-v\d+$", "", evaluation.training.record.task)


def _complete(rows: pd.DataFrame, value: str, seeds: set[int]) -> pd.DataFrame:
    """Rows of these seeds with a value, without those whose like some seed lacks."""
    if value not in rows:
        return rows.iloc[:0]
    rows = rows[rows["seed"].isin(seeds) & rows[value].notna()]
    return rows[rows.groupby(["cell", "steps"])["seed"].transform("nunique") == len(seeds)]


def _judged(finding: Finding, decodings: pd.DataFrame) -> Judgement:
    """By the recipe with most seeds, of these the longest training; what others say is added."""
    rows = decodings[(decodings["task"] == finding.task) & (decodings["times"] == "stratified")]
    rows, defaults = rows[rows["sampler"] == "euler"], _defaults(finding.task)
    judged = [
        (judgement, group["drawn"].iloc[0], str(recipe))
        for recipe, group in rows.groupby("recipe")
        if (judgement := finding.judge(Data(group, defaults))) is not None
    ]
    if not judged:
        return Judgement("no data here", f"It needs {finding.needs}.")
    judged.sort(key=lambda of: (-of[0].seeds, -of[1]))
    (best, *_), *others = judged
    if not others:
        return best
    own, *rest = _told_apart([recipe for *_, recipe in judged])
    said = "; ".join(f"{other.verdict} ({recipe})" for (other, *_), recipe in zip(others, rest, strict=True))
    evidence = f"{best.evidence} This is by {own}; other recipes in these results: {said}."
    return Judgement(best.verdict, evidence, best.folders, best.seeds)


def _told_apart(recipes: Sequence[str]) -> list[str]:
    """Each without what all have."""
    parts = [recipe.split(", ") for recipe in recipes]
    return [", ".join(part for part in of if not all(part in each for each in parts)) for of in parts]


def _decide(contrasts: Sequence[Contrast], floor: float, equivalence: bool = False) -> Verdict:
    """`agree` where every difference is shown to lie above `floor` at 5 %, `disagree` where one is shown to
    lie below (Bonferroni); one-sided where it is a matter of `equivalence`, as is its custom."""
    level = 0.10 if equivalence else 0.05
    if min(each.seeds for each in contrasts) < 2:
        return "undecided (one seed)"
    if not all(each.has_spread for each in contrasts):
        return "undecided"
    if all(each.interval(1 - level).low > floor for each in contrasts):
        return "agree"
    if any(each.interval(1 - level / len(contrasts)).high < floor for each in contrasts):
        return "disagree"
    return "undecided"


def _both(first: Verdict, second: Verdict) -> Verdict:
    """Of a claim with two halves."""
    order: tuple[Verdict, ...] = ("undecided (one seed)", "disagree", "undecided", "agree")
    return order[min(order.index(first), order.index(second))]


def _judgement(
    verdict: Verdict, evidence: str, *contrasts: Contrast, of: Sequence[pd.Series] = ()
) -> Judgement:
    """Undecided where no model has learned the task, by the scores `of`, else by those in the contrasts."""
    scores = of or [values for each in contrasts for values in (each.first, each.second)]
    if max(values.mean() for values in scores) < LEARNED:
        verdict = "undecided" if verdict in ("agree", "disagree") else verdict
        evidence += f". None of these models has learned the task: all are below {100 * LEARNED:g} %"
    seeds = min(each.seeds for each in contrasts)
    told = (
        f"{evidence} ({seeds} seeds)." if seeds > 1 else f"{evidence} (seed {contrasts[0].first.index[0]})."
    )
    folders = _unique([folder for each in contrasts for folder in each.folders])
    return Judgement(verdict, told, folders, seeds)


def _difference(of: Contrast, unit: str = "points", confidence: float = 0.95) -> str:
    """`+2.4 points [+1.1, +3.6]`; in points, proportions are multiplied by 100."""
    factor, digits = (100, 1) if unit == "points" else (1, 0 if unit == "iterations" else 2)
    mean = f"{factor * of.difference.mean():+.{digits}f}" + (f" {unit}" if unit else "")
    if of.seeds < 2:
        return mean
    if not of.has_spread:
        return f"{mean} on every seed"
    interval = of.interval(confidence)
    bounds = ", ".join(f"{factor * bound:+.{digits}f}" for bound in (interval.low, interval.high))
    return f"{mean} [{bounds}]"


def _percent(values: pd.Series) -> str:
    return f"{100 * values.mean():.1f} %"


def _listed(names: Sequence[Any]) -> str:
    """`a, b and c`."""
    *rest, last = [str(name) for name in names]
    return f"{', '.join(rest)} and {last}" if rest else last


def _laws_are(of: Contrast) -> str:
    return f"{_listed(of.laws)} {'are together' if len(of.laws) > 1 else 'is'}"


def _unique(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _noise_biased_in_one_step(data: Data) -> Judgement | None:
    uniform, biased = data.flow("uniform", 1), data.flow(NOISE_BIASED, 1)
    over = contrast(biased, uniform)
    if over is None:
        return None
    single = {
        law: contrast(biased[biased["schedule"] == law], uniform) for law in biased["schedule"].unique()
    }
    by_law = "; ".join(f"{law} {_difference(of)}" for law, of in single.items() if of)
    verdict = _decide([over], 0.0)
    evidence = (
        f"In one step {_laws_are(over)} right on {_percent(over.first)}, uniform on "
        f"{_percent(over.second)}: {_difference(over)}. Each against uniform: {by_law}"
    )
    return _judgement(verdict, evidence, over)


def _few_and_many(data: Data, schedule: Any, many: int) -> Contrast | None:
    """One step against many under the same laws."""
    if many == 1:
        return None
    return contrast(data.flow(schedule, 1), data.flow(schedule, many), alike=["schedule"])


def _gain_is_larger_in_one_step(data: Data) -> Judgement | None:
    many = data.many()
    biased, uniform = (_few_and_many(data, law, many) for law in (NOISE_BIASED, "uniform"))
    larger = biased.minus(uniform) if biased and uniform else None
    if larger is None or biased is None or uniform is None:
        return None
    gains = (
        (of[0] - of[1]).mean() for of in ((biased.first, uniform.first), (biased.second, uniform.second))
    )
    one, ten = (f"{100 * gain:+.1f} points" for gain in gains)
    evidence = (
        f"Over uniform, noise-biased laws gain {one} at K = 1 and {ten} at K = {many}; "
        f"the difference is {_difference(larger)}"
    )
    scores = [biased.first, biased.second, uniform.first, uniform.second]
    return _judgement(_decide([larger], 0.0), evidence, larger, of=scores)


def _one_step_is_enough(data: Data) -> Judgement | None:
    many = data.many()
    over = _few_and_many(data, NOISE_BIASED, many)
    if over is None:
        return None
    laws = {law: _few_and_many(data, law, many) for law in data.flow(ANY, 1)["schedule"].unique()}
    by_law = "; ".join(f"{law} {_difference(of, confidence=0.9)}" for law, of in laws.items() if of)
    evidence = (
        f"Under noise-biased laws K = 1 minus K = {many} is {_difference(over, confidence=0.9)}; not worse "
        f"means above -{100 * MARGIN:g}, by the 90 % interval. By law: {by_law}"
    )
    return _judgement(_decide([over], -MARGIN, equivalence=True), evidence, over)


def _encoder_raises_the_ceiling(data: Data) -> Judgement | None:
    sizes = {size: data.flow(ANY, ANY, encoder=size) for size in ("small", "base", "large")}
    alike = ["schedule", "steps"]
    lower = contrast(sizes["base"], sizes["small"], alike=alike)
    upper = contrast(sizes["large"], sizes["base"], alike=alike)
    if lower is None or upper is None:
        return None
    evidence = (
        f"base minus small {_difference(lower)}, large minus base {_difference(upper)}; "
        f"small is at {_percent(lower.second)}, base at {_percent(upper.second)}, large at "
        f"{_percent(upper.first)}, mean over {_listed(upper.laws)} and all K"
    )
    return _judgement(_decide([lower, upper], 0.0), evidence, lower, upper)


def _decoder_does_not_make_up(data: Data) -> Judgement | None:
    weak = data.flow(ANY, ANY, encoder="small", decoder="large")
    alike = ["schedule", "steps"]
    behind = contrast(data.flow(ANY, ANY), weak, alike=alike)
    if behind is None:
        return None
    gained = contrast(weak, data.flow(ANY, ANY, encoder="small"), alike=alike)
    by_decoder = f"; with the small encoder, the large decoder brings {_difference(gained)}" if gained else ""
    evidence = (
        f"Encoder and decoder base are right on {_percent(behind.first)}, encoder small with decoder "
        f"large on {_percent(behind.second)}: {_difference(behind)}{by_decoder}"
    )
    return _judgement(_decide([behind], 0.0), evidence, behind)


def _autoregressive(data: Data, decoder: str) -> Contrast | None:
    """The baseline of this decoder against flow in many steps, of the same decoder or else of the default."""
    baseline = data.pick(objective="autoregressive", decoder=decoder)
    same = data.flow(ANY, data.many(decoder=decoder), decoder=decoder)
    return contrast(baseline, same if len(same) else data.flow(ANY, data.many()))


def _baseline_is_weak(data: Data) -> Judgement | None:
    rows = data.pick(objective="autoregressive", decoder="256x4")
    if rows.empty:
        return None
    score = rows.groupby("seed")["score"].mean()
    over = Contrast(score, 0 * score + STUDY_BASELINE, _unique(rows["folder"].tolist()))
    short = Contrast(over.second, over.first, over.folders)
    verdict = _decide([over, short], -CLEARLY)
    evidence = (
        f"The baseline of width 256 and depth 4 is right on {_percent(score)}: {_difference(over)} from the "
        f"study's {STUDY_BASELINE:.0%}, where about means within {100 * CLEARLY:g}"
    )
    beside = _autoregressive(data, "256x4")
    return _judgement(verdict, evidence, over, of=[score, beside.second] if beside else [score])


def _baseline_must_grow(data: Data) -> Judgement | None:
    small, large = _autoregressive(data, "256x4"), _autoregressive(data, "512x8")
    if small is None:
        return None
    far = _decide([Contrast(small.second, small.first, small.folders)], NEAR)
    near = f", where near means within {100 * NEAR:g}"
    at_small = f"Autoregressive minus flow is {_difference(small)} at 256 x 4"
    if large is None:  # it need not grow where it is near already; else the large one must tell
        return _judgement(far, at_small + near, small) if far == "disagree" else None
    evidence = f"{at_small} and {_difference(large)} at 512 x 8{near}"
    return _judgement(_both(far, _decide([large], -NEAR)), evidence, small, large)


def _image_contrast(data: Data, first: pd.DataFrame, alike: Sequence[str], name: str) -> Judgement | None:
    """`first` against flow in many steps, by the Frechet distance, where there is one."""
    many = data.many(dataset=ANY)
    good = data.flow(ANY, many, dataset=ANY)
    distance = contrast(first, good, "frechet_distance", alike)
    accuracy = contrast(good, first, "score", alike)
    if accuracy is None or (many == 1):
        return None
    seen = (
        f"the class is seen in {_percent(accuracy.second)} against {_percent(accuracy.first)} for flow in "
        f"{many} steps"
    )
    if distance is None:
        return _judgement(_decide([accuracy], 0.0), f"With {name} {seen}: {_difference(accuracy)}", accuracy)
    evidence = (
        f"{name[0].upper()}{name[1:]} has a Fréchet distance (lower is better) of "
        f"{distance.first.mean():.2f}, flow in {many} steps of {distance.second.mean():.2f}: "
        f"{_difference(distance, '')}; {seen}"
    )
    return _judgement(_decide([distance], 0.0), evidence, distance)


def _pure_noise_draws_badly(data: Data) -> Judgement | None:
    return _image_contrast(data, data.pick(objective="pure-noise", dataset=ANY), ["dataset"], "pure-noise")


def _one_step_draws_worse(data: Data) -> Judgement | None:
    return _image_contrast(data, data.flow(ANY, 1, dataset=ANY), ["dataset", "schedule"], "one step of flow")


def _uniform_reads_late(data: Data) -> Judgement | None:
    rows = data.flow(("uniform", *NOISE_BIASED), ANY, attention="joint").drop_duplicates("training_key")
    rows = rows.assign(read_at=rows["training"].map(_read_at), steps=0)
    uniform = rows["schedule"] == "uniform"
    later = contrast(rows[uniform], rows[~uniform], "read_at")
    if later is None:
        return None
    evidence = (
        f"Under joint attention the noise-end loss falls below {READ_LOSS} after {later.first.mean():.0f} "
        f"iterations with uniform, after {later.second.mean():.0f} with noise-biased laws: "
        f"{_difference(later, 'iterations')}"
    )
    return _judgement(_decide([later], 0.0), evidence, later)


def _read_at(training: StoredTraining) -> float:
    """The iteration by which the noise-end loss fell below `READ_LOSS`; the last one if it never did."""
    curve = training.curve()
    below = curve[curve[NOISE_END] < READ_LOSS]
    return float((below if len(below) else curve.tail(1))["iteration"].iloc[0])


def _uniform_ends_lower(data: Data) -> Judgement | None:
    biased, uniform = (data.flow(law, ANY, attention="joint") for law in (NOISE_BIASED, "uniform"))
    over = contrast(biased, uniform, alike=["steps"])
    if over is None:
        return None
    steps = sorted(set(biased["steps"]) & set(uniform["steps"]))
    by_steps = "; ".join(
        f"K = {k} {_difference(at)}"
        for k in steps
        if (at := contrast(biased[biased["steps"] == k], uniform[uniform["steps"] == k]))
    )
    evidence = (
        f"Under joint attention {_laws_are(over)} right on {_percent(over.first)}, uniform on "
        f"{_percent(over.second)}, mean over K: {_difference(over)}. By K: {by_steps}"
    )
    return _judgement(_decide([over], 0.0), evidence, over)


def _between(low: float, high: float) -> Callable[[str], bool]:
    return lambda value: low <= float(value) <= high


def _dial_steps(data: Data, metric: str, **wanted: Any) -> tuple[int, Contrast | None]:
    """Many, and one step minus many, where several tiles are ambiguous."""
    wanted |= {"modes": _between(2, 10), "tiles": _between(2, 16)}
    many = data.many(**wanted)
    one, ten = (data.flow(ANY, k, **wanted) for k in (1, many))
    alike = ["schedule", "modes", "certainty", "tiles"]
    return many, contrast(one, ten, metric, alike) if many > 1 else None


def _one_step_mixes_modes(data: Data) -> Judgement | None:
    many, over = _dial_steps(data, "valid", coupling="coupled", certainty=_between(0, 0.2))
    if over is None:
        return None
    behind = Contrast(over.second, over.first, over.folders)
    evidence = (
        f"With one die for all tiles, at certainty 0.2 or less, {_percent(over.first)} of the outcomes are "
        f"possible ones at K = 1 and {_percent(over.second)} at K = {many}: {_difference(over)}, where "
        f"clearly means by more than {100 * CLEARLY:g}"
    )
    return _judgement(_decide([behind], CLEARLY), evidence, behind)


def _one_step_takes_the_likeliest(data: Data) -> Judgement | None:
    many, over = _dial_steps(data, "tile_accuracy", coupling="independent", certainty=_between(0.01, 0.99))
    if over is None:
        return None
    evidence = (
        f"With a die for each tile, one face being likelier, {_percent(over.first)} of the tiles are right "
        f"at K = 1 and {_percent(over.second)} at K = {many}: {_difference(over)}"
    )
    return _judgement(_decide([over], 0.0), evidence, over)


def _few_step_methods_are_not_needed(data: Data) -> Judgement | None:
    flow = data.flow(NOISE_BIASED, 1)
    others = data.pick(objective=lambda name: name not in ("flow", "autoregressive"))
    found: dict[str, Contrast] = {}
    told: list[str] = []
    for name in others["objective"].unique():
        rows = data.pick(objective=name, schedule=("", *NOISE_BIASED), steps=OWN_STEPS.get(name, 1))
        over = contrast(flow, rows, alike=["schedule"] if rows["schedule"].any() else [])
        if over is None:
            continue
        found[name] = over
        dearer = rows["training_flops"].mean() / flow["training_flops"].mean()
        cost = f", {dearer:.2g} times flow's training cost" if np.isfinite(dearer) else ""
        calls = f"{rows['model_calls'].iloc[0]} call{'s' if rows['model_calls'].iloc[0] > 1 else ''}"
        told.append(f"{name} ({calls}{cost}) {_difference(over, confidence=0.9)}")
    if not found:
        return None
    evidence = (
        f"One-step flow under {_listed(_unique(sorted(flow['schedule'])))} is right on "
        f"{_percent(flow['score'])}. Flow minus each, under the same law where it has one: "
        f"{'; '.join(told)}; not worse means above -{100 * MARGIN:g}, by the 90 % interval"
    )
    verdict = _decide([*found.values()], -MARGIN, equivalence=True)
    missing = [name for name in FEW_STEP if name not in found]
    if missing:
        verdict = "undecided" if verdict == "agree" else verdict
        evidence += f". Not run here: {_listed(missing)}"
    return _judgement(verdict, evidence, *found.values())


NO_NUMBERS = "The reviews of the study print no number for this."
GRID, IMAGES, DIAL = "grid-to-sequence", "class-to-image", "dial"

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "1a", "Training nearer to the noise raises exact match in one step.",
        "LIBERO-Long in one step: uniform 70.2 %, shift:4 85.2 %. For the toy no number.",
        ours=False, task=GRID, judge=_noise_biased_in_one_step,
        needs="flow under uniform and a shift law at K = 1",
    ),
    Finding(
        "1b", "Training nearer to the noise gains most in one step.",
        "LIBERO-Long, shift:4 minus uniform: +15.0 points in one step, -17.4 in ten.",
        ours=False, task=GRID, judge=_gain_is_larger_in_one_step,
        needs="flow under uniform and a shift law at K = 1 and K = 10",
    ),
    Finding(
        "1c", "With training near the noise, one step is not worse than ten.",
        "LIBERO-Long, shift:4: 85.2 % in one step, 63.4 % in ten. LIBERO-Plus: +5.4 points for one step.",
        ours=False, task=GRID, judge=_one_step_is_enough,
        needs="flow under a shift law at K = 1 and K = 10",
    ),
    Finding(
        "2", "A stronger CNN encoder raises the ceiling.", NO_NUMBERS,
        ours=False, task=GRID, judge=_encoder_raises_the_ceiling,
        needs="flow with encoder = small, base and large",
    ),
    Finding(
        "3", "With a weak CNN, a larger decoder does not make up for it.", NO_NUMBERS,
        ours=False, task=GRID, judge=_decoder_does_not_make_up,
        needs="flow with encoder = small, decoder = large and with both at base",
    ),
    Finding(
        "4a", "An autoregressive baseline of width 256 and depth 4 is right on about a quarter.",
        "About 25 % exact match.",
        ours=False, task=GRID, judge=_baseline_is_weak,
        needs="objective autoregressive with decoder = 256x4",
    ),
    Finding(
        "4b", "The autoregressive baseline must grow to width 512 and depth 8 to come near flow.",
        "512 x 8 comes near the diffusion model, 256 x 4 does not.",
        ours=False, task=GRID, judge=_baseline_must_grow,
        needs="objectives autoregressive and flow with decoder = 256x4 and 512x8",
    ),
    Finding(
        "5a", "Where the condition is weak and the target large, training from pure noise does badly.",
        "On CIFAR-10, class to image; no number.",
        ours=False, task=IMAGES, judge=_pure_noise_draws_badly,
        needs="pure-noise at K = 1 and flow at many steps",
    ),
    Finding(
        "5b", "Where the condition is weak and the target large, one step of flow is worse than many.",
        "On CIFAR-10, class to image; no number.",
        ours=False, task=IMAGES, judge=_one_step_draws_worse,
        needs="flow at K = 1 and at many steps",
    ),
    Finding(
        "6a", "With joint attention, uniform learns to read its condition later than noise-biased laws.",
        "Ours: what the laws change may be learning to look, which cross-attention hides.",
        ours=True, task=GRID, judge=_uniform_reads_late,
        needs="flow with attention = joint under uniform and a shift law",
    ),
    Finding(
        "6b", "With joint attention, uniform ends lower than noise-biased laws.",
        "Ours: the other half of 6a.",
        ours=True, task=GRID, judge=_uniform_ends_lower,
        needs="flow with attention = joint under uniform and a shift law",
    ),
    Finding(
        "7a", "Where one hidden choice couples all tokens, one step is clearly worse than many.",
        "Ours: the mean, which one step aims at, falls between joint modes.",
        ours=True, task=DIAL, judge=_one_step_mixes_modes,
        needs="flow with coupling = coupled, certainty of 0.2 or less, at K = 1 and many",
    ),
    Finding(
        "7b", "Where each token has a choice of its own, one step beats many in accuracy by token.",
        "Ours: the code nearest to the mean is the likeliest one, right with max p, a sample with sum p².",
        ours=True, task=DIAL, judge=_one_step_takes_the_likeliest,
        needs="flow with coupling = independent, certainty between 0 and 1, at K = 1 and many",
    ),
    Finding(
        "8", "Few-step methods are not needed: one step of noise-biased flow is not worse than any of them.",
        "Claimed for regression, MeanFlow, shortcut and consistency, which the study does not run.",
        ours=False, task=GRID, judge=_few_step_methods_are_not_needed,
        needs="flow under a shift law at K = 1, and the objectives it is held against",
    ),
)  # fmt: skip
