"""Mixtures of schedules, and the point mass that they are often made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.schedules.base import Schedule, plain

TOLERANCE = 1e-6
"""How far the weights of a mixture may be from 1 in sum."""


@dataclass(frozen=True)
class PointMass(Schedule):
    """T = t, always. No density.

    Args:
        t: from 0, pure noise, to 1, data.

    Raises:
        ValueError: t is out of range.

    Example:
        >>> from toyflow import PointMass
        >>> PointMass(0).name, PointMass(0).noise_mass(0.999)
        ('point:0', 1.0)
        >>> PointMass(0.25).sample(2)
        tensor([0.2500, 0.2500])
    """

    t: float
    key = "point"
    source = "a part of mixtures: a share of training at one noise level, such as pure noise, t = 0"

    def __post_init__(self) -> None:
        if not 0 <= self.t <= 1:
            raise ValueError(f"point:t needs t from 0 to 1, got {self.t:g}")

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.full_like(u, self.t)

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (t >= self.t).to(t)


@dataclass(frozen=True)
class Mixture(Schedule):
    """With probability w_i, T follows schedule i: F(t) = sum_i w_i F_i(t).

    The name is `weight:name+weight:name`. Parts are kept in the order of their names, and equal ones are
    joined, so that one distribution has one name.

    Args:
        parts: (weight, schedule); the weights are > 0 and sum to 1. A schedule is no mixture itself.

    Raises:
        ValueError: fewer than two different parts, or weights that are not > 0 or do not sum to 1.

    Example: half of the training at pure noise, half uniform.
        >>> import torch
        >>> from toyflow import Mixture, PointMass, Uniform
        >>> half = Mixture(((0.5, Uniform()), (0.5, PointMass(0))))
        >>> half.name
        '0.5:point:0+0.5:uniform'
        >>> half.cdf(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.5000, 0.7500, 1.0000])
        >>> half.icdf(torch.tensor([0.25, 0.75], dtype=torch.float64))
        tensor([0.0000, 0.5000], dtype=torch.float64)
        >>> (half.sample(8) == 0).sum().item()
        4
    """

    parts: tuple[tuple[float, Schedule], ...]
    key: ClassVar[str] = "mixture"
    source: ClassVar[str] = (
        "Much Ado About Noising (2512.01809) trains on two times; a share at pure noise is ours"
    )

    def __post_init__(self) -> None:
        weights: dict[str, float] = {}
        for weight, part in self.parts:
            if isinstance(part, Mixture):
                raise ValueError("a part of a mixture cannot be a mixture")
            if not weight > 0:
                raise ValueError(f"the weights of a mixture must be above 0, got {weight:g}")
            weights[part.name] = weights.get(part.name, 0.0) + weight
        total = sum(weights.values())
        if not abs(total - 1) <= TOLERANCE:
            raise ValueError(f"the weights of a mixture must sum to 1, and these sum to {total:g}")
        if len(weights) < 2:
            raise ValueError("a mixture needs two different schedules or more")
        by_name = {part.name: part for _, part in self.parts}
        parts = tuple((weights[name], by_name[name]) for name in sorted(weights))
        object.__setattr__(self, "parts", parts)  # the class is frozen

    @property
    def name(self) -> str:
        """`weight:name+weight:name`, by name."""
        return "+".join(f"{plain(weight)}:{part.name}" for weight, part in self.parts)

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """sum_i w_i F_i(t)."""
        total = sum(weight for weight, _ in self.parts)
        mixed = torch.stack([weight / total * part.cdf(t) for weight, part in self.parts]).sum(0)
        return torch.where(t >= 1, 1.0, mixed).to(mixed)

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The smallest t with F(t) >= u, by bisection, exact to 2^-52."""
        low, high = torch.zeros_like(u, dtype=torch.float64), torch.ones_like(u, dtype=torch.float64)
        enough = self.cdf(low) >= u - 1e-15
        for _ in range(52):
            middle = (low + high) / 2
            reached = self.cdf(middle) >= u - 1e-15
            low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
        return torch.where(enough, 0.0, high).to(u)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"] | None:
        """sum_i w_i f_i(t); None where a part has no density."""
        densities = [part.pdf(t) for _, part in self.parts]
        mixed = [
            weight * density
            for (weight, _), density in zip(self.parts, densities, strict=True)
            if density is not None
        ]
        return torch.stack(mixed).sum(0) if len(mixed) == len(densities) else None

    def from_uniform(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """By composition: u in the i-th of consecutive intervals of lengths w_i gives icdf_i of its place in
        it. Cheaper than `icdf`, and stratified u give each part its share of a batch."""
        t, left, last = torch.empty_like(u), 0.0, len(self.parts) - 1
        for i, (weight, part) in enumerate(self.parts):
            own = (u >= left) & ((u < left + weight) | (i == last))
            t[own] = part.from_uniform(((u[own] - left) / weight).clamp(0, 1))
            left += weight
        return t
