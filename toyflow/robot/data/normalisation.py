"""Scaling of states and actions, dimension by dimension; stored with the checkpoint, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toyflow.errors import UsageError, printable, unknown
from toyflow.robot.data.normalisation_kinds import NORMALISATION_KINDS, NormalisationKind
from toyflow.robot.interface import Interface

CONSTANT = 1e-5
"""A standard deviation below this share of max(1, |mean|) counts as 0: rounding of a constant gives as
much."""


@dataclass(frozen=True)
class Scaling:
    """normal = (raw - centre) / scale, and raw = centre + scale * normal, in every dimension. A constant
    dimension has scale 0: normalising divides by 1, and the inverse gives `centre` exactly."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def constant(self) -> tuple[int, ...]:
        """The dimensions that are constant in the data, counted from 0."""
        return tuple(i for i, scale in enumerate(self.scale) if scale == 0)


@dataclass(frozen=True)
class Normalisation:
    """How a policy's states and actions are scaled: by mean and standard deviation (`mean-std`), or so that
    the 1 % and 99 % quantiles become -1 and 1 (`quantile`).

    >>> statistics = {"mean": [0.0, 2.0], "std": [1.0, 0.5]}
    >>> normalisation = Normalisation.from_statistics(statistics, statistics)
    >>> normalisation.action
    Scaling(centre=(0.0, 2.0), scale=(1.0, 0.5))
    >>> Normalisation.from_dict(normalisation.as_dict()) == normalisation
    True
    """

    kind: NormalisationKind
    state: Scaling
    action: Scaling

    @classmethod
    def from_statistics(
        cls,
        state: Mapping[str, Any],
        action: Mapping[str, Any],
        kind: str = "mean-std",
    ) -> Normalisation:
        """The normalisation by a data set's statistics. Where q01 and q99 are equal although the dimension is
        not constant (a gripper that seldom moves), mean and std are used.

        Args:
            state, action: `mean` and `std`, and for `quantile` also `q01` and `q99`, each a list or array of
                one number per dimension; other statistics are ignored.
            kind: mean-std or quantile.

        Raises:
            UsageError: a statistic is missing, of another length than the mean, or not a finite number.
        """
        if kind not in NORMALISATION_KINDS:
            raise unknown("normalisation", kind, NORMALISATION_KINDS)
        quantile = kind == "quantile"
        return cls(
            "quantile" if quantile else "mean-std",
            scaling_of("state statistics", state, quantile),
            scaling_of("action statistics", action, quantile),
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "kind": self.kind,
            "state": {name: list(numbers) for name, numbers in asdict(self.state).items()},
            "action": {name: list(numbers) for name, numbers in asdict(self.action).items()},
        }

    @classmethod
    def from_dict(cls, values: Any) -> Normalisation:
        """The normalisation that `as_dict` gave. Raises UsageError where `values` is not one."""
        if not isinstance(values, Mapping) or set(values) != {"kind", "state", "action"}:
            raise UsageError("a normalisation has kind, state and action, and nothing else.")
        if values["kind"] not in NORMALISATION_KINDS:
            raise unknown("normalisation", str(values["kind"]), NORMALISATION_KINDS)
        scalings: dict[str, Scaling] = {}
        for name in ("state", "action"):
            centre = _numbers(f"{name} normalisation", values[name], "centre")
            scale = _numbers(f"{name} normalisation", values[name], "scale", len(centre))
            if any(number < 0 for number in scale):
                raise UsageError(f"{name} normalisation: a scale is below 0.")
            scalings[name] = Scaling(centre, scale)
        return cls(values["kind"], **scalings)

    def constant(self, state: bool = True) -> str:
        """The dimensions of the action, and of the `state`, that are constant in the data, in words; empty
        for none. A policy cannot learn from them or change them."""
        found = {"state": self.state.constant() if state else (), "action": self.action.constant()}
        return " and ".join(f"{name} {list(dims)}" for name, dims in found.items() if dims)

    def check_fits(self, interface: Interface) -> None:
        """Raise UsageError unless it has as many dimensions as the interface."""
        for name, scaling, dimensions in (
            ("state", self.state, interface.state_dim),
            ("action", self.action, interface.action_dim),
        ):
            if len(scaling.centre) != dimensions:
                raise UsageError(
                    f"the normalisation is for {name}s of {len(scaling.centre)} numbers, the interface has "
                    f"{dimensions}."
                )


class Normaliser(nn.Module):
    """A `Scaling` for tensors. Its numbers are in the JSON beside the weights, not in the state dict."""

    centre: Tensor
    scale: Tensor
    divisor: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        divisor = [scale or 1.0 for scale in scaling.scale]
        for name, numbers in (("centre", scaling.centre), ("scale", scaling.scale), ("divisor", divisor)):
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float32), persistent=False)

    def forward(self, raw: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Normalised values."""
        return (raw - self.centre) / self.divisor

    def inverse(self, normal: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The raw values of normalised ones; constant dimensions exactly."""
        return self.centre + self.scale * normal


def scaling_of(where: str, statistics: Mapping[str, Any], quantile: bool = False) -> Scaling:
    """A data set's scaling by mean and standard deviation, or by quantiles; see `Normalisation`. Raises
    UsageError that begins with `where`."""
    centre = list(_numbers(where, statistics, "mean"))
    scale = list(_numbers(where, statistics, "std", len(centre)))
    for i, spread in enumerate(scale):
        if spread < 0:
            raise UsageError(f"{where}: std of dimension {i} is {spread:g}, below 0.")
    constant = [spread < CONSTANT * max(1, abs(mean)) for mean, spread in zip(centre, scale, strict=True)]
    if quantile:
        low = _numbers(where, statistics, "q01", len(centre))
        high = _numbers(where, statistics, "q99", len(centre))
        for i in range(len(centre)):
            if low[i] > high[i]:
                raise UsageError(f"{where}: q01 of dimension {i} is {low[i]:g}, above q99, {high[i]:g}.")
            if high[i] - low[i] > CONSTANT * max(1, abs(centre[i])):
                centre[i], scale[i] = (low[i] + high[i]) / 2, (high[i] - low[i]) / 2
    return Scaling(
        tuple(centre), tuple(0.0 if still else spread for still, spread in zip(constant, scale, strict=True))
    )


def _numbers(where: str, values: Any, key: str, length: int | None = None) -> tuple[float, ...]:
    """`values[key]` as finite numbers. Raises UsageError that begins with `where`."""
    if not isinstance(values, Mapping) or key not in values:
        has = ", ".join(map(printable, values)) if isinstance(values, Mapping) else ""
        raise UsageError(f"{where}: there is no {key}, only {has or 'nothing'}.")
    try:
        if isinstance(values[key], str | bytes | Mapping):
            raise TypeError
        numbers = tuple(float(number) for number in values[key])
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{where}: {key} must be a list of numbers, one per dimension.") from None
    for i, number in enumerate(numbers):
        if not math.isfinite(number):
            raise UsageError(f"{where}: {key} of dimension {i} is {number}; find it in the data set.")
    if length is not None and len(numbers) != length:
        raise UsageError(f"{where}: {key} has {len(numbers)} numbers where there are {length} dimensions.")
    return numbers
