"""What a server counts and times: Prometheus metrics, and exact quantiles of its latest requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics", "RequestTimes"]

SECONDS = tuple(base * 10.0**power for power in range(-4, 1) for base in (1, 2, 5))
"""Upper bounds of the buckets of times: 0.1 ms to 5 s, the same for every server, so that they add up."""
BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
REASONS = (
    "frame",
    "observation",
    "policy",
    "late",
    "too large",
    "slow reader",
    "key",
    "connections",
    "internal",
)
"""Why requests or clients are refused; each is exposed from the start, at 0."""
WINDOW = 2048
"""How many of the latest requests `Metrics.request_times` covers."""


class RequestTimes(NamedTuple):
    """Milliseconds from a request's arrival to its answer's departure, of the latest `number` requests."""

    number: int
    p50: float
    p95: float
    p99: float


class Metrics:
    """Metrics of one server since its start, in a registry of its own.

    ========================== ========= ==================================================================
    toyflow_ready              gauge     1 while plans are made; 0 while it starts, stops or the policy hangs
    toyflow_clients            gauge     clients connected now
    toyflow_requests_total     counter   requests answered with actions
    toyflow_refusals_total     counter   requests and clients refused, by `reason`
    toyflow_request_seconds    histogram from a request's arrival to its answer's departure
    toyflow_stage_seconds      histogram parts of it by `stage`: read, queue, the planner's own, pack, send
    toyflow_plan_seconds       histogram one call of the policy
    toyflow_batch_size         histogram observations in one call of the policy
    ========================== ========= ==================================================================

    Args:
        is_ready: asked whenever metrics are read.
        clients: the number of clients; asked whenever metrics are read.

    `planned` may be called from another thread.
    """

    def __init__(self, is_ready: Callable[[], bool], clients: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        ready = Gauge("toyflow_ready", "1 while the server answers with plans, else 0.", registry=registry)
        ready.set_function(lambda: float(is_ready()))
        connected = Gauge("toyflow_clients", "Clients connected now.", registry=registry)
        connected.set_function(lambda: float(clients()))
        self._requests = Counter("toyflow_requests", "Requests answered with actions.", registry=registry)
        refusals = Counter(
            "toyflow_refusals", "Requests and clients refused, by reason.", ["reason"], registry=registry
        )
        self._refusals = {reason: refusals.labels(reason) for reason in REASONS}
        self._request_seconds = Histogram(
            "toyflow_request_seconds", "From a request's arrival to its answer's departure.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._stage_seconds = Histogram(
            "toyflow_stage_seconds", "Parts of answered requests, by stage.", ["stage"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._stages: dict[str, Histogram] = {}
        self._plan_seconds = Histogram(
            "toyflow_plan_seconds", "One call of the policy.", buckets=SECONDS, registry=registry
        )
        self._batch_size = Histogram(
            "toyflow_batch_size", "Observations in one call of the policy.",
            buckets=BATCH_SIZES, registry=registry,
        )  # fmt: skip
        self._latest: deque[float] = deque(maxlen=WINDOW)

    def answered(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Count a request that was answered with actions after `seconds`, spent in these `stages`."""
        self._requests.inc()
        self._request_seconds.observe(seconds)
        self._latest.append(seconds)
        for stage, part in stages.items():
            if stage not in self._stages:
                self._stages[stage] = self._stage_seconds.labels(stage)
            self._stages[stage].observe(part)

    def refused(self, reason: str) -> None:
        """Count a request or client that was refused for one of `REASONS`."""
        self._refusals[reason].inc()

    def planned(self, batch_size: int, seconds: float) -> None:
        """Count a call of the policy."""
        self._batch_size.observe(batch_size)
        self._plan_seconds.observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, of type `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    @property
    def requests(self) -> int:
        """Requests answered with actions."""
        return self._sample("toyflow_requests_total")

    @property
    def refusals(self) -> dict[str, int]:
        """Requests and clients refused, by reason; those that never occurred are left out."""
        counts = {each: self._sample("toyflow_refusals_total", {"reason": each}) for each in REASONS}
        return {reason: count for reason, count in counts.items() if count}

    @property
    def request_times(self) -> RequestTimes | None:
        """Quantiles of the latest `WINDOW` requests; None where there were none."""
        if not self._latest:
            return None
        seconds = list(self._latest)
        p50, p95, p99 = 1000 * np.quantile(seconds, (0.5, 0.95, 0.99))
        return RequestTimes(len(seconds), float(p50), float(p95), float(p99))

    def summary(self) -> str:
        """The server's life in half a sentence: requests, their quantiles, and refusals."""
        parts, times = [f"{self.requests} requests were answered"], self.request_times
        if times is not None:
            latest = f" (the latest {times.number})" if times.number < self.requests else ""
            parts[0] += f" in p50 {times.p50:.1f}, p95 {times.p95:.1f}, p99 {times.p99:.1f} ms{latest}"
        refusals = sorted(self.refusals.items(), key=lambda each: -each[1])
        if refusals:
            parts.append("refused: " + ", ".join(f"{count} x {reason}" for reason, count in refusals))
        return "; ".join(parts)

    def _sample(self, name: str, labels: Mapping[str, str] | None = None) -> int:
        return int(self.registry.get_sample_value(name, dict(labels or {})) or 0)
