"""The rule of `toyflow recommend`: from the anatomy of one model to schedule, prediction, steps and draws.

It reads no scores, so that it also serves where nothing can be scored. The model predicts the data under
`shift:4`, is trained for half of the iterations, and answers examples of the validation split. Measured are,
as means over elements of the target:

    V      variance of the targets
    B      bias^2 + spread of a one-step answer
    L(M)   what noise leaks into the mean of M one-step answers
    S      variance of samples in ten steps under one condition, the model's own spread
    J      how far this spread is joint, for targets of codes, [tokens, code]: 0 where every token varies
           alone, so that the mean is nearest to the likeliest code of each, 1 where one hidden variable moves
           all tokens (`toyflow/flow/joint_spread.py`). Of plain numbers the mean is none of the modes, joint
           or not, so that every spread counts as joint

The rule, in this order:

    1. S >= 0.25 V and J >= 0.25: ten steps, one draw. The mean of the modes is none of them.
    2. S >= 0.25 V, or B >= 0.25 V: unclear. Either every token varies alone, or this training was too short
       to learn what couples them, or that there is a spread, or the mean. The model is trained for all
       iterations, once, and the rule begins anew; the second time this line is skipped.
    3. B > 0.9 V: nothing was learned, so nothing is said: the constant choice, ten steps and one draw.
    4. Else one step, and the fewest of 1, 2 and 8 draws with L(M) <= 0.02 B.

Schedule and prediction are `shift:4` and `data` always: no short training told where another is better. All
of this was made on four settings (grid of side 2, grid of side 3 in scalars, dial with a fair coin, wave) and
fixed before any other was looked at; docs/results/recommend.md says how it did on the others. (That plain
numbers have no J was settled later; it changed no choice in any of these.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SCHEDULE, PREDICTION = "shift:4", "data"
FEW, MANY = 1, 10
"""Numbers of steps to choose from."""
DRAWS = (1, 2, 8)
"""Numbers of draws to choose from, in one step."""
SPREAD = 0.25
"""Least S / V that may ask for many steps, and least B / V that a longer training has to explain."""
JOINT = 0.25
"""Least J at which the spread counts as joint: tokens correlate by half or more."""
LEARNED = 0.1
"""Least share of the variance that a model that has learned explains, 1 - B / V."""
LEAK = 0.02
"""Largest L(M) / B that needs no more draws."""

Reason = Literal["joint spread", "unclear", "nothing learned", "one step"]


@dataclass(frozen=True)
class Evidence:
    """What the rule reads of a model; the names are those of the module's docstring."""

    variance: float
    """V."""
    rest: float
    """B."""
    leak: Mapping[int, float]
    """L(M) by M, for `DRAWS`."""
    spread: float
    """S."""
    joint: float | None
    """J; None for targets of plain numbers, and where samples do not vary."""
    iterations: int
    """Of the model's training."""


@dataclass(frozen=True)
class Choice:
    """What to train, and how to decode it."""

    schedule: str = SCHEDULE
    prediction: str = PREDICTION
    steps: int = MANY
    draws: int = 1

    @property
    def label(self) -> str:
        """What tables call its training: `data(shift:4)`."""
        return f"{self.prediction}({self.schedule})"


def apply_rule(evidence: Evidence, last: bool) -> tuple[Choice | None, Reason]:
    """The choice and its reason, by the rule above; no choice where a longer training has to tell.

    Args:
        evidence: of one model.
        last: whether no longer training will follow.

    Example: an answer with little leak and no spread takes one step, and a pair.
        >>> from toyflow.report.recommendation_rule import Evidence, apply_rule
        >>> leak = {1: 0.005, 2: 0.0004, 8: 0.0001}
        >>> apply_rule(Evidence(1.0, 0.05, leak, 0.001, 0.0, 150), last=False)
        (Choice(schedule='shift:4', prediction='data', steps=1, draws=2), 'one step')
    """
    spreads = evidence.spread >= SPREAD * evidence.variance
    misses = evidence.rest >= SPREAD * evidence.variance
    learned = evidence.rest <= (1 - LEARNED) * evidence.variance
    if spreads and (evidence.joint is None or evidence.joint >= JOINT):
        return Choice(), "joint spread"
    if not last and (spreads or misses):
        return None, "unclear"
    if not learned:
        return Choice(), "nothing learned"
    enough = (draws for draws in DRAWS if evidence.leak[draws] <= LEAK * evidence.rest)
    return Choice(steps=FEW, draws=next(enough, DRAWS[-1])), "one step"
