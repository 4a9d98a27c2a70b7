"""How long a plan takes, as a whole and by its parts: T(K, M) = T_condition + K T_step(M) for M draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

WARM_UP = 5
REPEATS = 40
MOST_SECONDS = 20.0
"""Seconds that timing one decoding takes at most, about."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of one kind of call: median and 95th percentile."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """The times of these measurements in seconds.

        >>> Times.of([0.010, 0.012, 0.011]).p50
        11.0
        """
        return cls(*(round(1000 * float(x), 4) for x in np.percentile(seconds, [50, 95])))


@dataclass(frozen=True)
class Latency:
    """Times of a plan for one observation, with weights loaded and caches warm.

    Attributes:
        condition: T_condition, from the observation to the encoded condition.
        step: T_step, one denoising step of all draws.
        plan: condition and decoding together.
        one_step: a plan in one step of one draw, timed in turns with `plan`; None where the policy cannot
            decode so.
        network: what a plan takes besides condition and decoding, where the policy is behind a server;
            included in `plan` and `one_step`. None for a policy in this process.
    """

    condition: Times
    step: Times
    plan: Times
    one_step: Times | None = None
    network: Times | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values; without `network` where there is none, as in older results."""
        values = asdict(self)
        return values if self.network else {name: each for name, each in values.items() if name != "network"}


def timed(
    calls: Mapping[str, Callable[[], object]],
    synchronise: Callable[[], None],
    most_seconds: float = MOST_SECONDS,
) -> dict[str, Times]:
    """Times of each call by name, measured in turns, so that a busy moment of the machine affects all alike.

    Args:
        synchronise: waits until the device has finished.
        most_seconds: repeats end early after so long, but not before `WARM_UP` of them.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for repeat in range(WARM_UP + REPEATS):
        for name, call in calls.items():
            synchronise()
            began = time.perf_counter()
            call()
            synchronise()
            taken[name].append(time.perf_counter() - began)
        if repeat > WARM_UP and time.perf_counter() - start > most_seconds:
            break
    return {name: Times.of(seconds[WARM_UP:]) for name, seconds in taken.items()}
