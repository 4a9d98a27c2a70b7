"""Which stored times may be those of a busy machine: it was busy, or the times contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from toyflow.machine_load import Load
from toyflow.sweep.stored import StoredEvaluation

MARK = "*"
"""Stands after a time that is in doubt."""
WIDE = 2.0
"""A 95th percentile of so many medians is a wide spread; times of the same call may differ by as much."""
OFF = 1.5
"""A plan of so many times its parts, or less by as much, contradicts them."""
FASTER = 0.9
"""More calls of the network in less than this share of the time of fewer contradict these."""


MOST_REASONS = 3
"""Most reasons that a footnote lists."""


def timing_doubts(evaluations: Sequence[StoredEvaluation]) -> list[str]:
    """For each of these decodings why its times may be those of a busy machine, in words; empty where there
    is no doubt. Decodings of one model on one machine, alike but for their number of steps, are held against
    each other."""
    found = [_own_doubt(evaluation.details) for evaluation in evaluations]
    alike: dict[str, list[int]] = {}
    for place, evaluation in enumerate(evaluations):
        record, where = replace(evaluation.record, steps=1), evaluation.environment
        machine = [where.get(name) for name in ("device_name", "threads", "host")]
        alike.setdefault(f"{evaluation.training.record.key} {record.key} {machine}", []).append(place)
    for places in alike.values():
        for one, other in permutations(places, 2):
            reason = _contradiction(evaluations[one], evaluations[other])
            for place in (one, other) if reason else ():
                found[place] = found[place] or _contradictory(reason)
    return found


def doubts_in_words(doubts: Iterable[str]) -> str:
    """The footnote that explains `MARK`, from `timing_doubts`; empty where nothing is in doubt.

    >>> doubts_in_words(["", "timed on a busy machine: other processes kept 1.5 of 2 processors busy"])
    '* timed on a busy machine: other processes kept 1.5 of 2 processors busy.'
    """
    by_kind: dict[str, list[str]] = {}
    for doubt in dict.fromkeys(filter(None, doubts)):
        kind, _, reason = doubt.partition(": ")
        by_kind.setdefault(kind, []).append(reason)
    said: list[str] = []
    for kind, reasons in by_kind.items():
        more = [f"{len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        said.append(f"{kind}: {', '.join(reasons[:MOST_REASONS] + more)}")
    return f"{MARK} {'; '.join(said)}." if said else ""


def _own_doubt(details: Mapping[str, Any]) -> str:
    """What a decoding's own details say."""
    load = Load(**details["load"]) if details.get("load") else None  # older results have none
    if load and load.is_busy:
        return f"timed on a busy machine: {load}"
    return next(map(_contradictory, _contradictions_within(details)), "")


def _contradictory(reason: str) -> str:
    return f"machine not known to be idle: {reason}"


def _contradictions_within(details: Mapping[str, Any]) -> Iterator[str]:
    times = details.get("latency_ms")
    if not times:
        return
    plan = plan_of(times)
    if any(each["p95"] > WIDE * each["p50"] > 0 for each in (times["condition"], times["step"], plan)):
        yield "repeats of the same call differ widely"
    parts = times["condition"]["p50"] + details["model_calls"] * times["step"]["p50"]
    parts += times["network"]["p50"] if times.get("network") else 0.0  # of a policy behind a server
    if not parts / OFF <= plan["p50"] <= OFF * parts:
        yield "plans do not take the time of their parts"


def _contradiction(one: StoredEvaluation, other: StoredEvaluation) -> str:
    """What is contradictory if `one` takes more calls of the network than `other`; empty if nothing is."""
    more, fewer = one.details, other.details
    if more["model_calls"] <= fewer["model_calls"]:
        return ""
    if "latency_ms" in more and "latency_ms" in fewer:
        both = more["latency_ms"], fewer["latency_ms"]
        long, short = (plan_of(times)["p50"] for times in both)
        first, second = sorted(times["condition"]["p50"] for times in both)
        if second > WIDE * first > 0:
            return "the same call takes other times for other K"
    else:
        long, short = (details.get("decode_seconds", 0.0) for details in (more, fewer))
    return f"{one.record.label} takes less time than {other.record.label}" if long < FASTER * short else ""


def plan_of(latency_ms: Mapping[str, Any]) -> Mapping[str, float]:
    """The times of a whole plan, which results name by their decoding, and older ones by its steps."""
    [plan] = latency_ms["plan"].values()
    return plan
