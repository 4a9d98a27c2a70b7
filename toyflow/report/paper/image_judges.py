"""How results of `class-to-image` are held against claims 5a and 5b of `findings`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from toyflow.report.contrasts import contrast
from toyflow.report.effects import Effect, percent
from toyflow.report.evidence import ANY, Data
from toyflow.report.judgement import Judgement, conclude


def _image_contrast(data: Data, first: pd.DataFrame, alike: Sequence[str], name: str) -> Judgement | None:
    """`first` against flow in many steps, by the Fréchet distance, where there is one."""
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
        return conclude(f"With {name} {seen}", Effect(f"flow in {many} steps minus {name}", accuracy))
    evidence = (
        f"{name[0].upper()}{name[1:]} has a Fréchet distance (lower is better) of "
        f"{distance.first.mean():.2f}, flow in {many} steps of {distance.second.mean():.2f}; {seen}"
    )
    seen_in = [accuracy.first, accuracy.second]
    effect = Effect(f"distance of {name} minus that of flow in {many} steps", distance, unit="")
    return conclude(evidence, effect, of=seen_in)


def pure_noise_draws_badly(data: Data) -> Judgement | None:
    """Claim 5a: pure-noise minus flow in many steps."""
    return _image_contrast(data, data.pick(objective="pure-noise", dataset=ANY), ["dataset"], "pure-noise")


def one_step_draws_worse(data: Data) -> Judgement | None:
    """Claim 5b: flow in one step minus flow in many steps."""
    return _image_contrast(data, data.flow(ANY, 1, dataset=ANY), ["dataset", "schedule"], "one step of flow")
