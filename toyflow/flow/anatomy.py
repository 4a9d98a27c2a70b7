"""Anatomy of a one-step error: noise that leaks through the network, bias, and the task's own spread.

A model answers y(x0, c) to noise x0 ~ N(0, I) and a condition c. As x0 and the target x1 are independent
given c, its squared error is a sum of three parts, element by element:

    E (y - x1)^2 = leak + bias^2 + spread
    leak   = E_c Var_x0[y(x0, c)]              0 for an ideal network: y = E[x1 | c] whatever x0 is
    bias^2 = E_c (E_x0[y(x0, c)] - E[x1 | c])^2
    spread = E_c Var[x1 | c]

The remedy depends on the part. Averaging several answers reduces leak. More training or another network
reduces bias. Where the spread has joint modes, only more steps reach one of them.

Leak needs neither targets nor a simulator. One target per condition gives bias^2 + spread. Several targets
per condition, or their known moments, separate the two. All estimates are unbiased, so that of a small part
may fall below 0. Elements are kept, for errors by joint or by time of an action chunk.

Over 300 lines, as the parts, their estimators and the decodings that these need share one set of definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow.decoding import Decoding
from toyflow.flow.model import Predictor
from toyflow.flow.objectives import Objective
from toyflow.stats import Interval, mean_over_conditions, ratio_over_conditions

DRAWS = (2, 4, 8, 16)
"""Numbers M of draws whose effect on the leak is reported."""
ONE_STEP_DRAWS, SAMPLE_DRAWS = 16, 4
"""How many noises each condition is decoded from: in one step, where leak is to be measured; and in several
steps, which cost more."""
MANY_STEPS = 10
"""K of the samples whose variance is the model's spread."""


