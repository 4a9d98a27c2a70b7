"""The six contrasts that `headline-numbers`, `headline-wave` and `headline-grid` name under `Decides:`."""

from __future__ import annotations

from toyflow.report.evidence import Data
from toyflow.report.headline import Named
from toyflow.report.paper.grid_judges import (
    gain_is_larger_in_one_step,
    noise_biased_in_one_step,
    one_step_is_as_good_as_uniform,
    one_step_is_enough,
)
from toyflow.report.paper.one_step_judges import (
    averaging_removes_it,
    data_over_velocity,
    one_model_serves_both,
)

AS_JUDGED = (
    ("1", "1a", noise_biased_in_one_step),
    ("2", "1b", gain_is_larger_in_one_step),
    ("3", "1c", one_step_is_enough),
    ("3", "1d", one_step_is_as_good_as_uniform),
    ("6", "13a", one_model_serves_both),
)
"""Number, claim and judge of those that are what the claim is judged by anywhere."""


def named_contrasts(data: Data) -> list[Named]:
    """Those that these results have, in the order of the presets. The fourth and fifth are not of the mean
    over schedules, by which the claim is judged elsewhere: each of both, and uniform alone."""
    found = [
        Named(number, claim, effect, place)
        for number, claim, judge in AS_JUDGED
        if (judgement := judge(data)) is not None
        for place, effect in enumerate(judgement.effects)
    ]
    if fourth := data_over_velocity(data):
        score, _ = fourth
        found += [Named("4", "10", score.part(schedule), 1) for schedule in score.parts]
    if fifth := averaging_removes_it(data):
        found += [
            Named("5", "11", effect.part("uniform"), place)
            for place, effect in enumerate(fifth.effects)
            if "uniform" in effect.parts
        ]
    return sorted(found, key=lambda each: each.number)
