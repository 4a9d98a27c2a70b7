"""What a schedule is: a distribution of the training time t, whose name parses back to it.

Time runs from t = 0, pure noise, to t = 1, data. Names are

    key[:number[:number]][@base]      beta    beta:1:2    shift:4    shift:4@beta    logit-normal:0:1
    weight:name+weight:name           0.5:point:0+0.5:uniform, a mixture; see `Mixture`

To add a schedule, subclass `Schedule` and declare the class under the entry point group `toyflow.schedules`
by its `key`. toyflow's own are in `families.py`, and exported by `toyflow.flow.schedules`, `toyflow.flow` and
`toyflow`. Published formulas are in t or in s = 1 - t: check which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.errors import UsageError

TimeSampling = Literal["stratified", "iid"]
TIME_SAMPLINGS: tuple[TimeSampling, ...] = get_args(TimeSampling)


@dataclass(frozen=True)
class Schedule(ABC):
    """A distribution of the training time t on [0, 1]: 0 is pure noise, 1 is data.

    Subclasses are frozen dataclasses that define `icdf`, and `cdf` and `pdf` where these have a closed
    form. Their float fields are the numbers of the name, in order; a field `base`, if there is one, is the
    schedule after the `@`. A number that is out of range raises ValueError in `__post_init__`.

    Example:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from toyflow import Schedule
        >>> @dataclass(frozen=True)
        ... class Power(Schedule):
        ...     p: float
        ...     key, source = "power", "an example"
        ...
        ...     def icdf(self, u):
        ...         return u**self.p
        >>> Power(2).name
        'power:2'
        >>> Power(2).sample(4).shape
        torch.Size([4])
        >>> round(Power(2).noise_mass(0.9), 4)  # P(u^2 < 0.1)
        0.3162
    """

    key: ClassVar[str]
    """First word of the name."""
    source: ClassVar[str]
    """Who uses this schedule, and which way that source counts time."""

    @property
    def name(self) -> str:
        """Canonical name, in which defaults are left out: equal schedules of one family have equal names."""
        numbers, defaults = numbers_of(type(self)), {f.name: f.default for f in fields(self)}
        values = [getattr(self, number) for number in numbers]
        shown = "" if values == [defaults[n] for n in numbers] else "".join(f":{plain(v)}" for v in values)
        base = getattr(self, "base", None)
        return f"{self.key}{shown}" + (f"@{base.name}" if base and base != defaults["base"] else "")

    @abstractmethod
    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Inverse distribution function: t with P(T <= t) = u, for u in [0, 1]. Non-decreasing."""

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """P(T <= t). Here by bisection on `icdf`, exact to 2^-52; subclasses may have a closed form."""
        t = t.double()
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(52):
            middle = (low + high) / 2
            below = self.icdf(middle) <= t
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return torch.where(t >= self.icdf(torch.ones_like(t)), torch.ones_like(t), low)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"] | None:
        """Density at t; None where there is none, as t is discrete."""
        return None

    def noise_mass(self, level: float = 0.9) -> float:
        """P(s > level), s = 1 - t: the share of training spent near the noise end, where one-step decoding
        asks the model."""
        return float(self.cdf(torch.tensor([1 - level], dtype=torch.float64)))

    def sample(
        self, n: int, generator: torch.Generator | None = None, method: TimeSampling = "stratified"
    ) -> Float[Tensor, "n"]:
        """Draw `n` training times.

        Args:
            generator: of the random numbers; times are on its device. None is torch's global generator and
                default device, as in torch's own functions.
            method: `stratified` draws one u in each of n equal intervals and shuffles them: each t follows
                this schedule, and batch means vary less. `iid` draws independent u.

        Raises:
            UsageError: no such method.

        Source: stratified times as in `stratified_uniform` of crowsonkb/k-diffusion.
        """
        device = None if generator is None else generator.device
        u = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        if method == "stratified":
            u = (u + torch.randperm(n, generator=generator, device=device)) / n
        elif method != "iid":
            raise UsageError(f"time sampling is {' or '.join(TIME_SAMPLINGS)}, not {method!r}.")
        return self.from_uniform(u).float()

    def from_uniform(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Maps u ~ U(0, 1) to training times. Here `icdf`; a mixture has a cheaper map."""
        return self.icdf(u)


def numbers_of(family: type[Schedule]) -> list[str]:
    """The fields of a family that its name gives as numbers, in order."""
    return [f.name for f in fields(family) if f.init and f.name != "base"]


def has_defaults(family: type[Schedule]) -> bool:
    """Whether the family's key alone is a name."""
    return all(f.default is not MISSING for f in fields(family) if f.init)


def signature(family: type[Schedule]) -> str:
    """How names of a family are written: `logit-normal:mean:deviation`, `shift:alpha[@base]`."""
    base = "[@base]" if any(f.name == "base" for f in fields(family)) else ""
    return ":".join([family.key, *numbers_of(family)]) + base


def plain(number: float) -> str:
    """Shortest text that parses back to `number`: 4 for 4.0, 0.5 for 0.5."""
    return repr(float(number)).removesuffix(".0")
