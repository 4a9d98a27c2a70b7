"""How long a plan takes: T(K) = T_condition + K T_step, measured as a whole and by its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 5
REPEATS = 40
MOST_SECONDS = 20.0
"""After which repeats end early, but for the first `WARM_UP`."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of one kind of call."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Median and 95th percentile."""
        return cls(*(round(1000 * float(x), 4) for x in np.percentile(seconds, [50, 95])))


@dataclass(frozen=True)
class Latency:
    """Of one observation, with weights loaded and caches warm, on an otherwise idle policy."""

    condition: Times
    """T_condition."""
    step: Times
    """T_step."""
    plan: dict[int, Times]
    """Condition and decoding together, by K."""


def timed(calls: Mapping[str, Callable[[], object]], synchronise: Callable[[], None]) -> dict[str, Times]:
    """Time the calls by name, interleaved, so that a busy moment falls on all alike; `synchronise` waits for
    the device."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for repeat in range(WARM_UP + REPEATS):
        for name, call in calls.items():
            synchronise()
            began = time.perf_counter()
            call()
            synchronise()
            taken[name].append(time.perf_counter() - began)
        if repeat > WARM_UP and time.perf_counter() - start > MOST_SECONDS:
            break
    return {name: Times.of(seconds[WARM_UP:]) for name, seconds in taken.items()}
