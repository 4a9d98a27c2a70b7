"""How results are held against claims 9 to 13 of `findings`: what one step loses, and what recovers it.

A claim about several schedules is judged on their mean. It is also refuted where one schedule alone shows the
contrary (at 5 %, adjusted by Holm's method).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from toyflow.report.contrasts import ByExample, Contrast, contrast, origin
from toyflow.report.effects import Effect, Kind, listed, percent
from toyflow.report.evidence import ANY, VALIDATION, Data
from toyflow.report.judgement import Judgement, conclude
from toyflow.report.paper.chosen import MODEL, Chosen, best_decoding, best_of_both

LEFT = 0.1
"""Claim 10: predicting the data is to leave less than this share of the leak."""
DRAWS = 8
"""Claims 11 and 12: so many draws are averaged."""
NEAR = 0.10
"""Claim 12: a remedy works where it brings one step within this of ten."""
LEAK, BIAS, BIAS_AND_SPREAD = "anatomy leak", "anatomy bias", "anatomy bias_and_spread"
"""Columns of what a probe measured of the model."""


def leak_comes_first(data: Data) -> Judgement | None:
    """Claim 9: of velocity models, leak as a share of leak + bias^2, minus a half.

    Where the probe does not tell bias^2 and spread apart, and the condition does not determine the target,
    the spread counts as bias^2, so that the share is a lower bound.
    """
    rows = _probed(data.flow(ANY, 1))
    told_apart = bool(rows[BIAS].notna().all())
    bias = rows[BIAS if told_apart else BIAS_AND_SPREAD].clip(lower=0)
    rows = rows.assign(share=rows[LEAK] / (rows[LEAK] + bias))
    over = _over_schedules("share of the leak minus a half", rows, rows.assign(share=0.5), "share")
    if over is None:
        return None
    exact = told_apart or data.testbed.determined
    shares = ", ".join(f"{percent(of.first)} under {name}" for name, of in over.parts.items())
    zero = "" if told_apart or not exact else " (taken as zero, as there is one right answer)"
    evidence = (
        f"Of the one-step squared error of velocity models above the task's own spread{zero}, leaked noise "
        f"is {'' if exact else 'at least '}{shares}. Each minus a half: {over.by_schedule()}"
    )
    verdict, lacking = over.verdict, ""
    if not exact and verdict == "disagree":  # the spread may be what is larger
        verdict, lacking = "undecided", "a probe with several targets per condition"
    learned = data.flow(ANY, ANY, draws=ANY, prediction=ANY).groupby(["cell", "steps"])["score"].mean()
    return conclude(evidence, over, verdict=verdict, of=[learned.nlargest(1)], lacking=lacking)


def data_prediction_removes_it(data: Data) -> Judgement | None:
    """Claim 10: a tenth of velocity's leak minus that of data prediction; and the one-step score of data
    prediction minus that of velocity's best decoding under the same schedule."""
    leaks, left = _probed(data.flow(ANY, 1)), _probed(data.flow(ANY, 1, prediction="data"))
    if leaks.empty or left.empty:
        return None
    mean = leaks.groupby("schedule")[LEAK].mean()  # so that both are shares of velocity's leak
    leaks = leaks.assign(left=LEFT * leaks[LEAK] / leaks["schedule"].map(mean))
    left = left.assign(left=left[LEAK] / left["schedule"].map(mean))
    name = f"{100 * LEFT:g} % minus the share of velocity's leak that data prediction has"
    less = _over_schedules(name, leaks, left, "left")
    found = data_over_velocity(data)
    if less is None or found is None:
        return None
    score, best = found
    shares = ", ".join(f"{percent(of.second)} under {name}" for name, of in less.parts.items())
    evidence = (
        f"Of velocity's leak, data prediction has {shares}. In one step and one draw it is right on "
        f"{percent(score.of.first)} of the {data.testbed.unit}, mean over {listed([*score.parts])}. Minus "
        f"velocity's best decoding under the same schedule, chosen on "
        f"{listed(sorted({of.by for of in best.values()}))}: {score.by_schedule()}. That decoding is "
        f"{'; '.join(f'under {name} {best[name].named}' for name in score.parts)}. Not worse means above "
        f"-{100 * data.testbed.margin:g} points"
    )
    return conclude(evidence, less, score, of=[score.of.first, score.of.second])


