"""What `toyflow probe` finds of a policy: errors by joint and by time of the chunk, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Decoding
from toyflow.flow.anatomy import DRAWS, MEASURES, Anatomy
from toyflow.parsing import listed_ranges
from toyflow.report.anatomy_report import DissectedLabel, DissectedModel, over_seeds
from toyflow.stats import Interval, rms_over_conditions

Origin = Literal["frames of training", "held-out episodes", "frames that may be of training"]
"""What the frames were to the policy that is probed on them."""
CAVEATS: dict[Origin, str] = {
    "frames of training": "errors on frames of training show the fit, and are no test",
    "held-out episodes": "",
    "frames that may be of training": "whether the policy was trained on these frames is not known, so that "
    "errors may show the fit, and are no test",
}
WHOLE, JOINT, TIME = "whole chunk", "joint", "time"
"""What a row of the tables is of: all numbers of a chunk, one of an action, or one time of the chunk."""
DEVIATIONS = "standard deviations"


@dataclass(frozen=True)
class ProbedPolicy:
    """What a probe found of a policy on the frames of a data set."""

    model: DissectedModel
    """The anatomy [frames, horizon, moving joints], in units of each joint's standard deviation over the data
    set; grouped by episode."""
    takes_noise: bool
    dataset: str
    fingerprint: str
    origin: Origin
    joints: tuple[str, ...]
    """Names of the numbers of an action."""
    scale: tuple[float, ...]
    """Standard deviation of each joint over the data set, in the robot's units; 0 for one that never
    changes."""
    squares: Mapping[Decoding, Float[Tensor, "frames horizon joints"]]
    """Mean squared error of plans against the data set's actions, in the robot's units, by decoding. All
    are of the same frames and noises."""

    @cached_property
    def groups(self) -> np.ndarray:
        """The episode of each frame."""
        groups = self.model.anatomy.groups
        assert groups is not None
        return groups.numpy()

    @property
    def moving(self) -> list[int]:
        """The joints that change in the data set."""
        return [place for place, scale in enumerate(self.scale) if scale]

    @property
    def where(self) -> str:
        """The frames in words, with what they were to the policy."""
        episodes = sorted(set(self.groups.tolist()))
        return (
            f"{len(self.groups)} frames of {len(episodes)} episodes ({listed_ranges(episodes)}) of "
            f"{self.dataset}: {self.origin}"
        )

    @property
    def reference(self) -> Decoding:
        """What other decodings are compared with: the most steps and the fewest draws."""
        return max(self.squares, key=lambda each: (each.steps, -each.draws))

    def deviations(self, decoding: Decoding) -> Float[np.ndarray, "frames horizon moving"]:
        """Squared errors in units of each joint's variance."""
        scale = np.array(self.scale)[self.moving]
        return self.squares[decoding].numpy()[..., self.moving] / scale**2


def anatomy_rows(probed: ProbedPolicy) -> list[tuple[str, str, DissectedLabel]]:
    """(kind, name, anatomy) of the whole chunk, of each joint that moves, and of each time of the chunk."""

    def dissected(name: str, anatomy: Anatomy) -> DissectedLabel:
        model = probed.model
        part = DissectedModel(
            name, "", None, anatomy, model.variance, model.steps, model.may_predict_data, model.key
        )
        return over_seeds([part])[0]

    anatomy = probed.model.anatomy
    rows = [(WHOLE, WHOLE, dissected(WHOLE, anatomy))]
    for place, joint in enumerate(probed.moving):
        name = probed.joints[joint]
        rows.append((JOINT, name, dissected(name, anatomy.elements(slice(None), place))))
    for time in range(anatomy.leak.shape[1]):
        rows.append((TIME, str(time), dissected(str(time), anatomy.elements(time))))
    return rows


def anatomy_by_part(probed: ProbedPolicy) -> pd.DataFrame:
    """A row per row of `anatomy_rows`: each measure with its bounds, in variances of the actions."""
    frame = []
    for kind, name, row in anatomy_rows(probed):
        found: dict[str, Any] = {"of": kind, "name": name, "unit": "variance"}
        for measure in (*MEASURES, *(f"removed_by_{draws}" for draws in DRAWS)):
            if measure in row.parts:
                found |= _columns(measure, row.parts[measure])
        frame.append(found | _origin_columns(probed))
    return pd.DataFrame(frame)


