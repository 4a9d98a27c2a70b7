"""Summary of a run's log, in numbers and in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.control.safety import differing
from toyflow.robot.runtime.control.sent_jerk import JerkOfSent
from toyflow.robot.runtime.robots.base import display_name

CHUNK_FAULTS = ("velocity", "jerk", "not-finite", "shape")
"""Interventions that refuse a whole chunk."""


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of some times, in milliseconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Quantiles:
        """Quantiles of `seconds`; zeros if there are none."""
        if not seconds:
            return cls(0, 0, 0)
        p50, p99 = 1000 * np.percentile(seconds, (50, 99))
        return cls(float(p50), float(p99), 1000 * max(seconds))

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f}, p99 {self.p99:.2f}, at most {self.most:.2f} ms"


@dataclass(frozen=True)
class Summary:
    """Numbers of a run.

    Attributes:
        endings: the log's `ending` lines, one per episode that ended; with a `score` where the robot has one,
            see `Robot.score`.
        stepped: whether time stood still between actions, as in a simulator.
        jitter: delay of the steps' begins.
        work: time from a step's begin until its action was sent.
        missed: steps that were skipped because the one before took too long.
        unsent: steps without an action.
        planning: time that plans took.
        late: plans before whose arrival the robot ran out of actions.
        refused: plans that the gate refused.
        dropped: actions of admitted plans whose step had passed.
        interventions: number of the gate's interventions, by kind.
        changed: steps at which the gate changed a dimension of the action, by its name.
        jerk: the largest jerk of what was sent, and its limit (inf for none), by dimension; see `JerkOfSent`.
        refusal: what was wrong with the last plan that was refused.
        end: why the run ended; None if the log was cut off, as after kill -9.
        stopped: `yes`, or why the robot could not be brought to rest; None if the log was cut off, or the run
            ended before its control loop began.
        damage: what is damaged in the log; None if nothing is.
        motions: steps of slow motions without the policy, by phase: `start` and `park`.
    """

    endings: list[dict[str, Any]]
    steps: int
    stepped: bool
    jitter: Quantiles
    work: Quantiles
    missed: int
    unsent: int
    plans: int
    planning: Quantiles
    late: int
    refused: int
    dropped: int
    interventions: Counter[str]
    changed: Counter[str]
    jerk: dict[str, tuple[float, float]]
    refusal: str | None
    end: str | None
    stopped: str | None
    damage: str | None
    motions: Counter[str]

    @classmethod
    def of(cls, recording: Recording) -> Summary:
        """Summarise a log, which may be cut off."""
        steps, plans, ends = (recording.of(kind) for kind in ("step", "plan", "end"))
        kinds = Counter(change for step in steps for change in step["changes"])
        interventions = recording.of("intervention")
        kinds.update(line["what"] for line in interventions)
        return cls(
            endings=recording.of("ending"),
            steps=len(steps),
            stepped=recording.header["clock"] == "stepped",
            jitter=Quantiles.of([step["late"] for step in steps]),
            work=Quantiles.of([step["took"] for step in steps]),
            missed=sum(_gaps(recording)),
            unsent=sum(step["sent"] is None for step in steps),
            plans=len(plans),
            planning=Quantiles.of([plan["seconds"] for plan in plans]),
            late=sum(plan["late"] for plan in plans),
            refused=sum(not plan["admitted"] for plan in plans),
            dropped=sum(plan["dropped"] for plan in plans if plan["admitted"]),
            interventions=kinds,
            changed=_changed(recording),
            jerk=_jerk(recording),
            refusal=next(
                (line["detail"] for line in reversed(interventions) if line["what"] in CHUNK_FAULTS),
                None,
            ),
            end=ends[-1]["why"] if ends else None,
            stopped=ends[-1]["stopped"] if ends else None,
            damage=recording.damage,
            motions=Counter(line["phase"] for line in recording.of("motion")),
        )

    @property
    def is_idle(self) -> bool:
        """Whether no action was ever sent."""
        return self.unsent == self.steps

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        solved = sum(ending["why"] == "solved" for ending in self.endings)
        episodes = (
            f"{len(self.endings)} episode{'s' * (len(self.endings) > 1)} ended, {solved} solved"
            if self.endings
            else "no episode ended"
        )
        scores = [ending["score"] for ending in self.endings if "score" in ending]
        episodes += f", mean score {np.mean(scores):.3f}" if scores else ""
        late = f"{self.late} late" if self.late else "none late"
        kinds = ", ".join(f"{count} x {kind}" for kind, count in self.interventions.most_common()) or "none"
        timing = f"steps began late by {self.jitter}; {self.missed} missed; their work took {self.work}"
        lines = [
            f"run: {self.end or 'cut off: the log has no end'}; {episodes}; {self.steps} steps",
            *([] if self.stepped else [timing]),
            f"{self.plans} plan{'s' * (self.plans != 1)} in {self.planning}; {late}, {self.refused} refused, "
            f"{self.dropped} actions dropped as their step had passed",
            f"interventions: {kinds}; {self.unsent} step{'s' * (self.unsent != 1)} without an action",
        ]
        if self.motions:
            told = (f"{phase} {steps} steps" for phase, steps in self.motions.items())
            lines.append(f"slow motions: {', '.join(told)}")
        if self.changed:
            lines.append(
                "changed: " + ", ".join(f"{name} {count}" for name, count in self.changed.most_common())
            )
        if self.jerk:
            name, (most, limit) = max(self.jerk.items(), key=_share_of_limit)
            limited = f", limit {limit:.4g}" if math.isfinite(limit) else ""
            lines.append(f"jerk of what was sent: at most {most:.4g} ({name}{limited})")
        if self.refusal:
            lines.append(f"the last chunk that was refused: {self.refusal}")
        if self.is_idle:
            lines.append(f"no action was ever sent{' but those of slow motions' if self.motions else ''}")
        if self.stopped not in ("yes", None):
            lines.append(f"the robot was not brought to rest: {self.stopped}")
        return [*lines, f"damage: {self.damage}"] if self.damage else lines


def _changed(recording: Recording) -> Counter[str]:
    steps = [step for step in recording.of("step") if step["changes"] and step["sent"] and step["asked"]]
    if not steps:
        return Counter()
    asked, sent = (np.array([step[key] for step in steps], float) for key in ("asked", "sent"))
    counts = differing(sent, asked).sum(0).tolist()
    return (
        Counter(dict(zip(map(display_name, recording.header["action_names"]), counts, strict=True)))
        - Counter()
    )


def _share_of_limit(item: tuple[str, tuple[float, float]]) -> tuple[float, float]:
    _, (most, limit) = item
    return most / limit if limit else math.inf, most


def _jerk(recording: Recording) -> dict[str, tuple[float, float]]:
    """As the log's last line says, or, where it is cut off, as its steps do."""
    header, ends = recording.header, recording.of("end")
    names = [display_name(name) for name in header["action_names"]]
    most = ends[-1].get("jerk") if ends else None
    if most is None:
        jerk = JerkOfSent(header["rate"], len(names))
        for line in recording.lines:
            if line["kind"] == "episode":
                jerk.begin(None)
            elif line["kind"] == "step":
                jerk.add(line["step"], None if line["sent"] is None else np.array(line["sent"], float))
        most = jerk.most.tolist()
    asked = header.get("limits", {}).get("jerk") or [None] * len(names)
    limits = [math.inf if limit is None else limit for limit in asked]
    return dict(zip(names, zip(most, limits, strict=True), strict=True))


def _gaps(recording: Recording) -> list[int]:
    """How many steps were skipped before each step of its episode."""
    gaps, before = [], -1
    for line in recording.lines:
        if line["kind"] == "episode":
            before = -1
        elif line["kind"] == "step":
            gaps.append(line["step"] - before - 1)
            before = line["step"]
    return gaps