def data_over_velocity(data: Data) -> tuple[Effect, dict[str, Chosen]] | None:
    """Claim 10's second half: one step of data prediction minus velocity's best decoding under the same
    schedule, held against the margin; and those best decodings."""
    of_data, decoded = data.flow(ANY, 1, prediction="data"), data.flow(ANY, ANY, draws=ANY)
    best, scores = {}, {}
    for schedule in sorted(set(of_data["schedule"]) & set(decoded["schedule"])):
        one = best_decoding(of_data[of_data["schedule"] == schedule], "score")
        other = best_decoding(decoded[decoded["schedule"] == schedule], "score")
        over = one.minus(other) if one and other else None
        if other is not None and over is not None:
            best[schedule], scores[schedule] = other, over
    scores = _of_most_seeds(scores)
    if not scores:
        return None
    name = "data prediction at K = 1 minus velocity's best decoding"
    effect = Effect(name, _mean(scores), -data.testbed.margin, "not worse", parts=scores)
    return effect, {schedule: best[schedule] for schedule in scores}


def averaging_removes_it(data: Data) -> Judgement | None:
    """Claim 11: velocity at K = 1, 8 draws minus 1; and 8 draws in one step minus 1 draw in many."""
    margin, many = data.testbed.margin, data.many()
    one, averaged, several = data.flow(ANY, 1), data.flow(ANY, 1, draws=DRAWS), data.flow(ANY, many)
    gain = _over_schedules(f"K = 1, {DRAWS} draws minus 1 draw", averaged, one)
    name = f"K = 1 with {DRAWS} draws minus K = {many} with 1"
    over = _over_schedules(name, averaged, several, floor=-margin, kind="not worse") if many > 1 else None
    if gain is None or over is None:
        return None
    means = "; ".join(
        f"under {name} {percent(gain.parts[name].second)} with one draw, {percent(of.first)} with {DRAWS}, "
        f"{percent(of.second)} in {many} steps"
        for name, of in over.parts.items()
        if name in gain.parts
    )
    evidence = (
        f"Velocity in one step is right on: {means}. {DRAWS} draws minus one: {gain.by_schedule()}. "
        f"{DRAWS} draws in one step minus {many} steps, where not worse means above -{100 * margin:g}: "
        f"{over.by_schedule()}"
    )
    return conclude(evidence, gain, over)


def neither_helps_joint_modes(data: Data) -> Judgement | None:
    """Claim 12: possible outcomes of equal coupled modes: the best model in many steps, minus what a remedy
    brings one step to."""
    fair = {"coupling": "coupled", "certainty": lambda of: float(of) == 0, "tiles": lambda of: int(of) > 1}
    modes_run = set(data.flow(ANY, 1, prediction=ANY, modes=lambda of: int(of) > 1, **fair)["modes"])
    told, effects, chosen_on = [], [], set[str]()
    for modes in sorted(modes_run, key=int):
        wanted = {**fair, "modes": modes}
        many = data.many(prediction=ANY, **wanted)
        ten = best_decoding(data.flow(ANY, many, prediction=ANY, **wanted), "valid") if many > 1 else None
        if ten is None or ten.scores.mean() < NEAR:
            continue
        told.append(f"{modes} modes, {many} steps: {percent(ten.scores)} ({ten.named})")
        chosen_on.add(ten.by)
        for remedy, how in {
            "data prediction": {"prediction": "data"},
            f"{DRAWS} draws": {"draws": DRAWS},
            "both": {"prediction": "data", "draws": DRAWS},
        }.items():
            one = best_decoding(data.flow(ANY, 1, **how, **wanted), "valid")
            short = ten.minus(one) if one else None
            if one is not None and short is not None:
                effects.append(Effect(f"{modes} modes: {many} steps minus one with {remedy}", short, NEAR))
                told.append(f"{modes} modes, one step, {remedy}: {percent(one.scores)} ({one.named})")
    if not effects:
        return None
    evidence = (
        "Possible outcomes of the best model in many steps, and in one step under the best schedule, each "
        f"chosen on {listed(sorted(chosen_on))}: {'; '.join(told)}. A remedy works if it comes within "
        f"{100 * NEAR:g} points of many steps"
    )
    return conclude(evidence, *effects)


def one_model_serves_both(data: Data) -> Judgement | None:
    """Claim 13a: one and many steps of one model, one draw each, minus the best decoding of all models. Both
    are chosen on validation results or earlier seeds where there are some, else for each seed on the
    others."""
    return _serves_both(data, draws=1)


def one_model_serves_both_with_draws(data: Data) -> Judgement | None:
    """Claim 13b: the same with the number of averaged draws chosen, too."""
    return _serves_both(data, draws=ANY) if data.flow(ANY, 1, prediction=ANY, draws=DRAWS).size else None


