"""The claims of a report's page: its parts, a row per claim, and in that a verdict per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import get_args

from toyflow.report.claims import Claim, OneStep, Paper, Part
from toyflow.report.effects import Effect, Verdict, listed, weakest
from toyflow.report.evidence import Testbed, unique
from toyflow.report.judgement import Judgement

NO_DATA = "no data here"
TITLES: Mapping[Part, str] = {
    "enough": "When one step is enough",
    "remedies": "What to do where one step is not enough",
    "paper": "What the paper says",
}
"""The parts of a report, in their order."""
NOT_SETTLED = "Not settled"
"""The title of claims that no task decides."""
ORDER: tuple[Verdict, ...] = ("agree", "disagree", "undecided", "undecided (one seed)")
"""Verdicts in the order in which a claim's are told."""
LEADS: Mapping[Part, str] = {
    "enough": "One step aims at the mean of all right answers. That is enough where the condition leaves one "
    "right answer and the network gets it from any noise; the mean of several may be none of them.",
    "remedies": "The squared error of one step is leaked noise (the answer still depends on the noise that "
    "the network was given), plus bias² (what regression would get wrong, too), plus the task's own spread "
    "(how far right answers to one condition are apart). The command toyflow probe measures the three.",
    "paper": "Its claims with our verdicts on our tasks, and its numbers beside ours. Claims that are "
    "marked as ours are not the paper's.",
}


@dataclass(frozen=True)
class Source:
    """A results folder that a verdict rests on."""

    name: str
    anchor: str
    command: str | None
    """What makes these results."""


@dataclass(frozen=True)
class VerdictView:
    """The verdict on a claim on one task."""

    judgement: Judgement
    sources: Sequence[Source]

    @cached_property
    def effect(self) -> Effect:
        """Of the differences that the verdict rests on, the one that says least for the claim."""
        return weakest(self.judgement.effects)

    @property
    def in_points(self) -> bool:
        """Whether that has a place on an axis of points; others are told in words."""
        return self.effect.unit == "points"

    @property
    def told(self) -> str:
        """`grid agree: K = 1 minus K = 10: +1.0 points [95 % over seeds and examples: +0.5, +1.5]`."""
        return f"{self.judgement.on} {self.judgement.verdict}: {self.effect.told}"


