"""How differences over seeds become a verdict on a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from toyflow.report.contrasts import Contrast
from toyflow.report.effects import Effect, Verdict, listed, together
from toyflow.report.evidence import unique

LEARNED = 0.2
"""A score below this says that the task was not learned, and nothing else."""
TO_LEARN = "models that have learned the task"
"""What would decide a claim where no model has."""


@dataclass(frozen=True)
class Judgement:
    """How results bear on a claim."""

    verdict: Verdict
    evidence: str
    effects: tuple[Effect, ...] = field(default=(), compare=False)
    """The differences that the verdict rests on."""
    needed: str = ""
    """What would decide it; empty where it is decided."""
    folders: tuple[str, ...] = ()
    """Where the results are."""
    seeds: int = 0
    on: str = ""
    """Name of the testbed."""


def decide(effects: Sequence[Effect]) -> Verdict:
    """`agree` where every effect alone is shown to lie where it should at 5 %, `disagree` where one is shown
    not to (by Holm's method over all). Shown means for new seeds and new examples, or where outcomes are not
    stored for new seeds; see `Contrast.deciding`."""
    if all(each.verdict == "agree" for each in effects):
        return "agree"
    against = of_all([each.verdict for each in together(effects)])
    return "undecided" if against == "agree" else against


def of_all(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on what holds if all of it holds."""
    order: tuple[Verdict, ...] = ("undecided (one seed)", "disagree", "undecided", "agree")
    return order[min(map(order.index, verdicts))]


def conclude(
    evidence: str,
    *effects: Effect,
    verdict: Verdict | None = None,
    of: Sequence[pd.Series] = (),
    lacking: str = "",
) -> Judgement:
    """The judgement that `effects` lead to, or that has the `verdict`.

    Args:
        evidence: a sentence without its full stop.
        of: scores by which it is told whether a model has learned the task; else those in the effects.
        lacking: what has to be run before the claim can hold, whatever the effects say.
    """
    tested = zip(effects, together(effects), strict=True)  # to show the contrary of one of several takes more
    needs = _needed([alone if alone.holds else among for alone, among in tested if alone.verdict != "agree"])
    if verdict is None:
        verdict = decide(effects)
        needs = "; ".join(filter(None, (needs, lacking)))
    elif lacking:
        needs = lacking
    if lacking and verdict == "agree":
        verdict = "undecided"
    if without := unique([reason for each in effects for reason in each.of.without]):
        evidence += f". Left out: {'; '.join(without)}"
    if elsewhere := unique([folder for each in effects for folder in each.of.elsewhere]):
        evidence += f". Cells of the same record in {listed(elsewhere)} have other weights, and do not count"
    scores = of or [values for each in effects for values in (each.of.first, each.of.second)]
    if max(values.mean() for values in scores) < LEARNED:
        verdict = "undecided" if verdict in ("agree", "disagree") else verdict
        needs = TO_LEARN
        evidence += f". None of these models has learned the task: all are below {100 * LEARNED:g} %"
    seeds = min(each.of.seeds for each in effects)
    told = f"{evidence}." if seeds > 1 else f"{evidence}. All of it is seed {effects[0].of.first.index[0]}."
    return Judgement(
        verdict, told, effects, needs if verdict.startswith("undecided") else "", _folders(effects), seeds
    )


def decided_together(judgement: Judgement, named: Sequence[Effect], places: Sequence[int]) -> Judgement:
    """The judgement with other effects in these `places` of its own, which were tested together with those of
    other claims: it is decided by their adjusted p-values. As it was where no model has learned the task."""
    if judgement.needed == TO_LEARN:
        return judgement
    effects = (*named, *(own for place, own in enumerate(judgement.effects) if place not in places))
    verdict = of_all([each.verdict for each in effects])
    is_open = verdict.startswith("undecided")
    where = "this folder" if len(judgement.folders) == 1 else "these folders together"
    return replace(
        judgement,
        verdict=verdict,
        evidence=f"{judgement.evidence} Decided by the contrasts that were named before the run, at 5 % by "
        f"Holm's method over the {named[0].tests} tests of {where}.",
        effects=effects,
        needed=_needed([each for each in effects if each.verdict != "agree"]) if is_open else "",
    )


def _folders(effects: Sequence[Effect]) -> tuple[str, ...]:
    return unique([folder for each in effects for folder in each.of.folders])


def _needed(effects: Sequence[Effect]) -> str:
    """What would decide them: `about 17 seeds`, by name where they differ."""
    names: dict[str, list[str]] = {}
    for each in effects:
        names.setdefault(each.needed(), []).append(each.title)
    if len(names) < 2:
        return "".join(names)
    return "; ".join(f"{needed} ({listed(of)})" for needed, of in names.items())


def schedules_are(of: Contrast) -> str:
    """`shift:3 and shift:4 are together`."""
    return f"{listed(of.schedules)} {'are together' if len(of.schedules) > 1 else 'is'}"