class Moments(NamedTuple):
    """What is known of the targets of each condition, element by element.

    Example: a target of -1 or 1, equally likely, under each of 5 conditions.
        >>> import torch
        >>> from toyflow.flow import Moments
        >>> Moments(mean=torch.zeros(5, 1), variance=torch.ones(5, 1)).variance.shape
        torch.Size([5, 1])
    """

    mean: Float[Tensor, "conditions ..."]
    """E[x1 | c]."""
    variance: Float[Tensor, "conditions ..."]
    """Var[x1 | c]."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of a model's one-step error for each condition and each element of the target, unbiased; see
    `dissect`. What was not measured is None.

    Example: two elements, of which the second leaks.
        >>> import torch
        >>> from toyflow.flow.anatomy import dissect
        >>> noise = torch.randn(8, 500, 2, generator=torch.Generator().manual_seed(0))
        >>> pairs = torch.stack([noise, -noise], dim=1).flatten(0, 1)
        >>> found = dissect(pairs * torch.tensor([0.0, 2.0]))
        >>> [round(found.elements(i).intervals()["leak"].estimate) for i in (0, 1)]
        [0, 4]
    """

    leak: Float[Tensor, "conditions ..."]
    """Var_x0[y], the variance of one answer; NaN where it was not measured."""
    leak_odd: Float[Tensor, "conditions ..."] | None = None
    """E o^2 of the odd part o = (y(x0) - y(-x0)) / 2, whose mean is 0: what a pair x0, -x0 cancels."""
    leak_even: Float[Tensor, "conditions ..."] | None = None
    """Var e of the even part e = (y(x0) + y(-x0)) / 2, which a pair leaves. Both are the leak together, and
    None where the answers were no pairs."""
    bias_and_spread: Float[Tensor, "conditions ..."] | None = None
    """bias^2 + spread."""
    bias: Float[Tensor, "conditions ..."] | None = None
    """bias^2, where targets repeat or their moments are known."""
    spread: Float[Tensor, "conditions ..."] | None = None
    """The task's spread, where targets repeat or their moments are known."""
    model_spread: Float[Tensor, "conditions ..."] | None = None
    """Variance of samples in several steps under the same condition: the model's own spread, with what noise
    leaks in these steps."""
    sample_error: Float[Tensor, "conditions ..."] | None = None
    """E (x - x1)^2 of these samples x. A perfect sampler's is twice the spread, as it returns one mode of
    several; where there is no spread, it is to be compared with `error`."""
    groups: Int[Tensor, "conditions"] | None = None
    """Number of each condition's group, such as its episode: intervals are over groups. None: over
    conditions."""

    @property
    def error(self) -> Float[Tensor, "conditions ..."] | None:
        """E (y - x1)^2 of one answer: leak + bias^2 + spread."""
        return None if self.bias_and_spread is None else self.leak + self.bias_and_spread

    def left(self, draws: int) -> Float[Tensor, "conditions ..."]:
        """Leak of the mean of `draws` answers: of one answer, or of draws / 2 pairs x0, -x0.

        Raises:
            UsageError: several draws, and the answers were no pairs.
        """
        if draws == 1:
            return self.leak
        if self.leak_even is None:
            raise UsageError("what several draws leave of a leak is measured by answers to pairs x0, -x0.")
        return self.leak_even / (draws // 2)

    def elements(self, *index: int | slice) -> Anatomy:
        """The anatomy of some elements of the target: of joint j of an action chunk [horizon, joints] by
        `elements(slice(None), j)`, of its time i by `elements(i)`."""
        place = (slice(None), *index)
        parts = {name: part if part is None else part[place] for name, part in _parts(self).items()}
        return _anatomy(parts, self.groups)

    def over_elements(self) -> Anatomy:
        """The mean of each part over the elements, one number per condition: all that `intervals` needs, in
        less memory."""
        parts = {
            name: part if part is None else torch.from_numpy(_by_condition(part))
            for name, part in _parts(self).items()
        }
        return _anatomy(parts, self.groups)

    def intervals(self) -> dict[str, Interval]:
        """Means over elements and conditions with 95 % intervals over conditions (or groups), by name: those
        of `MEASURES` that were measured, and where the answers were pairs `removed_by_M`, the share of the
        leak that the mean of M answers lacks, for M of `DRAWS`; NaN without a leak."""
        groups = None if self.groups is None else self.groups.numpy()
        measured = {name: getattr(self, name) for name in MEASURES}
        found = {
            name: mean_over_conditions(_by_condition(part), groups)
            for name, part in measured.items()
            if part is not None
        }
        leak = _by_condition(self.leak)
        for draws in DRAWS if self.leak_even is not None else ():
            removed = _by_condition(self.leak - self.left(draws))
            found[f"removed_by_{draws}"] = ratio_over_conditions(removed, leak, groups)
        return found


MEASURES = (
    "error",
    "leak",
    "leak_odd",
    "leak_even",
    "bias_and_spread",
    "bias",
    "spread",
    "model_spread",
    "sample_error",
)
"""What an `Anatomy` may hold for each condition and element."""


def dissect(
    answers: Float[Tensor, "draws conditions ..."],
    *,
    targets: Float[Tensor, "repeats ..."] | None = None,
    moments: Moments | None = None,
    samples: Float[Tensor, "samples ..."] | None = None,
    groups: Int[Tensor, "..."] | None = None,
    paired: bool = True,
) -> Anatomy:
    """Take a one-step error apart, from several answers to each condition.

    With P pairs of answers y(+-x0_p) = e_p +- o_p and their mean y_: the leak is mean(o^2) + var(e), with
    P - 1 below the sum of var; that of y_ is var(e) / P, which is taken from (y_ - x1)^2. With R targets of
    each condition, var(x1) / R is taken from (y_ - mean(x1))^2, too. Known moments replace the targets. Of N
    answers to independent noises the leak is var(y), and that of y_ is var(y) / N.

    Args:
        answers: y, in pairs: those of `answers[2 p]` and `answers[2 p + 1]` are to noise x0_p and -x0_p, and
            all pairs are independent, of each other and between conditions. Two pairs or more.
        targets: x1, not trained on; R of each condition, independent. `target[None]` for one.
        moments: mean and variance of the targets under each condition, where they are known.
        samples: in several steps, from pairs of noise like `answers`; as many or fewer.
        groups: number of each condition's group; see `Anatomy`.
        paired: False where answers and samples are all to independent noises; two or more of each. What
            several draws remove of the leak is then not measured.

    Raises:
        UsageError: fewer than 2 pairs or an odd number of draws, or shapes that do not fit.

    Example: an answer with an odd leak of 0.5^2, a bias of 1, and a target without spread.
        >>> import torch
        >>> from toyflow.flow.anatomy import dissect
        >>> target = torch.zeros(500, 3)
        >>> noise = torch.randn(4, 500, 3, generator=torch.Generator().manual_seed(0))
        >>> pairs = torch.stack([noise, -noise], dim=1).flatten(0, 1)
        >>> found = dissect(target + 1 + 0.5 * pairs, targets=target[None]).intervals()
        >>> [round(found[name].estimate, 2) for name in ("leak", "bias_and_spread", "removed_by_2")]
        [0.25, 1.0, 1.0]
    """
    shape = answers.shape[1:]
    drawn = _pairs(answers, "answers") if paired else _independent(answers, "answers")
    parts: dict[str, Tensor | None] = _leak(drawn)
    mean, mean_leak = drawn.mean((0, 1)), _leak_of_mean(drawn)
    of_samples = None
    if samples is not None:
        _check("samples", shape, *samples)
        of_samples = _pairs(samples, "samples") if paired else _independent(samples, "samples")
        parts["model_spread"] = _leak(of_samples)["leak"]
    if moments is not None:
        _check("mean and variance of the targets", shape, *moments)
        expected, spread = (moment.double().cpu() for moment in moments)
        bias = (mean - expected).square() - mean_leak
        parts |= {"bias": bias, "spread": spread, "bias_and_spread": bias + spread}
        if of_samples is not None:
            parts["sample_error"] = (of_samples - expected).square().mean((0, 1)) + spread
    elif targets is not None:
        if not len(targets):
            raise UsageError("targets are empty; give one per condition as targets[None].")
        _check("targets [repeats, conditions, ...] (one per condition: targets[None])", shape, *targets)
        x1 = targets.double().cpu()
        parts["bias_and_spread"] = (mean - x1).square().mean(0) - mean_leak
        if len(x1) > 1:
            spread = x1.var(0)
            bias = (mean - x1.mean(0)).square() - mean_leak - spread / len(x1)
            parts |= {"bias": bias, "spread": spread}
        if of_samples is not None:
            errors = [(of_samples - target).square().mean((0, 1)) for target in x1]
            parts["sample_error"] = torch.stack(errors).mean(0)
    if groups is not None and groups.shape != shape[:1]:
        raise UsageError(f"groups must be one number per condition, {shape[0]}, not {tuple(groups.shape)}.")
    return _anatomy(parts, None if groups is None else groups.cpu())


def dissect_model(
    objective: Objective,
    model: Predictor,
    condition: Any,
    noise: Float[Tensor, "draws conditions ..."],
    *,
    targets: Float[Tensor, "repeats ..."] | None = None,
    moments: Moments | None = None,
    groups: Int[Tensor, "..."] | None = None,
    steps: int | None = None,
) -> Anatomy:
    """Decode each condition from all `noise` in one step, from the first `SAMPLE_DRAWS` in several, and
    `dissect` the answers. The noises are decoded one after the other, which needs no more memory than one.

    Args:
        objective: that the model was trained by. One that decodes without noise is decoded once: its leak is
            0 by construction, and it has no samples.
        model: trained; in evaluation mode if it has one.
        condition: of all conditions, encoded.
        noise: x0 ~ N(0, I), pairs x0, -x0, as `draw_noise` gives it.
        targets, moments, groups: as for `dissect`.
        steps: K of the samples whose spread is the model's; None for no samples. See `many_steps`.

    Raises:
        UsageError: as `dissect`, or the objective cannot be decoded in one step, or in `steps`.

    Example: a model that lets a tenth of the noise through.
        >>> import torch
        >>> from toyflow import PureNoise, draw_noise
        >>> from toyflow.flow.anatomy import dissect_model
        >>> def model(x, t, condition):
        ...     return condition + 0.1 * x
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise = draw_noise(16, lambda: torch.randn(200, 5, generator=generator))
        >>> condition = target = torch.ones(200, 5)
        >>> found = dissect_model(PureNoise(), model, condition, noise, targets=target[None])
        >>> round(found.intervals()["leak"].estimate, 3)
        0.01
    """
    once = Decoding()
    once.check(objective)
    if not objective.uses_noise:
        answers = once.sample(objective, model, condition, noise[0]).expand(len(noise), *noise.shape[1:])
        return dissect(answers, targets=targets, moments=moments, groups=groups)
    answers = torch.stack([once.sample(objective, model, condition, x0) for x0 in noise])
    samples = None
    if steps is not None:
        several = Decoding(steps)
        several.check(objective)
        drawn = noise[:SAMPLE_DRAWS]
        samples = torch.stack([several.sample(objective, model, condition, x0) for x0 in drawn])
    return dissect(answers, targets=targets, moments=moments, samples=samples, groups=groups)


def many_steps(objective: Objective, most: int = MANY_STEPS) -> int | None:
    """The largest number of steps, 2 or more and at most `most`, whose samples tell the model's spread; None
    where the objective has no such samples.

    Example:
        >>> from toyflow import FlowMatching, PureNoise, Shortcut, Uniform
        >>> from toyflow.flow.anatomy import many_steps
        >>> many_steps(FlowMatching(Uniform())), many_steps(Shortcut(Uniform())), many_steps(PureNoise())
        (10, 8, None)
    """
    able = (steps for steps in range(most, 1, -1) if objective.uses_noise and objective.can_decode(steps))
    return next(able, None)


def joined(parts: Sequence[Anatomy]) -> Anatomy:
    """The anatomy of the conditions of all `parts`, which have the same measures."""
    return _combined(parts, torch.cat, torch.cat)


def averaged(anatomies: Sequence[Anatomy]) -> Anatomy:
    """The mean anatomy of several models on the same conditions, such as those of all seeds."""
    return _combined(anatomies, lambda tensors: torch.stack(tensors).mean(0), lambda groups: groups[0])


def _combined(
    anatomies: Sequence[Anatomy],
    of_parts: Callable[[list[Tensor]], Tensor],
    of_groups: Callable[[list[Tensor]], Tensor],
) -> Anatomy:
    """What the functions make of each part, and of the groups; None where one of the anatomies lacks it."""

    def apply(function: Callable[[list[Tensor]], Tensor], found: list[Tensor | None]) -> Tensor | None:
        tensors = [tensor for tensor in found if tensor is not None]
        return function(tensors) if len(tensors) == len(found) else None

    every = [_parts(anatomy) for anatomy in anatomies]
    parts = {name: apply(of_parts, [parts[name] for parts in every]) for name in every[0]}
    return _anatomy(parts, apply(of_groups, [anatomy.groups for anatomy in anatomies]))


def _parts(anatomy: Anatomy) -> dict[str, Tensor | None]:
    return {field.name: getattr(anatomy, field.name) for field in fields(anatomy) if field.name != "groups"}


def _anatomy(parts: dict[str, Any], groups: Tensor | None) -> Anatomy:
    return Anatomy(**parts, groups=groups)


def _by_condition(part: Float[Tensor, "conditions ..."]) -> Float[np.ndarray, "conditions"]:
    return part.flatten(1).mean(1).numpy() if part.ndim > 1 else part.numpy()


def _pairs(answers: Float[Tensor, "draws conditions ..."], name: str) -> Float[Tensor, "pairs 2 ..."]:
    if len(answers) % 2 or len(answers) < 4:
        raise UsageError(
            f"the anatomy needs 2 pairs of noise x0, -x0 or more, so an even number of {name} per condition "
            f"from 4 on; got {len(answers)}."
        )
    return answers.double().cpu().unflatten(0, (-1, 2))


def _independent(answers: Float[Tensor, "draws conditions ..."], name: str) -> Float[Tensor, "draws 1 ..."]:
    if len(answers) < 2:
        raise UsageError(f"the anatomy needs 2 {name} per condition or more; got {len(answers)}.")
    return answers.double().cpu().unsqueeze(1)


def _leak(drawn: Float[Tensor, "independent pair ..."]) -> dict[str, Tensor | None]:
    """The variance of one answer and, of pairs, its parts."""
    even = drawn.mean(1).var(0)
    if drawn.shape[1] == 1:
        return {"leak": even}
    odd = ((drawn[:, 0] - drawn[:, 1]) / 2).square().mean(0)
    return {"leak": odd + even, "leak_odd": odd, "leak_even": even}


def _leak_of_mean(drawn: Float[Tensor, "independent pair ..."]) -> Float[Tensor, "..."]:
    return drawn.mean(1).var(0) / len(drawn)


def _check(name: str, shape: torch.Size, *tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.shape != shape:
            raise UsageError(
                f"{name} must be of the answers' shape {tuple(shape)}, not {tuple(tensor.shape)}."
            )
