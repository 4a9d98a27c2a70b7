"""The law of the training time t in [0, 1], t = 0 pure noise and t = 1 data.

A schedule is an inverse distribution function: `icdf` maps a uniform u to t, and `sample` feeds it
stratified (or plain iid) uniforms. Every schedule has a name that parses back to it:

    key[:number[:number]][@base]      beta    beta:1:2    shift:4    shift:4@beta    logit-normal:0:1

To add a law, subclass `Schedule` in one file and declare it under the entry point group
`toyflow.schedules` by its `key`; formulas of all published laws are in terms of s = 1 - t or t,
so mind which way the source counts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, Literal, get_args

import numpy as np
import scipy  # whose parts load when they are first used
import torch
from jaxtyping import Float
from torch import Tensor

from toyflow import plugins
from toyflow.errors import UsageError

TimeSampling = Literal["stratified", "iid"]
TIME_SAMPLINGS: tuple[TimeSampling, ...] = get_args(TimeSampling)
MOST_BASES = 8
"""In one name."""


@dataclass(frozen=True)
class Schedule(ABC):
    """A distribution of t on [0, 1]. Subclasses are frozen dataclasses whose float fields are the
    numbers of the name, in order, and whose field `base`, if any, is what follows the `@`."""

    key: ClassVar[str]
    source: ClassVar[str]
    """Who uses the law, and which way that source counts time."""

    @property
    def name(self) -> str:
        """Canonical name: equal laws of one family have equal names. Defaults are left out."""
        numbers, defaults = _numbers(type(self)), {f.name: f.default for f in fields(self)}
        values = [getattr(self, number) for number in numbers]
        shown = "" if values == [defaults[n] for n in numbers] else "".join(f":{_plain(v)}" for v in values)
        base = getattr(self, "base", None)
        return f"{self.key}{shown}" + (f"@{base.name}" if base and base != defaults["base"] else "")

    @abstractmethod
    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Inverse distribution function: t with P(T <= t) = u, for u in [0, 1]. Non-decreasing."""

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """P(T <= t). Unless a law has a closed form: bisection on `icdf`, exact to 2^-52."""
        t = t.double()
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(52):
            middle = (low + high) / 2
            below = self.icdf(middle) <= t
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return torch.where(t >= self.icdf(torch.ones_like(t)), torch.ones_like(t), low)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"] | None:
        """Density at t, or None where the law has none (atoms, buckets)."""
        return None

    def noise_mass(self, level: float = 0.9) -> float:
        """P(s > level), s = 1 - t: the share of training spent where one-step decoding queries."""
        return float(self.cdf(torch.tensor([1 - level], dtype=torch.float64)))

    def sample(
        self, n: int, generator: torch.Generator, method: TimeSampling = "stratified"
    ) -> Float[Tensor, "n"]:
        """`n` times. `stratified` draws one u in each of n equal intervals and shuffles them: every t
        has this law, and batch averages vary less (k-diffusion's idea). `iid` draws them apart."""
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        if method == "stratified":
            u = (u + torch.randperm(n, generator=generator, device=generator.device)) / n
        elif method != "iid":
            raise UsageError(f"time sampling is {' or '.join(TIME_SAMPLINGS)}, not {method!r}.")
        return self.icdf(u).float()


@dataclass(frozen=True)
class Uniform(Schedule):
    """t ~ U(0, 1)."""

    key = "uniform"
    source = "rectified flow, flow matching; either direction"

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return u

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return t.clamp(0, 1)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return ((t >= 0) & (t <= 1)).to(t)


@dataclass(frozen=True)
class Beta(Schedule):
    """t ~ Beta(a, b), density t^(a-1) (1-t)^(b-1) / B(a, b). Beta(1, b): t = 1 - (1 - u)^(1/b)."""

    a: float = 1.0
    b: float = 1.5
    key = "beta"
    source = "the study's default, Beta(1, 1.5) in t (1 = data); openpi writes it Beta(1.5, 1), 1 = noise"

    def __post_init__(self) -> None:
        _require(self.a > 0 and self.b > 0, f"beta:a:b needs a > 0 and b > 0, got {self.a:g} and {self.b:g}")

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        if self.a == 1:
            return 1 - (1 - u) ** (1 / self.b)
        return _with_scipy(lambda x: scipy.special.betaincinv(self.a, self.b, x), u)

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return _with_scipy(lambda x: scipy.special.betainc(self.a, self.b, x), t.clamp(0, 1))

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        log_density = torch.xlogy(self.a - 1, t) + torch.xlogy(self.b - 1, 1 - t)
        density = torch.exp(log_density - float(scipy.special.betaln(self.a, self.b)))
        return torch.where((t >= 0) & (t <= 1), density, 0.0)


