"""What the study claims of its toy, what we add, and how results bear on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toyflow.report.evidence import (
    ANY,
    Contrast,
    Data,
    Judgement,
    both_halves,
    conclude,
    contrast,
    decide,
    defaults_of,
    difference,
    is_current,
    laws_are,
    listed,
    percent,
    tidy,
    unique,
)
from toyflow.report.results import Results
from toyflow.report.tables import MARGIN
from toyflow.sweep.store import StoredTraining
from toyflow.training import LOSS_BINS

NOISE_BIASED = ("shift:3", "shift:4", "shift:8", "shift:4@beta", "shift:8@beta")
"""The study's laws that spend most of the training near the noise end."""
CLEARLY = 0.10
"""A difference of proportions that is more than a matter of degree."""
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
    decodings = tidy(folders, {finding.task for finding in FINDINGS})
    return [(finding, _judged(finding, decodings)) for finding in FINDINGS]


def _judged(finding: Finding, decodings: pd.DataFrame) -> Judgement:
    """By the recipe with most seeds, of these the longest training, of these the most decodings; what others
    say is added."""
    rows = decodings[(decodings["task"] == finding.task) & (decodings["times"] == "stratified")]
    rows, defaults = rows[rows["sampler"] == "euler"], defaults_of(finding.task)
    judged = [
        (judgement, (group["drawn"].iloc[0], len(group)), str(recipe))
        for recipe, group in rows.groupby("recipe")
        if (judgement := finding.judge(Data(group, defaults))) is not None
    ]
    if not judged:
        return Judgement("no data here", f"It needs {finding.needs}.")
    judged.sort(key=lambda of: (is_current(of[2]), of[0].seeds, of[1]), reverse=True)
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


def _noise_biased_in_one_step(data: Data) -> Judgement | None:
    uniform, biased = data.flow("uniform", 1), data.flow(NOISE_BIASED, 1)
    over = contrast(biased, uniform)
    if over is None:
        return None
    single = {
        law: contrast(biased[biased["schedule"] == law], uniform) for law in biased["schedule"].unique()
    }
    by_law = "; ".join(f"{law} {difference(of)}" for law, of in single.items() if of)
    verdict = decide([over], 0.0)
    evidence = (
        f"In one step {laws_are(over)} right on {percent(over.first)}, uniform on "
        f"{percent(over.second)}: {difference(over)}. Each against uniform: {by_law}"
    )
    return conclude(verdict, evidence, over)


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
        f"the difference is {difference(larger)}"
    )
    scores = [biased.first, biased.second, uniform.first, uniform.second]
    return conclude(decide([larger], 0.0), evidence, larger, of=scores)


def _one_step_is_enough(data: Data) -> Judgement | None:
    many = data.many()
    over = _few_and_many(data, NOISE_BIASED, many)
    if over is None:
        return None
    laws = {law: _few_and_many(data, law, many) for law in data.flow(ANY, 1)["schedule"].unique()}
    by_law = "; ".join(f"{law} {difference(of, confidence=0.9)}" for law, of in laws.items() if of)
    evidence = (
        f"Under noise-biased laws K = 1 minus K = {many} is {difference(over, confidence=0.9)}; not worse "
        f"means above -{100 * MARGIN:g}, by the 90 % interval. By law: {by_law}"
    )
    return conclude(decide([over], -MARGIN, equivalence=True), evidence, over)


def _encoder_raises_the_ceiling(data: Data) -> Judgement | None:
    sizes = {size: data.flow(ANY, ANY, encoder=size) for size in ("small", "base", "large")}
    alike = ["schedule", "steps"]
    lower = contrast(sizes["base"], sizes["small"], alike=alike)
    upper = contrast(sizes["large"], sizes["base"], alike=alike)
    if lower is None or upper is None:
        return None
    evidence = (
        f"base minus small {difference(lower)}, large minus base {difference(upper)}; "
        f"small is at {percent(lower.second)}, base at {percent(upper.second)}, large at "
        f"{percent(upper.first)}, mean over {listed(upper.laws)} and all K"
    )
    return conclude(decide([lower, upper], 0.0), evidence, lower, upper)


