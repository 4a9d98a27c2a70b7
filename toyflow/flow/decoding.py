"""Decoding: how a trained model is asked for a sample, that is steps, sampler, grid and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow.grids import parse_grid
from toyflow.flow.guidance import Known
from toyflow.flow.model import Model, Predictor, repeat_condition
from toyflow.flow.objectives import Objective
from toyflow.flow.samplers import Sampler, euler, parse_sampler

MOST_ROWS = 4096
"""Most rows, draws x batch, of one call of a model."""


@dataclass(frozen=True)
class Decoding:
    """How a trained model is asked for a sample.

    With M draws, a model is decoded from M noises in one batched call, and the M answers are averaged. The
    noises are M / 2 antithetic pairs, x0 and -x0: a pair cancels whatever of the noise comes through as an
    odd function of it. In one step the mean of M answers estimates E_x0[y(x0, c)], which is E[x1 | c] for an
    ideal model, so draws remove leaked noise, and neither the model's bias nor the spread of the data. In
    several steps the M answers are M samples: where the data have several modes, their mean lies between
    these and is no sample itself.

    Args:
        steps: K, the number of denoising steps.
        sampler: its name; None for Euler, or for an objective that uses none.
        grid: name of the times of the steps, see `parse_grid`; None for equal steps.
        draws: M, 1 or an even number.

    Raises:
        UsageError: there is no such sampler or grid, the grid makes another number of steps, or M is odd.

    Example: noise that leaks through with a factor 0.3 is gone in a pair.
        >>> import torch
        >>> from toyflow import Decoding, PureNoise, draw_noise
        >>> def model(x, t, condition):
        ...     return condition + 0.3 * x
        >>> noise = draw_noise(2, lambda: torch.randn(5, 3))
        >>> sample = Decoding(draws=2).sample(PureNoise(), model, torch.ones(5, 3), noise)
        >>> torch.allclose(sample, torch.ones(5, 3))
        True
    """

    steps: int = 1
    sampler: str | None = None
    grid: str | None = None
    draws: int = 1

    def __post_init__(self) -> None:
        if self.steps != int(self.steps) or self.steps < 1:
            raise UsageError(f"steps must be a whole number of 1 or more, got {self.steps}.")
        check_draws(self.draws)
        parse_sampler(self.sampler or euler.name)
        if self.grid is not None:
            parse_grid(self.grid).points(self.steps)

    @property
    def label(self) -> str:
        """Name for progress and messages: `K=4`, `heun K=4`, `K=1 M=8`, `K=2 grid=shift:3`."""
        return decoding_label(self.steps, self.sampler, self.grid, self.draws)

    def check(self, objective: Objective, known: bool = False) -> None:
        """Raise UsageError where `objective` cannot be decoded in this way; with `known`, nor around what is
        known of a sample."""
        if known and not objective.takes_known:
            raise UsageError(
                f"objective {objective.name!r} has no velocity to guide towards what is known of a sample; "
                "flow has."
            )
        if not objective.can_decode(self.steps):
            raise UsageError(f"a model trained by {objective.name} cannot decode in {self.steps} steps.")
        if self.grid is not None and not objective.uses_grid:
            raise UsageError(
                f"objective {objective.name!r} has steps of its own, so grid {self.grid} cannot be used."
            )
        if self.draws > 1 and not objective.uses_noise:
            raise UsageError(
                f"objective {objective.name!r} decodes without noise: there is nothing to average, so leave "
                "draws at 1."
            )

    def model_calls(self, objective: Objective) -> int:
        """Number of function evaluations (NFE) for a sample. All draws share a call."""
        return objective.model_calls(self.steps, self._sampler)

    def sample(
        self,
        objective: Objective,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "*draws batch ..."],
    ) -> Float[Tensor, "batch ..."]:
        """A sample of the target for each condition: the mean of `answers` over the draws.

        Args:
            objective: which the model was trained by.
            model, condition: as for `Objective.decode`; with several draws the condition is a tensor, or
                tuples, lists and dictionaries of tensors, the batch first.
            noise: x0 ~ N(0, I), [batch, ...] for one draw, else [draws, batch, ...], see `draw_noise`.

        Raises:
            UsageError: the objective cannot be decoded so, or noise is for another number of draws.
        """
        self.check(objective)
        if self.draws == 1:
            return self._decode(objective, model, condition, noise)
        if len(noise) != self.draws:
            raise UsageError(
                f"{self.draws} draws need noise [{self.draws}, batch, ...], got {list(noise.shape)}; see "
                "toyflow.draw_noise."
            )
        return self.answers(objective, model, condition, noise).mean(0)

    def answers(
        self,
        objective: Objective,
        model: Predictor,
        condition: Any,
        noise: Float[Tensor, "draws batch ..."],
        known: Known | None = None,
    ) -> Float[Tensor, "draws batch ..."]:
        """The answer from each noise; see `sample`. All draws are one batch, unless that had more than
        `MOST_ROWS` rows.

        Args:
            objective, model, condition: as for `sample`.
            noise: x0 ~ N(0, I).
            known: what is known of the batch's samples already, the same for all draws; None for nothing.

        Raises:
            UsageError: the objective cannot use `known`.
        """
        self.check(objective, known is not None)
        repeat = model.repeat if isinstance(model, Model) else repeat_condition
        at_once = max(1, MOST_ROWS // max(1, noise.shape[1]))
        answers = [
            self._decode(
                objective, model, repeat(condition, len(part)), part.flatten(0, 1),
                repeat_condition(known, len(part)),
            ).unflatten(0, part.shape[:2])
            for part in noise.split(at_once)
        ]  # fmt: skip
        return answers[0] if len(answers) == 1 else torch.cat(answers)

    def _decode(
        self,
        objective: Objective,
        model: Predictor,
        condition: Any,
        noise: Tensor,
        known: Known | None = None,
    ) -> Tensor:
        more: dict[str, Any] = {} if known is None else {"known": known}
        if self.grid is not None:
            more["grid"] = parse_grid(self.grid).points(self.steps, noise.device)
        return objective.decode(model, condition, noise, self.steps, self._sampler, **more)

    @property
    def _sampler(self) -> Sampler:
        return parse_sampler(self.sampler or euler.name)


def parse_decoding(
    steps: int | None = None, sampler: str | None = None, grid: str | None = None, draws: int = 1
) -> Decoding:
    """The decoding that these ask for, of one policy.

    Args:
        steps: K; None for 1, or for the number that the grid's times make.
        sampler: its name; None for Euler.
        grid: its name; `uniform` and None are equal steps.
        draws: M.

    Raises:
        UsageError: as `Decoding`.

    Example:
        >>> from toyflow.flow.decoding import parse_decoding
        >>> parse_decoding(grid="0:0.90:1").label
        'K=2 grid=0:0.9:1'
        >>> parse_decoding(steps=4, grid="uniform").grid is None
        True
    """
    times = parse_grid(grid or "uniform")
    name = None if times.name == "uniform" else times.name
    return Decoding(times.steps or 1 if steps is None else steps, sampler, name, draws)


def decoding_label(steps: int, sampler: str | None, grid: str | None, draws: int) -> str:
    """Name of a decoding for progress and messages, see `Decoding.label`; nothing is checked.

    Example:
        >>> from toyflow.flow.decoding import decoding_label
        >>> decoding_label(4, "heun", None, 1), decoding_label(2, "euler", "shift:3", 8)
        ('heun K=4', 'K=2 grid=shift:3 M=8')
    """
    called = "" if sampler in (None, euler.name) else f"{sampler} "
    at = "" if grid is None else f" grid={grid}"
    return f"{called}K={steps}{at}" + (f" M={draws}" if draws > 1 else "")


def check_draws(draws: int) -> None:
    """Raise UsageError unless `draws` is 1 or an even number of 2 or more."""
    if draws != 1 and (draws < 2 or draws % 2):
        raise UsageError(f"draws must be 1 or an even number (pairs of noise x0 and -x0), got {draws}.")


def draw_noise(draws: int, draw_one: Callable[[], Float[Tensor, "..."]]) -> Float[Tensor, "..."]:
    """The noise of `Decoding.sample`: what `draw_one` gives for one draw, else [draws, ...]: pairs x0, -x0.

    The first of the draws is that of one draw, the first two those of two draws, and so on, so that different
    numbers of draws are compared from equal noise.

    Raises:
        UsageError: draws is neither 1 nor even.

    Example:
        >>> import torch
        >>> from toyflow import draw_noise
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise = draw_noise(4, lambda: torch.randn(2, 3, generator=generator))
        >>> noise.shape, torch.equal(noise[1], -noise[0])
        (torch.Size([4, 2, 3]), True)
    """
    check_draws(draws)
    if draws == 1:
        return draw_one()
    halves = [draw_one() for _ in range(draws // 2)]
    return torch.stack([sign * half for half in halves for sign in (1, -1)])