def _serves_both(data: Data, draws: Any) -> Judgement | None:
    margin = data.testbed.margin
    everything = {"prediction": ANY, "draws": ANY}
    rows, many = data.flow(ANY, ANY, **everything), data.many(**everything)
    of_model = data.flow(ANY, ANY, prediction=ANY, draws=draws)
    validation, test = data.before(validation=True), data.before(validation=False)
    if not {1, many} <= {*validation.flow(ANY, ANY, **everything).get("steps", ())}:
        validation = replace(validation, rows=validation.rows.iloc[:0])  # as of a search over learning rates
    for_model = validation.flow(ANY, ANY, prediction=ANY, draws=draws)
    if for_model.empty:
        for_model = test.flow(ANY, ANY, prediction=ANY, draws=draws)
    for_best = test.flow(ANY, ANY, **everything)
    if for_best.empty:
        for_best = validation.flow(ANY, ANY, **everything)
    if many == 1 or rows.groupby(MODEL).ngroups < 2:
        return None
    both = best_of_both(of_model, "score", many, for_model)
    best = best_decoding(rows, "score", for_best)
    if both is None or best is None:
        return None
    effects = []
    for steps, chosen in zip((1, many), both, strict=True):
        over = chosen.minus(best)
        if over is None:
            return None
        effects.append(Effect(f"K = {steps} minus the best of all decodings", over, -margin, "equivalent"))
    on = "validation results" if both[0].by == "earlier results" and _is_validation(for_model) else both[0].by
    evidence = (
        f"One model, chosen on {on}, decoded as {both[0].named}, right on {percent(both[0].scores)} of the "
        f"{data.testbed.unit}, and as {both[1].named}, right on {percent(both[1].scores)}; and the best of "
        f"these decodings of all models, chosen on {best.by}, {best.named}, right on {percent(best.scores)}. "
        f"Equivalent means within {100 * margin:g} points"
    )
    return conclude(evidence, *effects)


def _is_validation(rows: pd.DataFrame) -> bool:
    return "split" in rows and bool((rows["split"] == VALIDATION).all())


def _probed(rows: pd.DataFrame) -> pd.DataFrame:
    """The models that a probe has measured."""
    return rows[rows[LEAK].notna()]


def _over_schedules(
    name: str,
    first: pd.DataFrame,
    second: pd.DataFrame,
    value: str = "score",
    floor: float = 0.0,
    kind: Kind = "difference",
) -> Effect | None:
    """The mean over the schedules of both, and the contrast under each."""
    over = contrast(first, second, value, ["schedule"])
    if over is None:
        return None
    parts = {
        name: contrast(first[first["schedule"] == name], second[second["schedule"] == name], value)
        for name in over.schedules
    }
    found = {name: of for name, of in parts.items() if of is not None}
    return Effect(name, over, floor, kind, parts=found)


def _of_most_seeds(contrasts: dict[str, Contrast]) -> dict[str, Contrast]:
    """Those of the same seeds, of which there are most. Each knows of those that are left out."""
    most = max((tuple(of.first.index) for of in contrasts.values()), key=len, default=())
    kept = {name: of for name, of in contrasts.items() if tuple(of.first.index) == most}
    lacking = tuple(
        f"{name}, which has {len(set(of.first.index) & set(most))} of {len(most)} seeds"
        for name, of in contrasts.items()
        if name not in kept
    )
    return {name: replace(of, without=(*of.without, *lacking)) for name, of in kept.items()}


def _mean(contrasts: dict[str, Contrast]) -> Contrast:
    """Over schedules, which have the same seeds."""
    first, second = (
        pd.concat([getattr(of, part) for of in contrasts.values()], axis=1).mean(axis=1)
        for part in ("first", "second")
    )
    of_all = origin(list(contrasts.values()))
    return Contrast(
        first, second, schedules=tuple(contrasts), read=partial(_mean_by_example, contrasts), **of_all
    )


def _mean_by_example(contrasts: Mapping[str, Contrast]) -> ByExample | None:
    """The mean over contrasts of the same test examples; None where outcomes are not stored."""
    tables = [of.by_example for of in contrasts.values()]
    known = [table for table in tables if table is not None]
    if len(known) < len(tables) or len({table.differences.shape for table in known}) > 1:
        return None
    mean = pd.concat([table.differences for table in known]).groupby(level="seed").mean()
    bounds = [table.within for table in known if table.within]
    return ByExample(mean, bounds[0] if len(bounds) == len(known) else None)
