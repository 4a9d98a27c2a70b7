"""What `toyflow probe` measures of a policy: errors by joint and by time of the chunk.

Two errors of a plan are measured against the actions of a data set: the error of its actions, and the error
of its moves. A move is the change from one action to the next, which a robot feels. On two arms (velocity,
shift:4) one step and ten have the same error of actions, but solve 11 and 71 % of the trials: the noise that
leaks through in one step differs from action to action, so the plan jitters, while ten steps are smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Decoding
from toyflow.flow.anatomy import DRAWS, MEASURES, Anatomy
from toyflow.parsing import listed_ranges
from toyflow.report.anatomy_report import DissectedLabel, DissectedModel, interval_columns, over_seeds
from toyflow.report.diagnosis import Diagnosis
from toyflow.stats import Interval, rms_over_conditions

Origin = Literal[
    "frames of training",
    "held-out episodes",
    "episodes held out of its last training",
    "frames that may be of training",
]
"""What the frames were to the policy that is probed on them."""
WHOLE, JOINT, TIME = "whole chunk", "joint", "time"
"""What a row of a table is of: all numbers of a chunk, one number of each action, or one time."""
ROBOT = "robot's units"


@dataclass(frozen=True)
class PlanErrors:
    """Errors of plans, of their actions or of their moves."""

    of: Literal["actions", "moves"]
    model: DissectedModel
    """The anatomy [frames, times, moving joints] of one step in units of each joint's scale, squared."""
    scale: tuple[float, ...]
    """Of each joint, in the robot's units: of actions the standard deviation over the data set, of moves
    their root mean square over the frames. 0 for a joint without, which the anatomy leaves out."""
    squares: Mapping[Decoding, Float[Tensor, "frames times joints"]]
    """Mean squared errors in the robot's units. All decodings are of the same frames and noises."""

    @property
    def unit(self) -> str:
        """What an error is measured in."""
        return "standard deviations" if self.of == "actions" else "rms moves"

    @property
    def moving(self) -> list[int]:
        """The joints that have a scale."""
        return [place for place, scale in enumerate(self.scale) if scale]

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What one step loses."""
        return over_seeds([self.model])[0].diagnosis

    def scaled(self, decoding: Decoding) -> Float[np.ndarray, "frames times moving"]:
        """Squared errors in units of each joint's scale."""
        return self.squares[decoding].numpy()[..., self.moving] / np.array(self.scale)[self.moving] ** 2


@dataclass(frozen=True)
class ProbedPolicy:
    """What a probe found of a policy on the frames of a data set."""

    actions: PlanErrors
    moves: PlanErrors | None
    """None where a chunk has one action, or the data set's actions stay where they are."""
    takes_noise: bool
    dataset: str
    fingerprint: str
    origin: Origin
    joints: tuple[str, ...]
    """Names of the numbers of an action."""
    dissected: bool = True
    """Whether one step was measured, and its leak told from the rest; else the anatomy has at most the spread
    and error of samples."""
    same_noises: bool = True
    """Whether all numbers of steps decoded the same noises."""
    not_measured: tuple[str, ...] = ()
    """What could not be measured, and why, a sentence each."""

    @property
    def model(self) -> DissectedModel:
        """The policy, with the anatomy of its actions."""
        return self.actions.model

    @property
    def errors(self) -> tuple[PlanErrors, ...]:
        """Of actions and, where there are any, of moves."""
        return (self.actions,) if self.moves is None else (self.actions, self.moves)

    @property
    def decodings(self) -> tuple[Decoding, ...]:
        """All that were measured."""
        return tuple(self.actions.squares)

    @property
    def reference(self) -> Decoding:
        """What other decodings are compared with: the most steps and the fewest draws."""
        return max(self.decodings, key=lambda each: (each.steps, -each.draws))

    @cached_property
    def groups(self) -> np.ndarray:
        """The episode of each frame."""
        groups = self.model.anatomy.groups
        assert groups is not None
        return groups.numpy()

    @property
    def episodes(self) -> list[int]:
        """The episodes that frames were taken of."""
        return sorted(set(self.groups.tolist()))

    @property
    def where(self) -> str:
        """The frames in words, with what they were to the policy."""
        count = len(self.episodes)
        return (
            f"{len(self.groups)} frames of {count} episodes ({listed_ranges(self.episodes)}) of "
            f"{self.dataset}: {self.origin}"
        )

    @property
    def one_step(self) -> Decoding | None:
        """One step, with the most draws that the leak of actions or moves asks for where that was measured;
        among `decodings`. None where one step was not measured."""
        first = self.decodings[0]
        if first.steps > 1:
            return None
        if not self.dissected or self.model.anatomy.leak_even is None:
            return first
        return Decoding(draws=max(errors.diagnosis.draws for errors in self.errors))

    @cached_property
    def worse(self) -> dict[str, Interval]:
        """Of what errs by more in `one_step` than in the reference's several steps, `actions` or `moves`: the
        difference. Its paired interval is above 0."""
        one_step = self.one_step
        if self.reference.steps == 1 or one_step is None:
            return {}
        found = {
            errors.of: next(error_parts(self, errors)).difference(self, one_step) for errors in self.errors
        }
        return {of: difference for of, difference in found.items() if difference.low > 0}

    @property
    def advice(self) -> Decoding | None:
        """The most steps that the anatomy of actions or moves asks for; where that is one, the reference's if
        `one_step` is worse, else `one_step`. None where one step and several were not both measured, and the
        leak is not known."""
        one_step = self.one_step
        if one_step is None or not (self.dissected or self.reference.steps > 1):
            return None
        steps = max(errors.diagnosis.steps for errors in self.errors) if self.dissected else 1
        if steps == 1 and self.worse:
            steps = self.reference.steps
        return one_step if steps == 1 else Decoding(steps)


