"""The decodings that a sweep or an evaluation asks for: steps, samplers, grids and draws, crossed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from toyflow.errors import UsageError
from toyflow.flow import Objective, TimeGrid, parse_grid, parse_sampler
from toyflow.flow.decoding import check_draws
from toyflow.sweep.records import EvaluationRecord


class Decodable(NamedTuple):
    """In which ways a trained model can be decoded, as its objective says, or its kind of LeRobot policy."""

    name: str
    can_decode: Callable[[int], bool]
    uses_sampler: bool
    uses_grid: bool
    uses_noise: bool

    @classmethod
    def by(cls, objective: Objective) -> Decodable:
        """How a model of this objective can be decoded."""
        uses = objective.uses_sampler, objective.uses_grid, objective.uses_noise
        return cls(objective.name, objective.can_decode, *uses)


class Decodings:
    """The decodings that are asked for, the product of these lists, of one model after the other.

    Args:
        steps, samplers, grids, draws: as in `SweepOptions`.
        of: what they are asked of.

    Raises:
        UsageError: a name or number that does not exist, or a grid or draws of which none of `of` has a use.
    """

    def __init__(
        self,
        steps: Iterable[int],
        samplers: Iterable[str],
        grids: Iterable[str],
        draws: Iterable[int],
        of: Sequence[Decodable],
    ) -> None:
        self.steps = sorted(set(steps))
        self.samplers = [parse_sampler(name).name for name in dict.fromkeys(samplers)]
        self.grids = [parse_grid(name) for name in dict.fromkeys(grids)]
        self.draws = sorted(set(draws))
        for each in self.draws:
            check_draws(each)
        names = ", ".join(dict.fromkeys(each.name for each in of))
        if max(self.draws, default=1) > 1 and not any(each.uses_noise for each in of):
            raise UsageError(f"--draws: {names} decodes without noise, so there is nothing to average.")
        if any(each.name != "uniform" for each in self.grids) and not any(each.uses_grid for each in of):
            raise UsageError(
                f"--grid: {names} has steps of its own; flow, consistency and meanflow take a grid."
            )
        self._record = cache(EvaluationRecord)  # a sweep of many cells has few different decodings

    def records(self, of: Decodable, test_set: str, noise_seed: int = 0) -> tuple[EvaluationRecord, ...]:
        """Those that `of` can be decoded in."""
        samplers = self.samplers if of.uses_sampler else [None]
        grids = self.grids if of.uses_grid else [TimeGrid()]
        draws = self.draws if of.uses_noise else [1]
        records = (
            self._record(sampler, steps, noise_seed, test_set, grid.name_at(steps), many)
            for sampler, grid in product(samplers, grids)
            for steps in ([grid.steps] if grid.steps else self.steps)
            if of.can_decode(steps)
            for many in draws
        )
        return tuple(dict.fromkeys(records))