def _decoder_does_not_make_up(data: Data) -> Judgement | None:
    weak = data.flow(ANY, ANY, encoder="small", decoder="large")
    alike = ["schedule", "steps"]
    behind = contrast(data.flow(ANY, ANY), weak, alike=alike)
    if behind is None:
        return None
    gained = contrast(weak, data.flow(ANY, ANY, encoder="small"), alike=alike)
    by_decoder = f"; with the small encoder, the large decoder brings {difference(gained)}" if gained else ""
    evidence = (
        f"Encoder and decoder base are right on {percent(behind.first)}, encoder small with decoder "
        f"large on {percent(behind.second)}: {difference(behind)}{by_decoder}"
    )
    return conclude(decide([behind], 0.0), evidence, behind)


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
    over = Contrast(score, 0 * score + STUDY_BASELINE, unique(rows["folder"].tolist()))
    short = Contrast(over.second, over.first, over.folders)
    verdict = decide([over, short], -CLEARLY)
    evidence = (
        f"The baseline of width 256 and depth 4 is right on {percent(score)}: {difference(over)} from the "
        f"study's {STUDY_BASELINE:.0%}, where about means within {100 * CLEARLY:g}"
    )
    beside = _autoregressive(data, "256x4")
    return conclude(verdict, evidence, over, of=[score, beside.second] if beside else [score])


def _baseline_must_grow(data: Data) -> Judgement | None:
    small, large = _autoregressive(data, "256x4"), _autoregressive(data, "512x8")
    if small is None:
        return None
    far = decide([Contrast(small.second, small.first, small.folders)], NEAR)
    near = f", where near means within {100 * NEAR:g}"
    at_small = f"Autoregressive minus flow in many steps is {difference(small)} at 256 x 4"
    if large is None:  # it need not grow where it is near already; else the large one must tell
        return conclude(far, at_small + near, small) if far == "disagree" else None
    alike = len(data.flow(ANY, ANY, decoder="512x8"))
    beside = "" if alike else " (beside flow with the default decoder, as there is none of that size)"
    evidence = f"{at_small} and {difference(large)} at 512 x 8{beside}{near}"
    return conclude(both_halves(far, decide([large], -NEAR)), evidence, small, large)


def _image_contrast(data: Data, first: pd.DataFrame, alike: Sequence[str], name: str) -> Judgement | None:
    """`first` against flow in many steps, by the Frechet distance, where there is one."""
    many = data.many(dataset=ANY)
    good = data.flow(ANY, many, dataset=ANY)
    distance = contrast(first, good, "frechet_distance", alike)
    accuracy = contrast(good, first, "score", alike)
    if accuracy is None or (many == 1):
        return None
    seen = (
        f"the class is seen in {percent(accuracy.second)} against {percent(accuracy.first)} for flow in "
        f"{many} steps"
    )
    if distance is None:
        return conclude(decide([accuracy], 0.0), f"With {name} {seen}: {difference(accuracy)}", accuracy)
    evidence = (
        f"{name[0].upper()}{name[1:]} has a Fréchet distance (lower is better) of "
        f"{distance.first.mean():.2f}, flow in {many} steps of {distance.second.mean():.2f}: "
        f"{difference(distance, '')}; {seen}"
    )
    seen_in = [accuracy.first, accuracy.second]
    return conclude(decide([distance], 0.0), evidence, distance, of=seen_in)


def _pure_noise_draws_badly(data: Data) -> Judgement | None:
    return _image_contrast(data, data.pick(objective="pure-noise", dataset=ANY), ["dataset"], "pure-noise")


def _one_step_draws_worse(data: Data) -> Judgement | None:
    return _image_contrast(data, data.flow(ANY, 1, dataset=ANY), ["dataset", "schedule"], "one step of flow")


