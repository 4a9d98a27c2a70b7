"""The headline of a folder: contrasts that were planned before the run, tested together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from toyflow.report.effects import Effect, difference, together
from toyflow.report.judgement import Judgement, decided_together
from toyflow.report.page_tables import TableView
from toyflow.report.tables import shown_p

HEADLINE = "headline"
"""How the folder's name begins whose contrasts were named, and whose seeds were drawn, before it was run."""
FILE = "headline_contrasts"
"""Name, without its ending, of the table that a report writes into such a folder."""


@dataclass(frozen=True)
class Named:
    """A contrast that was named before the run."""

    number: str
    """Where the preset's header has it."""
    claim: str
    """Name of the claim that it is part of."""
    effect: Effect
    place: int = 0
    """Among the effects of the claim's judgement, of the one in whose place it decides."""


def is_headline(folder: str) -> bool:
    """Whether a folder of this name is one."""
    return folder.split("/")[-1].startswith(HEADLINE)


def tested_together(named: Sequence[Named]) -> list[Named]:
    """The contrasts with p adjusted over all of them."""
    tested = together([each.effect for each in named])
    return [replace(each, effect=effect) for each, effect in zip(named, tested, strict=True)]


def decided_by_headline(claim: str, judgement: Judgement, named: Sequence[Named]) -> Judgement:
    """The judgement on a claim by a headline folder, decided by what was `named` of it there."""
    own = [each for each in named if each.claim == claim]
    if not own:
        return judgement
    return decided_together(judgement, [each.effect for each in own], [each.place for each in own])


def headline_frame(named: Sequence[Named]) -> pd.DataFrame:
    """A row per contrast:

    - `number`, in the preset's header; `claim`; `contrast`, what is subtracted from what
    - `test` and `held_against`: a difference is to lie above that, and so is what is not to be worse; what is
      to be equivalent, within +- that
    - `seeds`; `difference`; `low`, `high`, its interval at `confidence`; `interval`, what that speaks of
    - `p` (down to 1e-7), of what speaks against the side on which the estimate lies: two-sided for a
      difference, else one-sided; `p_holm`, adjusted over the table; `verdict`, by that
    """
    return pd.DataFrame([_row(each) for each in named])


def _row(named: Named) -> dict[str, Any]:
    effect = named.effect
    interval = effect.of.deciding(effect.confidence)
    return {
        "number": named.number,
        "claim": named.claim,
        "contrast": effect.title,
        "test": effect.kind,
        "held_against": effect.floor,
        "seeds": effect.of.seeds,
        "difference": effect.of.difference.mean(),
        "low": interval.low if interval else np.nan,
        "high": interval.high if interval else np.nan,
        "confidence": effect.confidence,
        "interval": interval.method if interval else "",
        "p": effect.p,
        "p_holm": effect.adjusted,
        "verdict": effect.verdict,
    }


def headline_table(named: Sequence[Named]) -> TableView:
    """`headline_frame` for a page."""
    rows = [
        [
            each.number,
            each.claim,
            each.effect.title,
            _test(each.effect),
            difference(each.effect.of, confidence=each.effect.confidence),
            shown_p(each.effect.p),
            shown_p(each.effect.adjusted),
            each.effect.verdict,
        ]
        for each in named
    ]
    return TableView(
        "Contrasts that were named before the run",
        [
            "named as",
            "claim",
            "contrast",
            "it is to be",
            "difference [95 %]",
            "p",
            "p, Holm",
            "verdict",
        ],
        rows,
        4,
        "Velocity in one draw, if not said otherwise. Intervals are for new seeds and new examples, where "
        "outcomes are stored by example. p: of what speaks against the side on which the "
        "estimate lies, two-sided for a difference, else one-sided (of equivalence the larger of two). "
        f"Adjusted by Holm's method over the {len(rows)} tests here; verdicts are by that, at 5 %.",
    )


def _test(effect: Effect) -> str:
    points = f"{100 * effect.floor:g}"
    return {
        "difference": f"different: above {points}",
        "not worse": f"not worse: above {points}",
        "equivalent": f"equivalent: within {points.removeprefix('-')}",
    }[effect.kind]
