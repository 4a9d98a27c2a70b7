"""How results of `grid-to-sequence` are held against claims 1 to 4, 6 and 8 of `findings`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toyflow.report.contrasts import Contrast, contrast
from toyflow.report.effects import Effect, by_schedule, difference, listed, percent
from toyflow.report.evidence import ANY, Data, unique
from toyflow.report.judgement import Judgement, conclude, decide, schedules_are
from toyflow.sweep.stored import StoredTraining
from toyflow.training import LOSS_BINS

NOISE_BIASED = ("shift:3", "shift:4", "shift:8", "shift:4@beta", "shift:8@beta")
"""The paper's schedules that spend most of the training near the noise end."""
CLEARLY = 0.10
"""A difference of proportions that is more than a matter of degree."""
NEAR = 0.05
"""Scores within this of each other are near."""
READ_LOSS = 0.5
"""A model whose loss at the noise end is below this has begun to read its condition."""
NOISE_END = f"loss_s{(LOSS_BINS - 1) / LOSS_BINS:.1f}"
"""Column of a training curve."""
FEW_STEP = ("regression", "mip", "shortcut", "consistency", "meanflow")
"""Objectives that must all have been run before anything is said of all."""
OWN_STEPS = {"mip": 2}
"""In how many steps an objective is meant to be decoded, where not in one."""
PAPER_BASELINE = 0.25
"""Exact match of the paper's small autoregressive baseline."""


def noise_biased_in_one_step(data: Data) -> Judgement | None:
    """Claim 1a: the score of noise-biased schedules minus that of uniform, at K = 1."""
    uniform, biased = data.flow("uniform", 1), data.flow(NOISE_BIASED, 1)
    over = contrast(biased, uniform)
    if over is None:
        return None
    single = {
        schedule: contrast(biased[biased["schedule"] == schedule], uniform) for schedule in over.schedules
    }
    evidence = (
        f"In one step {schedules_are(over)} right on {percent(over.first)} of the {data.testbed.unit}, "
        f"uniform on {percent(over.second)}. Each minus uniform: {by_schedule(single)}"
    )
    return conclude(evidence, Effect(f"{listed(over.schedules)} minus uniform, K = 1", over))


def _few_and_many(data: Data, schedule: Any, many: int) -> Contrast | None:
    """One step against many under the same schedules."""
    if many == 1:
        return None
    few, several = data.flow(schedule, 1), data.flow(schedule, many)
    return contrast(few, several, alike=["schedule"])


def gain_is_larger_in_one_step(data: Data) -> Judgement | None:
    """Claim 1b: what noise-biased schedules gain over uniform at K = 1, minus the same at many steps."""
    many = data.many()
    biased, uniform = (_few_and_many(data, schedule, many) for schedule in (NOISE_BIASED, "uniform"))
    larger = biased.minus(uniform) if biased and uniform else None
    if larger is None or biased is None or uniform is None:
        return None
    gains = (
        (of[0] - of[1]).mean() for of in ((biased.first, uniform.first), (biased.second, uniform.second))
    )
    one, ten = (f"{100 * gain:+.1f} points" for gain in gains)
    single = {
        schedule: of.minus(uniform)
        for schedule in biased.schedules
        if (of := _few_and_many(data, schedule, many))
    }
    evidence = (
        f"The gain of {listed(biased.schedules)} over uniform is {one} at K = 1 and {ten} at K = {many}. The "
        f"difference of these gains for each: {by_schedule(single)}"
    )
    scores = [biased.first, biased.second, uniform.first, uniform.second]
    return conclude(evidence, Effect(f"gain at K = 1 minus gain at K = {many}", larger), of=scores)


def one_step_is_enough(data: Data) -> Judgement | None:
    """Claim 1c: K = 1 minus many steps under noise-biased schedules, held against the margin."""
    many, margin = data.many(), data.testbed.margin
    over = _few_and_many(data, NOISE_BIASED, many)
    if over is None:
        return None
    single = {schedule: _few_and_many(data, schedule, many) for schedule in over.schedules}
    others = {
        schedule: of
        for schedule in data.flow(ANY, 1)["schedule"].unique()
        if schedule not in single and (of := _few_and_many(data, schedule, many))
    }
    beside = "; ".join(f"{schedule} {difference(of, confidence=0.9)}" for schedule, of in others.items())
    evidence = (
        f"Not worse means above -{100 * margin:g} points. Each noise-biased schedule: "
        f"{by_schedule(single, -margin, 'not worse')}"
        + (f". Not part of the verdict: {beside}" if beside else "")
    )
    name = f"K = 1 minus K = {many} under {listed(over.schedules)}"
    return conclude(evidence, Effect(name, over, -margin, "not worse"))