def _uniform_reads_late(data: Data) -> Judgement | None:
    rows = data.flow(("uniform", *NOISE_BIASED), ANY, attention="joint").drop_duplicates("training_key")
    read_at = rows["training"].map(_read_at)
    last = rows["training"].map(lambda training: float(training.curve()["iteration"].iloc[-1]))
    rows = rows.assign(read_at=read_at.fillna(last), never=read_at.isna(), steps=0)
    uniform = rows["schedule"] == "uniform"
    later = contrast(rows[uniform], rows[~uniform], "read_at")
    if later is None:
        return None
    evidence = (
        f"Under joint attention the noise-end loss falls below {READ_LOSS} after {later.first.mean():.0f} "
        f"iterations with uniform, after {later.second.mean():.0f} with noise-biased laws: "
        f"{difference(later, 'iterations')}"
    )
    for name, part in (("uniform", rows[uniform]), ("noise-biased", rows[~uniform])):
        if part["never"].any():
            never = f"{part['never'].sum()} of {len(part)} {name} models"
            evidence += f"; {never} never got there and count as of the last iteration"
    verdict = decide([later], 0.0)
    if later.seeds > 1 and rows.loc[uniform, "never"].all() and not rows.loc[~uniform, "never"].any():
        verdict = "agree"  # no spread to test, and nothing to doubt
    return conclude(verdict, evidence, later, of=[rows["score"]])


def _read_at(training: StoredTraining) -> float:
    """The iteration by which the noise-end loss fell below `READ_LOSS`; NaN if it never did."""
    curve = training.curve()
    below = curve[curve[NOISE_END] < READ_LOSS]
    return float(below["iteration"].iloc[0]) if len(below) else float("nan")


def _uniform_ends_lower(data: Data) -> Judgement | None:
    biased, uniform = (data.flow(law, ANY, attention="joint") for law in (NOISE_BIASED, "uniform"))
    over = contrast(biased, uniform, alike=["steps"])
    if over is None:
        return None
    steps = sorted(set(biased["steps"]) & set(uniform["steps"]))
    by_steps = "; ".join(
        f"K = {k} {difference(at)}"
        for k in steps
        if (at := contrast(biased[biased["steps"] == k], uniform[uniform["steps"] == k]))
    )
    evidence = (
        f"Under joint attention {laws_are(over)} right on {percent(over.first)}, uniform on "
        f"{percent(over.second)}, mean over K: {difference(over)}. By K: {by_steps}"
    )
    return conclude(decide([over], 0.0), evidence, over)


def _between(low: float, high: float) -> Callable[[str], bool]:
    return lambda value: low <= float(value) <= high


def _dial_steps(
    data: Data, metric: str, among: str | None = None, **wanted: Any
) -> tuple[int, Contrast | None]:
    """Many, and one step minus many, where several tiles are ambiguous, `among` so many modes."""
    wanted |= {"modes": among or _between(2, 10), "tiles": _between(2, 16)}
    many = data.many(**wanted)
    one, ten = (data.flow(ANY, k, **wanted) for k in (1, many))
    alike = ["schedule", "modes", "certainty", "tiles"]
    return many, contrast(one, ten, metric, alike) if many > 1 else None


def _modes(data: Data, **wanted: Any) -> list[str]:
    """How many modes there are in what was run."""
    return sorted(set(data.flow(ANY, 1, modes=ANY, **wanted)["modes"]), key=int)


def _one_step_mixes_modes(data: Data) -> Judgement | None:
    fair = {"coupling": "coupled", "certainty": _between(0, 0)}
    told, learned = [], []
    for modes in _modes(data, **fair):
        many, over = _dial_steps(data, "valid", **fair, among=modes)
        if over is None:
            continue
        said = f"with {modes} modes {percent(over.first)} at K = 1 and {percent(over.second)} at K = {many}"
        if max(over.first.mean(), over.second.mean()) > CLEARLY:
            learned.append(Contrast(over.second, over.first, over.folders))
            told.append(f"{said}, {difference(over)}")
        else:
            told.append(f"{said}, which is nothing learned, and no evidence")
    if not learned:
        return None
    evidence = (
        f"One fair die for all tiles; possible outcomes: {'; '.join(told)}; clearly means by more than "
        f"{100 * CLEARLY:g} points"
    )
    return conclude(decide(learned, CLEARLY), evidence, *learned)