class DissectedPart(NamedTuple):
    """The anatomy of a part of a chunk."""

    kind: str
    name: str
    row: DissectedLabel


class PartErrors(NamedTuple):
    """Errors of a part of a chunk."""

    kind: str
    name: str
    unit: str
    squares: Callable[[Decoding], Float[np.ndarray, "frames"]]
    """Squared errors by frame of a decoding."""

    def rms(self, probed: ProbedPolicy, decoding: Decoding) -> Interval:
        """The root mean square of the errors."""
        return rms_over_conditions(self.squares(decoding), groups=probed.groups)

    def difference(self, probed: ProbedPolicy, decoding: Decoding) -> Interval:
        """That of a decoding less that of the reference."""
        reference = self.squares(probed.reference)
        return rms_over_conditions(self.squares(decoding), reference, probed.groups)


def dissected_parts(probed: ProbedPolicy, errors: PlanErrors) -> list[DissectedPart]:
    """The anatomy of the whole chunk, of each joint that has a scale, and of each time."""
    model = errors.model

    def dissected(kind: str, name: str, anatomy: Anatomy) -> DissectedPart:
        part = DissectedModel(
            name, "", None, anatomy, model.variance, model.steps, model.may_predict_data, model.key
        )
        return DissectedPart(kind, name, over_seeds([part])[0])

    anatomy = model.anatomy
    parts = [dissected(WHOLE, WHOLE, anatomy)]
    for place, joint in enumerate(errors.moving):
        parts.append(dissected(JOINT, probed.joints[joint], anatomy.elements(slice(None), place)))
    for time in range(anatomy.leak.shape[1]):
        parts.append(dissected(TIME, str(time), anatomy.elements(time)))
    return parts


def error_parts(probed: ProbedPolicy, errors: PlanErrors) -> Iterator[PartErrors]:
    """The errors of the whole chunk, of each joint (in its scale and in the robot's units), of each time."""
    scaled, unit = {decoding: errors.scaled(decoding) for decoding in probed.decodings}, errors.unit
    yield PartErrors(WHOLE, WHOLE, unit, lambda decoding: scaled[decoding].mean((1, 2)))
    for place, joint in enumerate(errors.moving):
        name = probed.joints[joint]
        yield PartErrors(JOINT, name, unit, lambda d, i=place: scaled[d][..., i].mean(1))
    for joint, name in enumerate(probed.joints):
        yield PartErrors(JOINT, name, ROBOT, lambda d, i=joint: errors.squares[d][..., i].mean(1).numpy())
    for time in range(scaled[probed.reference].shape[1]):
        yield PartErrors(TIME, str(time), unit, lambda d, i=time: scaled[d][:, i].mean(1))


def anatomy_frame(probed: ProbedPolicy) -> pd.DataFrame:
    """A row per part of a chunk, of actions and of moves: each measure with its bounds, in squared units."""
    rows = []
    for errors in probed.errors:
        for kind, name, row in dissected_parts(probed, errors):
            found: dict[str, Any] = {"of": errors.of, "part": kind, "name": name, "unit": errors.unit}
            for measure in (*MEASURES, *(f"removed_by_{draws}" for draws in DRAWS)):
                if measure in row.parts:
                    found |= interval_columns(measure, row.parts[measure])
            rows.append(found | _origin_columns(probed))
    return pd.DataFrame(rows)


def errors_frame(probed: ProbedPolicy) -> pd.DataFrame:
    """A row per decoding and part of a chunk, of actions and of moves: the root mean square error, and its
    difference from the reference's, on the same frames and noises."""
    rows = []
    for errors in probed.errors:
        for part in error_parts(probed, errors):
            for decoding in probed.decodings:
                row: dict[str, Any] = {
                    "of": errors.of, "part": part.kind, "name": part.name, "unit": part.unit,
                    "steps": decoding.steps, "draws": decoding.draws,
                    **interval_columns("rms", part.rms(probed, decoding)),
                }  # fmt: skip
                if decoding != probed.reference:
                    row["minus"] = probed.reference.label
                    row |= interval_columns("difference", part.difference(probed, decoding))
                rows.append(row | _origin_columns(probed))
    return pd.DataFrame(rows)


def _origin_columns(probed: ProbedPolicy) -> dict[str, Any]:
    return {
        "frames": len(probed.groups), "episodes": len(probed.episodes), "frames_are": probed.origin,
        "interval": "t over episodes",
    }  # fmt: skip