def one_step_is_as_good_as_uniform(data: Data) -> Judgement | None:
    """Claim 1d: K = 1 under noise-biased schedules minus many steps under uniform, against the margin."""
    many, margin = data.many(), data.testbed.margin
    one, several = data.flow(NOISE_BIASED, 1), data.flow("uniform", many)
    over = contrast(one, several) if many > 1 else None
    if over is None:
        return None
    single = {
        schedule: of
        for schedule in over.schedules
        if (of := contrast(one[one["schedule"] == schedule], several))
    }
    evidence = (
        f"In one step {schedules_are(over)} right on {percent(over.first)} of the {data.testbed.unit}, "
        f"uniform in {many} on {percent(over.second)}. Not worse means above -{100 * margin:g} points. Each "
        f"noise-biased schedule: {by_schedule(single, -margin, 'not worse')}"
    )
    name = f"K = 1 under {listed(over.schedules)} minus K = {many} under uniform"
    return conclude(evidence, Effect(name, over, -margin, "not worse"))


def encoder_raises_the_ceiling(data: Data) -> Judgement | None:
    """Claim 2: encoder base minus small, and large minus base."""
    sizes = {size: data.flow(ANY, ANY, encoder=size) for size in ("small", "base", "large")}
    alike = ["schedule", "steps"]
    lower = contrast(sizes["base"], sizes["small"], alike=alike)
    upper = contrast(sizes["large"], sizes["base"], alike=alike)
    if lower is None or upper is None:
        return None
    evidence = (
        f"With the encoder small {percent(lower.second)} are right, with base {percent(upper.second)}, with "
        f"large {percent(upper.first)}, mean over {listed(upper.schedules)} and all K"
    )
    return conclude(evidence, Effect("base minus small", lower), Effect("large minus base", upper))


def decoder_does_not_make_up(data: Data) -> Judgement | None:
    """Claim 3: both at base minus a small encoder with a large decoder."""
    weak = data.flow(ANY, ANY, encoder="small", decoder="large")
    alike = ["schedule", "steps"]
    behind = contrast(data.flow(ANY, ANY), weak, alike=alike)
    if behind is None:
        return None
    gained = contrast(weak, data.flow(ANY, ANY, encoder="small"), alike=alike)
    by_decoder = f"; with the small encoder, the large decoder brings {difference(gained)}" if gained else ""
    evidence = (
        f"Encoder and decoder base are right on {percent(behind.first)}, encoder small with decoder "
        f"large on {percent(behind.second)}, mean over {listed(behind.schedules)} and all K{by_decoder}"
    )
    return conclude(evidence, Effect("both base minus encoder small with decoder large", behind))


def _autoregressive(data: Data, decoder: str) -> Contrast | None:
    """The baseline of this decoder against flow in many steps, of the same decoder or else of the default."""
    baseline = data.pick(objective="autoregressive", decoder=decoder)
    same = data.flow(ANY, data.many(decoder=decoder), decoder=decoder)
    return contrast(baseline, same if len(same) else data.flow(ANY, data.many()))


def baseline_is_weak(data: Data) -> Judgement | None:
    """Claim 4a: the small autoregressive baseline minus what the paper reports of its own."""
    rows = data.pick(objective="autoregressive", decoder="256x4")
    if rows.empty:
        return None
    score = rows.groupby("seed")["score"].mean()
    over = Contrast(score, 0 * score + PAPER_BASELINE, unique(rows["folder"].tolist()))
    evidence = (
        f"The baseline of width 256 and depth 4 is right on {percent(score)}; about means within "
        f"{100 * CLEARLY:g} points of the paper's {PAPER_BASELINE:.0%}"
    )
    beside = _autoregressive(data, "256x4")
    effect = Effect(f"the baseline minus the paper's {PAPER_BASELINE:.0%}", over, -CLEARLY, "equivalent")
    return conclude(evidence, effect, of=[score, beside.second] if beside else [score])


def baseline_must_grow(data: Data) -> Judgement | None:
    """Claim 4b: flow in many steps minus the small autoregressive baseline, and the large one minus flow."""
    small, large = _autoregressive(data, "256x4"), _autoregressive(data, "512x8")
    if small is None:
        return None
    near = f"Near means within {100 * NEAR:g} points of flow in {data.many()} steps"
    far = Effect("flow minus autoregressive at 256 x 4", small.reversed(), NEAR)
    if large is None:  # it need not grow where it is near already; else the large one must tell
        return conclude(near, far) if far.verdict == "disagree" else None
    alike = len(data.flow(ANY, ANY, decoder="512x8"))
    beside = "" if alike else "; flow beside 512 x 8 has the default decoder, as there is none of that size"
    return conclude(f"{near}{beside}", far, Effect("autoregressive minus flow at 512 x 8", large, -NEAR))


