"""From the anatomy of a one-step error to what to do: the rule behind the sentences of `toyflow probe`.

The constants are judgements, made before the rule was used. An anatomy consists of squared errors. It cannot
tell whether a spread has joint modes, nor how precise answers must be: on the tower of Hanoi two policies
with errors of 9 and 11 % of the targets' standard deviation solved 100 and 9 of 100 episodes in one step
(docs/results/two-arms.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from toyflow.flow.anatomy import DRAWS
from toyflow.stats import Interval

NEGLIGIBLE = 0.005
"""Largest part of the targets' variance that is nothing to lose: 7 % of their standard deviation."""
MINOR = 0.1
"""Largest share of the error that is not worth naming beside others."""
LEFT = 1 / 8
"""Share of the leak that the advised number of draws may leave."""
HELPED = 0.8
"""Several steps help against bias where they err by at most this share of bias^2 + spread."""
OVERDISPERSED = 1.5
"""The task's spread is at most bias^2 + spread. A model whose samples vary by more than this many times that
adds noise of its own in several steps, and does not tell the spread."""

AVERAGE = "average draws (what they remove was not measured)"
"""Remedy of a leak that was measured by answers that are no pairs x0, -x0."""

Part = Literal["leak", "bias", "spread", "sampled spread", "bias or spread", "bias or unlearned spread"]


@dataclass(frozen=True)
class Loss:
    """A part of a one-step error that is worth naming."""

    part: Part
    size: float
    """Mean square per number of the target."""
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """What one step loses, and what to do."""

    error: float
    """The one-step error, mean square per number; without targets its leak, and the model's own spread in
    place of the rest."""
    variance: float
    """Of the targets."""
    losses: tuple[Loss, ...]
    """The largest first; none where there is nothing to lose."""
    draws: int
    """How many draws to average: 1 where leak is not worth naming, or what draws remove was not measured."""
    steps: int
    """How many steps to take."""

    @property
    def smallness(self) -> str:
        """The error beside the targets: as a part of their variance, and of their standard deviation."""
        share = math.sqrt(self.error / self.variance) if self.variance else 0.0
        of = f"{shown(self.error)} of the targets' variance {shown(self.variance)}"
        return f"{of}, {100 * share:.2g} % of their standard deviation"

    def sentence(self, label: str) -> str:
        """What is to be said of the model called `label`, in one sentence."""
        if not self.losses:
            return (
                f"{label}: one step loses nothing to speak of ({self.smallness}): keep one step and one "
                "draw, if that is precise enough."
            )
        first, *others = self.losses
        words = [f"{shown(first.size)} (of {shown(self.error)}) to {_NAMES[first.part]}: {first.remedy}"]
        words += [f"{shown(loss.size)} to {_NAMES[loss.part]}: {loss.remedy}" for loss in others]
        return f"{label}: one step loses {'; '.join(words)}."


_NAMES: dict[Part, str] = {
    "leak": "leaked noise",
    "bias": "bias",
    "spread": "the task's own spread",
    "sampled spread": "the model's own spread (its leak in several steps included)",
    "bias or spread": "bias or the task's own spread",
    "bias or unlearned spread": "bias or a spread that the model has not learned",
}


def shown(size: float) -> str:
    """A mean square as it is written: `0.12`, or `<0.0001`."""
    return f"{size:.2g}" if size >= 1e-4 else "<0.0001"