def errors_by_part(probed: ProbedPolicy) -> pd.DataFrame:
    """A row per decoding and whole chunk, joint (in deviations and in the robot's units) and time: the root
    mean square of the action error, and its difference from the reference, on the same frames and noises."""
    rows = []
    for kind, name, unit, squares in errors_of(probed):
        reference = squares(probed.reference)
        for decoding in probed.squares:
            row: dict[str, Any] = {
                "of": kind, "name": name, "unit": unit, "steps": decoding.steps, "draws": decoding.draws,
            }  # fmt: skip
            row |= _columns("rms", rms_over_conditions(squares(decoding), groups=probed.groups))
            if decoding != probed.reference:
                difference = rms_over_conditions(squares(decoding), reference, probed.groups)
                row |= {"minus": probed.reference.label, **_columns("difference", difference)}
            rows.append(row | _origin_columns(probed))
    return pd.DataFrame(rows)


def errors_of(
    probed: ProbedPolicy,
) -> Iterator[tuple[str, str, str, Callable[[Decoding], Float[np.ndarray, "frames"]]]]:
    """(kind, name, unit, squared errors by frame) of each part of a chunk."""
    deviations = {decoding: probed.deviations(decoding) for decoding in probed.squares}
    yield WHOLE, WHOLE, DEVIATIONS, lambda decoding: deviations[decoding].mean((1, 2))
    for place, joint in enumerate(probed.moving):
        yield JOINT, probed.joints[joint], DEVIATIONS, lambda d, i=place: deviations[d][..., i].mean(1)
    for joint, name in enumerate(probed.joints):
        yield JOINT, name, "robot", lambda d, i=joint: probed.squares[d][..., i].mean(1).numpy()
    for time in range(deviations[probed.reference].shape[1]):
        yield TIME, str(time), DEVIATIONS, lambda d, i=time: deviations[d][:, i].mean(1)


def _columns(name: str, part: Interval) -> dict[str, float]:
    return {name: part.estimate, f"{name}_low": part.low, f"{name}_high": part.high}


def _origin_columns(probed: ProbedPolicy) -> dict[str, Any]:
    return {
        "frames": len(probed.groups), "episodes": len(set(probed.groups.tolist())),
        "frames_are": probed.origin, "interval": "t over episodes",
    }  # fmt: skip


def policy_sentences(probed: ProbedPolicy) -> list[str]:
    """What one step loses and what to do, then each decoding against the reference, then what the frames
    are."""
    model = probed.model
    [whole] = over_seeds([model])
    sentences = [whole.diagnosis.sentence(model.label)]
    if not probed.takes_noise:
        sentences.append(
            f"{model.label} takes no noise, so its leak is 0 by construction: no draws to average."
        )
    sentences += [_verdict(probed, decoding) for decoding in probed.squares if decoding != probed.reference]
    caveat = CAVEATS[probed.origin]
    return [*sentences, f"Measured on {probed.where}{f'; {caveat}' if caveat else ''}."]


def _verdict(probed: ProbedPolicy, decoding: Decoding) -> str:
    """How the action error of `decoding` compares with the reference's, by the paired interval."""
    one, other = (probed.deviations(each).mean((1, 2)) for each in (decoding, probed.reference))
    found = rms_over_conditions(one, other, probed.groups)
    rms = [float(np.sqrt(squares.mean())) for squares in (one, other)]
    this, that = _in_words(decoding), _in_words(probed.reference)
    errs = f"actions err by {rms[0]:.3g} standard deviations, {that} by {rms[1]:.3g}"
    bounds = f"[{found.low:.2g}, {found.high:.2g}]"
    if found.low > 0:
        verdict = f"worse by {found.estimate:.2g} {bounds}"
    elif found.high <= 0:
        verdict = f"not worse, but better by {-found.estimate:.2g} [{-found.high:.2g}, {-found.low:.2g}]"
    else:
        verdict = f"not worse by more than {found.high:.2g} (difference {found.estimate:.2g} {bounds})"
    return f"{this[0].upper()}{this[1:]} {errs}: {verdict}."


def _in_words(decoding: Decoding) -> str:
    steps = "in one step" if decoding.steps == 1 else f"in {decoding.steps} steps"
    return steps if decoding.draws == 1 else f"{steps} with the mean of {decoding.draws} draws"