@dataclass(frozen=True)
class ClaimView:
    """A claim with its verdicts."""

    claim: Claim
    verdicts: Sequence[VerdictView]

    @property
    def in_order(self) -> list[VerdictView]:
        """The verdicts by `ORDER`, in which tasks stay in theirs."""
        return sorted(self.verdicts, key=lambda each: ORDER.index(each.judgement.verdict))

    @property
    def by_verdict(self) -> list[tuple[str, str]]:
        """(verdict, the tasks with it): `("agree", "grid and wave")`."""
        found = groupby((each.judgement for each in self.in_order), key=lambda judgement: judgement.verdict)
        return [(verdict, listed([judgement.on for judgement in of])) for verdict, of in found]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said beside the scores that the verdicts rest on."""
        effects = [effect for each in self.verdicts for effect in each.judgement.effects]
        return unique([remark for effect in effects for remark in effect.of.remarks])

    @property
    def is_settled(self) -> bool:
        """Whether a task decides the claim."""
        return any(not verdict.startswith("undecided") for verdict, _ in self.by_verdict)


@dataclass(frozen=True)
class Group:
    """Claims that stand together on the first screen."""

    title: str
    place: str
    """Anchor of what tells more."""
    claims: Sequence[ClaimView]


@dataclass(frozen=True)
class PartView:
    """A part of the report."""

    part: Part
    claims: Sequence[ClaimView]

    @property
    def title(self) -> str:
        """Its heading."""
        return TITLES[self.part]

    @property
    def lead(self) -> str:
        """What stands under it."""
        return LEADS[self.part]


def parts_of(judged: Sequence[tuple[Claim, Judgement]], sources: Mapping[str, Source]) -> list[PartView]:
    """The parts in which there are verdicts; claims of which there is no data anywhere are left out."""
    views = [
        ClaimView(claim, verdicts)
        for claim, found in groupby(judged, key=lambda pair: pair[0])
        if (
            verdicts := [
                VerdictView(judgement, [sources[folder] for folder in judgement.folders])
                for _, judgement in found
                if judgement.verdict != NO_DATA
            ]
        )
    ]
    return [
        PartView(part, claims)
        for part in TITLES
        if (claims := [view for view in views if view.claim.part == part])
    ]


def groups_of(parts: Sequence[PartView]) -> list[Group]:
    """Every claim in its part, but for those that no task decides, which come last."""
    settled = [
        Group(p.title, f"part-{p.part}", [view for view in p.claims if view.is_settled]) for p in parts
    ]
    others = [view for part in parts for view in part.claims if not view.is_settled]
    return [group for group in (*settled, Group(NOT_SETTLED, "open", others)) if group.claims]


def testbeds_of(parts: Sequence[PartView]) -> list[Testbed]:
    """The tasks on which there are verdicts, in their order."""
    views = [view for part in parts for view in part.claims]
    names = {each.judgement.on for view in views for each in view.verdicts}
    known = {testbed.name: testbed for view in views for testbed in view.claim.testbeds}
    return [testbed for name, testbed in known.items() if name in names]


def margins_of(testbeds: Sequence[Testbed]) -> str:
    """Within what scores are as good as each other: `within 2 points, on two arms within 5`."""
    names: dict[float, list[str]] = {}
    for testbed in testbeds:
        names.setdefault(testbed.margin, []).append(testbed.name)
    (usual, _), *others = sorted(names.items(), key=lambda of: -len(of[1]))
    told = [f", on {listed(of)} within {100 * margin:g}" for margin, of in others]
    return f"within {100 * usual:g} points{''.join(told)}"


def answer(parts: Sequence[PartView]) -> str:
    """The title answered in a sentence: `One step is enough on wave (13a) and not enough on dial (7a); on
    numbers neither is shown.` Of several claims that a task agrees with, one that says `not enough` counts,
    else the first; "" where the results bear on none."""
    told = [view for part in parts for view in part.claims if view.claim.one_step]
    tasks: dict[str, dict[OneStep, str]] = {}
    for view in told:
        for each in view.verdicts:
            shown = tasks.setdefault(each.judgement.on, {})
            if each.judgement.verdict == "agree" and view.claim.one_step:
                shown.setdefault(view.claim.one_step, view.claim.name)
    found: dict[OneStep | None, dict[str, str]] = {}
    for task, shown in tasks.items():
        says = "not enough" if "not enough" in shown else next(iter(shown), None)
        found.setdefault(says, {})[task] = shown[says] if says else ""
    known = [
        f"{says} on {listed(list(found[says]))} ({', '.join(dict.fromkeys(found[says].values()))})"
        for says in get_args(OneStep)
        if says in found
    ]
    unknown = listed(list(found[None])) if None in found else ""
    if not known:
        return unknown and f"On {unknown} it is not shown whether one step is enough."
    return f"One step is {listed(known)}{f'; on {unknown} neither is shown' if unknown else ''}."


def tally(paper: Paper | None, parts: Sequence[PartView]) -> str:
    """`18 claims, 31 verdicts: 12 agree, 9 disagree, 10 undecided`."""
    views = [view for part in parts for view in part.claims]
    verdicts = [each.judgement.verdict.split(" (")[0] for view in views for each in view.verdicts]
    if paper is None or not verdicts:
        return "" if paper is None else "They bear on no claim."
    counts = [f"{verdicts.count(v)} {v}" for v in ("agree", "disagree", "undecided") if v in verdicts]
    claims = f"{len(views)} claim{'s' * (len(views) != 1)}"
    on_each = f", with {len(verdicts)} verdicts, one per task" if len(verdicts) != len(views) else ""
    return f"These results bear on {claims}{on_each}: {', '.join(counts)}."


def open_questions(parts: Sequence[PartView]) -> list[tuple[Claim, Judgement]]:
    """The verdicts that are undecided."""
    return [
        (view.claim, each.judgement)
        for part in parts
        for view in part.claims
        for each in view.verdicts
        if each.judgement.verdict.startswith("undecided")
    ]


def without_data(judged: Sequence[tuple[Claim, Judgement]]) -> list[tuple[Claim, str, str]]:
    """Claims that lack data, with what is lacking and the tasks where it is."""
    found = []
    for claim, pairs in groupby(judged, key=lambda pair: pair[0]):
        lacking = [judgement for _, judgement in pairs if judgement.verdict == NO_DATA]
        if lacking:
            tasks = ", ".join(judgement.on for judgement in lacking)
            found.append((claim, tasks, lacking[0].evidence))
    return found
