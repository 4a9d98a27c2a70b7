"""What a server counts and times, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

QUANTILES = (0.5, 0.95, 0.99)
WINDOW = 2048
"""Latest requests that quantiles are of."""


class _Stage:
    def __init__(self) -> None:
        self.latest: deque[float] = deque(maxlen=WINDOW)
        self.count, self.total = 0, 0.0

    def add(self, seconds: float) -> None:
        self.latest.append(seconds)
        self.count += 1
        self.total += seconds


class _Sample(NamedTuple):
    value: float
    labels: Mapping[str, object] = {}
    ending: str = ""
    """Of the name, for a summary's sum and count."""


class Metrics:
    """Of one server since its start.

    Attributes:
        requests: answered with actions.
        faults: by kind; the rest.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self._stages: defaultdict[str, _Stage] = defaultdict(_Stage)

    def answered(self, spent: Mapping[str, float]) -> None:
        """Count a request that took these seconds by stage."""
        self.requests += 1
        for stage, seconds in spent.items():
            self._stages[stage].add(seconds)

    def text(self, ready: bool, connections: int, batches: Mapping[int, int]) -> str:
        """The exposition. `batches` is the number of plans by size of the batch.

        Source: Prometheus' text-based exposition format, version 0.0.4.
        """
        plans = [_Sample(count, {"batch": size}) for size, count in sorted(batches.items())]
        faults = [_Sample(count, {"kind": kind}) for kind, count in sorted(self.faults.items())]
        return "".join(
            line + "\n"
            for metric in (
                _lines("toyflow_ready", "gauge", "Whether plans are to be had.", [_Sample(ready)]),
                _lines("toyflow_connections", "gauge", "Clients connected now.", [_Sample(connections)]),
                _lines("toyflow_requests_total", "counter", "Answered.", [_Sample(self.requests)]),
                _lines("toyflow_errors_total", "counter", "Requests and clients refused, by kind.", faults),
                _lines("toyflow_plans_total", "counter", "Calls of the policy, by observations.", plans),
                _lines(
                    "toyflow_stage_seconds", "summary",
                    f"Of answered requests by stage; quantiles of the latest {WINDOW}.", self._summaries(),
                ),
            )
            for line in metric
        )  # fmt: skip

    def _summaries(self) -> Iterator[_Sample]:
        for name, stage in sorted(self._stages.items()):
            for quantile, value in zip(QUANTILES, np.quantile(stage.latest, QUANTILES), strict=True):
                yield _Sample(float(value), {"stage": name, "quantile": quantile})
            yield _Sample(stage.total, {"stage": name}, "_sum")
            yield _Sample(stage.count, {"stage": name}, "_count")


def _lines(name: str, kind: str, what: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"
    for value, labels, ending in samples:
        inside = ",".join(f'{label}="{content}"' for label, content in labels.items())
        yield f"{name}{ending}{f'{{{inside}}}' if inside else ''} {float(value)!r}"