@dataclass(frozen=True)
class Shift(Schedule):
    """t = u / (1 + (alpha - 1)(1 - u)), u drawn from `base`; alpha > 1 moves mass to the noise end.

    The same map as SD3's s' = alpha s / (1 + (alpha - 1) s) and FLUX' with sigma = 1, mu = log alpha.
    """

    alpha: float
    base: Schedule = Uniform()
    key = "shift"
    source = "the study (alpha 3, 4, 8), in t (1 = data); SD3 and FLUX shift s (1 = noise) by the same map"

    def __post_init__(self) -> None:
        _require(self.alpha > 0, f"shift:alpha needs alpha > 0, got {self.alpha:g}")

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        u = self.base.icdf(u)
        return u / (1 + (self.alpha - 1) * (1 - u))

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return self.base.cdf(self._unshift(t))

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"] | None:
        base = self.base.pdf(self._unshift(t))
        return None if base is None else base * self.alpha / (1 + (self.alpha - 1) * t) ** 2

    def _unshift(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return self.alpha * t / (1 + (self.alpha - 1) * t)


@dataclass(frozen=True)
class LogitNormal(Schedule):
    """logit(t) ~ N(m, s^2) in our t: m < 0 moves mass to the noise end."""

    m: float
    s: float
    key = "logit-normal"
    source = "SD3, sigmoid(m' + s N) with 1 = noise: its m' is our -m; meanflow's laws likewise"

    def __post_init__(self) -> None:
        _require(self.s > 0, f"{self.key}:m:s needs s > 0, got {self.s:g}")

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.sigmoid(self.m + self.s * torch.special.ndtri(u))

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.special.ndtr((torch.logit(t.clamp(0, 1)) - self.m) / self.s)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        z = (torch.logit(t) - self.m) / self.s
        density = torch.exp(-(z**2) / 2) / (self.s * math.sqrt(2 * math.pi) * t * (1 - t))
        return torch.where((t > 0) & (t < 1), density, 0.0)


@dataclass(frozen=True)
class Edm(LogitNormal):
    """sigma = exp(-1.2 + 1.2 N), t = 1 / (1 + sigma): logit(t) ~ N(1.2, 1.2^2). Leans to the data end."""

    m: float = field(default=1.2, init=False)
    s: float = field(default=1.2, init=False)
    key = "edm"
    source = "EDM's noise levels on the straight path ('skewed' in flow_matching), 1 = data"


@dataclass(frozen=True)
class Mode(Schedule):
    """t = u + c (cos^2(pi u / 2) - 1 + u), symmetric about 1/2; c > 0 gathers mass there, c < 0 at the ends.

    Monotone, hence a law, only for -1 <= c <= 2 / (pi - 2) = 1.752.
    """

    c: float
    key = "mode"
    source = (
        "SD3's mode sampling, u' = 1 - u - c (cos^2(pi u / 2) - 1 + u), 1 = noise; symmetric, so either way"
    )

    def __post_init__(self) -> None:
        largest = 2 / (math.pi - 2)
        _require(
            -1 <= self.c <= largest, f"mode:c is monotone only for -1 <= c <= {largest:.3f}, got {self.c:g}"
        )

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return u + self.c * (torch.cos(math.pi * u / 2) ** 2 - 1 + u)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        slope = 1 + self.c * (1 - math.pi / 2 * torch.sin(math.pi * self.cdf(t)))
        return torch.where((t >= 0) & (t <= 1), 1 / slope, 0.0)


@dataclass(frozen=True)
class Pi0(Schedule):
    """s = 0.999 z + 0.001, z ~ Beta(1.5, 1): t = 0.999 Beta(1, 1.5), so t never passes 0.999."""

    key = "pi0"
    source = "openpi; LeRobot's pi0, pi05, SmolVLA: s = 0.999 z + 0.001, 1 = noise"

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 0.999 * Beta().icdf(u)

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return Beta().cdf(t / 0.999)

    def pdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return Beta().pdf(t / 0.999) / 0.999


@dataclass(frozen=True)
class GrootN17(Pi0):
    """t = 0.999 (1 - z), z ~ Beta(1.5, 1): the same law as `pi0`, written in the other direction."""

    key = "groot-n1.7"
    source = "GR00T N1.7, Wall-X, MT-DiT: t = 0.999 (1 - z), 1 = data"


@dataclass(frozen=True)
class Groot(Schedule):
    """t = (0.999 - z) / 0.999, z ~ Beta(1.5, 1), cut to 1000 integer buckets. No density: t is discrete.

    The 0.15 % of draws that fall below 0 there are held at 0 here, where t ends.
    """

    key = "groot"
    source = "GR00T N1: t = (0.999 - z) / 0.999 in 1000 buckets, 1 = data"

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        t = 1 - (1 - Beta().icdf(u)) / 0.999
        return torch.floor(1000 * t.clamp(min=0)) / 1000


def parse_schedule(name: str) -> Schedule:
    """The schedule that `name` stands for, `key[:number[:number]][@base]`.

    Raises:
        UsageError: unknown key, wrong count of numbers, a number that the law refuses, a base where
            none is taken.
    """
    if name.count("@") > MOST_BASES:
        raise UsageError(f"schedule {name[:40]!r}...: at most {MOST_BASES} bases follow each other.")
    head, at, base = name.strip().partition("@")
    key, *words = head.split(":")
    law: type[Schedule] = plugins.load("schedules", key)
    pattern = ":".join([key, *_numbers(law)])
    takes_base = any(f.name == "base" for f in fields(law))
    if at and not takes_base:
        raise UsageError(f"schedule {name!r}: {key} takes no base; write {pattern}.")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"schedule {name!r}: every part after {key!r} must be a number; write {pattern}.")
    has_defaults = all(f.default is not MISSING for f in fields(law) if f.init)
    if len(numbers) != len(_numbers(law)) and not (not numbers and has_defaults):
        raise UsageError(f"schedule {name!r}: {key} takes {len(_numbers(law))} numbers; write {pattern}.")
    try:
        return law(*numbers, **({"base": parse_schedule(base)} if at else {}))
    except ValueError as error:
        raise UsageError(f"schedule {name!r}: {error}.") from error


def _numbers(law: type[Schedule]) -> list[str]:
    return [f.name for f in fields(law) if f.init and f.name != "base"]


def _plain(number: float) -> str:
    """Shortest text that parses back to `number`: 4 for 4.0, 0.5 for 0.5."""
    return repr(float(number)).removesuffix(".0")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _with_scipy(function: Callable[[np.ndarray], np.ndarray], x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return torch.from_numpy(np.asarray(function(x.double().cpu().numpy()))).to(x)