def uniform_reads_late(data: Data) -> Judgement | None:
    """Claim 6a: the iteration at which a model begins to read its condition, uniform minus noise-biased."""
    rows = data.flow(("uniform", *NOISE_BIASED), ANY, attention="joint").drop_duplicates("training_key")
    read_at = rows["training"].map(_read_at)
    last = rows["training"].map(lambda training: float(training.curve()["iteration"].iloc[-1]))
    rows = rows.assign(read_at=read_at.fillna(last), never=read_at.isna(), steps=0)
    uniform = rows["schedule"] == "uniform"
    biased = unique(sorted(rows.loc[~uniform, "schedule"]))
    later = contrast(rows[uniform], rows[~uniform], "read_at")
    if later is None:
        return None
    evidence = (
        f"Under joint attention the noise-end loss falls below {READ_LOSS} after {later.first.mean():.0f} "
        f"iterations with uniform, after {later.second.mean():.0f} with {listed(biased)}"
    )
    for name, part in (("uniform", rows[uniform]), ("noise-biased", rows[~uniform])):
        if part["never"].any():
            never = f"{part['never'].sum()} of {len(part)} {name} models"
            evidence += f"; {never} never got there and count as of the last iteration"
    effect = Effect(f"uniform minus {listed(biased)}", later, unit="iterations")
    verdict = decide([effect])
    if later.seeds > 1 and rows.loc[uniform, "never"].all() and not rows.loc[~uniform, "never"].any():
        verdict = "agree"  # no spread to test, and nothing to doubt
    return conclude(evidence, effect, verdict=verdict, of=[rows["score"]])


def _read_at(training: StoredTraining) -> float:
    """The iteration by which the noise-end loss fell below `READ_LOSS`; NaN if it never did."""
    curve = training.curve()
    below = curve[curve[NOISE_END] < READ_LOSS]
    return float(below["iteration"].iloc[0]) if len(below) else float("nan")


def uniform_ends_lower(data: Data) -> Judgement | None:
    """Claim 6b: noise-biased schedules minus uniform under joint attention, mean over K."""
    biased, uniform = (data.flow(each, ANY, attention="joint") for each in (NOISE_BIASED, "uniform"))
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
        f"Under joint attention {schedules_are(over)} right on {percent(over.first)}, uniform on "
        f"{percent(over.second)}, mean over K. By K: {by_steps}"
    )
    return conclude(evidence, Effect(f"{listed(over.schedules)} minus uniform, mean over K", over))


def _rates(rows: pd.DataFrame) -> dict[str, str]:
    """The learning rate of each objective."""
    return dict(zip(rows["objective"], rows["learning rate"], strict=True))


def few_step_methods_are_not_needed(data: Data) -> Judgement | None:
    """Claim 8: one step of noise-biased flow minus each other objective, held against the margin. In a
    headline folder each may have a learning rate of its own; see `toyflow.report.claims.settings`."""
    flow, margin = data.flow(NOISE_BIASED, 1), data.testbed.margin
    others = data.pick(objective=lambda name: name not in ("flow", "autoregressive"))
    found, run, rates = [], [], _rates(flow)
    for name in others["objective"].unique():
        rows = data.pick(objective=name, schedule=("", *NOISE_BIASED), steps=OWN_STEPS.get(name, 1))
        over = contrast(flow, rows, alike=["schedule"] if rows["schedule"].any() else [])
        if over is None:
            continue
        dearer = rows["training_flops"].mean() / flow["training_flops"].mean()
        cost = ""
        if np.isfinite(dearer):
            times = f"{dearer:.2g}"
            cost = ", at flow's training cost" if times == "1" else f", {times} times flow's training cost"
        calls = f"{rows['model_calls'].iloc[0]} call{'s' if rows['model_calls'].iloc[0] > 1 else ''}"
        run.append(name)
        rates |= _rates(rows)
        found.append(Effect(f"flow minus {name} ({calls}{cost})", over, -margin, "not worse"))
    if not found:
        return None
    evidence = (
        f"One-step flow under {listed(unique(sorted(flow['schedule'])))} is right on "
        f"{percent(flow['score'])}; not worse means above -{100 * margin:g} points, under the same schedule "
        "where a method has one"
    )
    if len(set(rates.values())) > 1:
        of_rate = {rate: [name for name in rates if rates[name] == rate] for rate in rates.values()}
        told = "; ".join(f"{rate} for {listed(names)}" for rate, names in sorted(of_rate.items()))
        evidence += f". Each has the learning rate that was chosen for it: {told}"
    missing = [name for name in FEW_STEP if name not in run]
    if missing:
        evidence += f". Not run here: {listed(missing)}"
    return conclude(evidence, *found, lacking=f"to run {listed(missing)}" if missing else "")