def diagnose(
    parts: Mapping[str, Interval], variance: float, steps: int | None, may_predict_data: bool
) -> Diagnosis:
    """What one step loses: the parts above `NEGLIGIBLE` of the variance and `MINOR` of the error, and above 0
    by their interval.

    - leak: the least of `DRAWS` that leaves at most `LEFT` of it, or another prediction.
    - spread, as known; else the model's own, as far as it can be the task's: several steps, if it is right
      answers and no noise of the data, which squared errors do not tell. The error of
      samples in K steps is their variance + bias_K^2 + spread, so that the spread is at most their error less
      their variance, and at most bias^2 + spread.
    - bias, the rest, where moments are known: neither draws nor steps, unless samples in several steps err
      less than one step without its leak.
    - bias or unlearned spread, the rest where no moments are known: one target per condition does not tell
      bias from a spread of the task that the model's samples do not show.
    - bias or spread, where the model's samples tell no spread.

    Args:
        parts: of `Anatomy.intervals`.
        variance: of the targets (their mean over elements).
        steps: K of the samples in several steps; None where the model has none.
        may_predict_data: whether the model could be trained with `--predict data`, and was not.

    Example:
        >>> from toyflow.report.diagnosis import diagnose
        >>> from toyflow.stats import Interval
        >>> measured = {"leak": 0.122, "error": 0.125, "bias_and_spread": 0.003, "model_spread": 0.004}
        >>> measured |= {"removed_by_2": 0.85, "removed_by_4": 0.92}
        >>> parts = {name: Interval(value, value, value) for name, value in measured.items()}
        >>> print(diagnose(parts, 0.5, 10, may_predict_data=True).sentence("uniform"))
        uniform: one step loses 0.12 (of 0.12) to leaked noise: average 4 draws or train with --predict data.
    """
    sizes = {name: part.estimate for name, part in parts.items()}
    sampled = max(0.0, sizes.get("model_spread", 0.0))
    rest = sizes.get("bias_and_spread", sampled)
    error = sizes["leak"] + rest

    def matters(size: float, measured: str) -> bool:
        certain = measured not in parts or parts[measured].low > 0
        return certain and size > NEGLIGIBLE * variance and size > MINOR * error

    losses: list[Loss] = []
    draws, taken = 1, 1
    if matters(sizes["leak"], "leak"):
        draws = _enough_draws(sizes)
        training = " or train with --predict data" if may_predict_data else ""
        average = f"average {draws} draws" if draws > 1 else AVERAGE
        losses.append(Loss("leak", sizes["leak"], f"{average}{training}"))
    known, tells = "spread" in sizes, steps is not None and sampled <= OVERDISPERSED * rest
    if known or tells:
        beside = sizes.get("sample_error", sampled + rest) - sampled  # bias^2 of several steps + spread
        spread = sizes["spread"] if known else max(0.0, min(sampled, rest, beside))
        if matters(spread, "spread" if known else "model_spread"):
            taken = steps or 1
            remedy = _for_spread(steps, known)
            losses.append(Loss("spread" if known else "sampled spread", spread, remedy))
        bias = sizes.get("bias", rest - spread)
        if matters(bias, "bias" if "bias" in sizes else "bias_and_spread"):
            training = ", or with --predict data" if may_predict_data else ""
            part: Part = "bias"
            if steps is not None and sizes.get("sample_error", rest) <= HELPED * rest:
                taken = steps
                remedy = f"{steps} steps err by {shown(sizes['sample_error'])}, so keep them, or train longer"
            elif known:
                remedy = "draws do not help"
                if "sample_error" in sizes and spread <= NEGLIGIBLE * variance:
                    remedy += f", nor do {steps} steps, which err by {shown(sizes['sample_error'])}"
                remedy += f": train longer or a larger model{training}"
            else:
                part = "bias or unlearned spread"
                remedy = f"draws do not help; train longer{training}, and probe again"
            losses.append(Loss(part, bias, remedy))
    elif matters(rest, "bias_and_spread"):
        if steps is None:
            remedy = "this objective has one step, which cannot tell them apart; compare with flow in several"
        else:
            remedy = (
                f"{steps} steps add more noise of their own ({shown(sampled)}), so keep one and train longer"
            )
        losses.append(Loss("bias or spread", rest, remedy))
    losses.sort(key=lambda loss: -loss.size)
    return Diagnosis(error, variance, tuple(losses), draws, taken)


def _for_spread(steps: int | None, known: bool) -> str:
    """A task's known spread is right answers. What demonstrations vary by may be noise, which is better
    averaged: on LIBERO ten steps make it, and solve less (`results/reference/one-step/libero`)."""
    if steps is None:
        return "train flow and take several steps"
    if known:
        return f"keep {steps} steps"
    return f"keep {steps} steps if these are different right answers, else one: compare their scores"


def _enough_draws(sizes: Mapping[str, float]) -> int:
    """The least of `DRAWS` that leaves at most `LEFT` of the leak; 1 where that was not measured."""
    if f"removed_by_{DRAWS[0]}" not in sizes:
        return 1
    able = (draws for draws in DRAWS if sizes[f"removed_by_{draws}"] >= 1 - LEFT)
    return next(able, DRAWS[-1])