def _one_step_takes_the_likeliest(data: Data) -> Judgement | None:
    many, over = _dial_steps(data, "tile_accuracy", coupling="independent", certainty=_between(0.01, 0.99))
    if over is None:
        return None
    evidence = (
        f"With a die for each tile, one face being likelier, {percent(over.first)} of the tiles are right "
        f"at K = 1 and {percent(over.second)} at K = {many}: {difference(over)}"
    )
    return conclude(decide([over], 0.0), evidence, over)


def _one_step_loses_modes(data: Data) -> Judgement | None:
    coupled = {"coupling": "coupled", "certainty": _between(0.01, 0.99)}
    many, farther = _dial_steps(data, "total_variation", **coupled)
    if farther is None:
        return None
    told, single, valid = [], [], []
    for modes in _modes(data, **coupled):
        _, over = _dial_steps(data, "total_variation", **coupled, among=modes)
        _, possible = _dial_steps(data, "valid", **coupled, among=modes)
        if over is None or possible is None:
            continue
        single.append(over)
        valid += [possible.first, possible.second]
        told.append(
            f"with {modes} modes {over.first.mean():.2f} at K = 1, {over.second.mean():.2f} at K = {many}, "
            f"{difference(over, '')}, and possible outcomes {percent(possible.first)} and "
            f"{percent(possible.second)}"
        )
    evidence = (
        f"One die for all tiles, one face being likelier; total variation to the truth: {'; '.join(told)}"
    )
    return conclude(decide(single, 0.0), evidence, *single, of=valid) if single else None


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
        cost = ""
        if np.isfinite(dearer):
            times = f"{dearer:.2g}"
            cost = ", at flow's training cost" if times == "1" else f", {times} times flow's training cost"
        calls = f"{rows['model_calls'].iloc[0]} call{'s' if rows['model_calls'].iloc[0] > 1 else ''}"
        told.append(f"{name} ({calls}{cost}) {difference(over, confidence=0.9)}")
    if not found:
        return None
    evidence = (
        f"One-step flow under {listed(unique(sorted(flow['schedule'])))} is right on "
        f"{percent(flow['score'])}. Flow minus each, under the same law where it has one: "
        f"{'; '.join(told)}; not worse means above -{100 * MARGIN:g}, by the 90 % interval"
    )
    verdict = decide([*found.values()], -MARGIN, equivalence=True)
    missing = [name for name in FEW_STEP if name not in found]
    if missing:
        verdict = "undecided" if verdict == "agree" else verdict
        evidence += f". Not run here: {listed(missing)}"
    return conclude(verdict, evidence, *found.values())


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
        "7a", "Where one hidden choice among equals couples all tokens, one step is clearly worse than many.",
        "Ours: the mean, which one step aims at, falls between joint modes of equal weight.",
        ours=True, task=DIAL, judge=_one_step_mixes_modes,
        needs="flow with coupling = coupled, certainty = 0, at K = 1 and many",
    ),
    Finding(
        "7b", "Where each token has a choice of its own, one step beats many in accuracy by token.",
        "Ours: the code nearest to the mean is the likeliest one, right with max p, a sample with sum p².",
        ours=True, task=DIAL, judge=_one_step_takes_the_likeliest,
        needs="flow with coupling = independent, certainty between 0 and 1, at K = 1 and many",
    ),
    Finding(
        "7c", "Where the choice is coupled and one mode is likelier, one step names it and loses the others.",
        "Ours: the code nearest to the mean is then a valid outcome, and always the same.",
        ours=True, task=DIAL, judge=_one_step_loses_modes,
        needs="flow with coupling = coupled, certainty between 0 and 1, at K = 1 and many",
    ),
    Finding(
        "8", "Few-step methods are not needed: one step of noise-biased flow is not worse than any of them.",
        "Claimed for regression, MeanFlow, shortcut and consistency, which the study does not run.",
        ours=False, task=GRID, judge=_few_step_methods_are_not_needed,
        needs="flow under a shift law at K = 1, and the objectives it is held against",
    ),
)  # fmt: skip
