"""toyflow's own schedules, and those of published models. All formulas are in our t: 0 noise, 1 data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy  # whose parts load when they are first used
import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow.schedules.base import Schedule


@dataclass(frozen=True)
class Uniform(Schedule):
    """t ~ U(0, 1).

    Example:
        >>> from toyflow import Uniform
        >>> Uniform().name, round(Uniform().noise_mass(0.9), 2)
        ('uniform', 0.1)
    """

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
    """t ~ Beta(a, b), density t^(a-1) (1-t)^(b-1) / B(a, b). For a = 1: t = 1 - (1 - u)^(1/b).

    Args:
        a, b: exponents, both > 0. a < b leans to the noise end.

    Raises:
        ValueError: a or b is not positive.

    Example:
        >>> from toyflow import Beta
        >>> Beta() == Beta(1, 1.5), Beta(2, 2).name
        (True, 'beta:2:2')
        >>> round(Beta().noise_mass(0.9), 3)  # 1 - 0.9^1.5
        0.146
    """

    a: float = 1.0
    b: float = 1.5
    key = "beta"
    source = "the paper's default, Beta(1, 1.5) in t (1 = data); openpi writes it Beta(1.5, 1), 1 = noise"

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
    """t = u / (1 + (alpha - 1)(1 - u)) with u drawn from `base`.

    The same map as SD3's s' = alpha s / (1 + (alpha - 1) s), and as FLUX' with sigma = 1, mu = log alpha.

    Args:
        alpha: > 0; above 1 the mass moves to the noise end, 1 changes nothing.
        base: the schedule that is shifted.

    Raises:
        ValueError: alpha is not positive.

    Example:
        >>> import torch
        >>> from toyflow import Beta, Shift
        >>> Shift(4).icdf(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.0000, 0.2000, 1.0000])
        >>> Shift(4, Beta()).name
        'shift:4@beta'
    """

    alpha: float
    base: Schedule = Uniform()
    key = "shift"
    source = "the paper (alpha 3, 4, 8), in t (1 = data); SD3 and FLUX shift s (1 = noise) by the same map"

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
    """logit(t) ~ N(m, s^2), density exp(-(logit(t) - m)^2 / (2 s^2)) / (s sqrt(2 pi) t (1 - t)).

    Args:
        m: mean of logit(t); below 0 the mass moves to the noise end.
        s: standard deviation of logit(t), > 0.

    Raises:
        ValueError: s is not positive.

    Example:
        >>> import torch
        >>> from toyflow import LogitNormal
        >>> LogitNormal(0, 1).icdf(torch.tensor([0.5]))
        tensor([0.5000])
        >>> LogitNormal(-1, 0.5).name
        'logit-normal:-1:0.5'
    """

    m: float
    s: float
    key = "logit-normal"
    source = "SD3, sigmoid(m' + s N) with 1 = noise: its m' is our -m; MeanFlow's schedules likewise"

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
    """t = 1 / (1 + sigma), sigma = exp(-1.2 + 1.2 N): logit(t) ~ N(1.2, 1.2^2). Leans to the data end.

    Example:
        >>> from toyflow import Edm, LogitNormal, Uniform
        >>> Edm().noise_mass() == LogitNormal(1.2, 1.2).noise_mass() < Uniform().noise_mass()
        True
    """

    m: float = field(default=1.2, init=False)
    s: float = field(default=1.2, init=False)
    key = "edm"
    source = "EDM's noise levels on the straight path ('skewed' in flow_matching), 1 = data"


@dataclass(frozen=True)
class Mode(Schedule):
    """t = u + c (cos^2(pi u / 2) - 1 + u), symmetric about 1/2.

    Args:
        c: -1 <= c <= 2 / (pi - 2) = 1.752, where t(u) is monotone; c > 0 gathers mass at 1/2, c < 0 at the
            ends, 0 is uniform.

    Raises:
        ValueError: c is out of range.

    Example:
        >>> from toyflow import Mode
        >>> [round(Mode(c).noise_mass(0.9), 3) for c in (-1, 0, 1.29)]
        [0.205, 0.1, 0.047]
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
    """t = 0.999 z, z ~ Beta(1, 1.5), so t never passes 0.999. In s: s = 0.999 z' + 0.001, z' ~ Beta(1.5, 1).

    Example:
        >>> import torch
        >>> from toyflow import Pi0
        >>> Pi0().icdf(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.9990])
    """

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
    """t = 0.999 (1 - z), z ~ Beta(1.5, 1): the same distribution as `Pi0`, written the other way round.

    As with `GrootN1`, the source rounds only the time that its network is given. A schedule does not cover
    that.

    Example:
        >>> import torch
        >>> from toyflow import GrootN17, Pi0
        >>> u = torch.tensor([0.2, 0.7])
        >>> torch.equal(GrootN17().icdf(u), Pi0().icdf(u))
        True
    """

    key = "groot-n1.7"
    source = "GR00T N1.6 and N1.7, Wall-X, MT-DiT: t = 0.999 (1 - z), 1 = data"


@dataclass(frozen=True)
class GrootN1(Schedule):
    """t = (0.999 - z) / 0.999, z ~ Beta(1.5, 1): nearly Beta(1, 1.5), with 0.15 % of the draws at t = 0.

    In the source those draws are as low as t = -0.001. Here they are 0, so there is no density.

    The source gives its network t in 1000 buckets: the integer part of 1000 t in training, and of 1000 k / K
    in step k of K (4 by default). Its path and its loss use t itself. A schedule does not cover what the
    network is given, so ours is given t itself too. Up to toyflow 0.2.0 a schedule `groot` also rounded the
    path's time. The name now stands for this schedule, and older results keep it as their label.

    Example:
        >>> import torch
        >>> from toyflow import GrootN1
        >>> GrootN1().icdf(torch.tensor([0.001, 0.5])), GrootN1().pdf(torch.tensor([0.5]))
        (tensor([0.0000, 0.3694]), None)
        >>> round(GrootN1().noise_mass(1.0 - 1e-9), 4)
        0.0015
    """

    key = "groot-n1"
    source = "GR00T N1 and N1.5, also in LeRobot: t = (0.999 - z) / 0.999, 1 = data"

    def icdf(self, u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (1 - (1 - Beta().icdf(u)) / 0.999).clamp(min=0)

    def cdf(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.where(t < 0, 0.0, Beta().cdf(1 - 0.999 * (1 - t))).to(t)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _with_scipy(function: Callable[[np.ndarray], np.ndarray], x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return torch.from_numpy(np.asarray(function(x.double().cpu().numpy()))).to(x)
