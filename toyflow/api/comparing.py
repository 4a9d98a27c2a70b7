"""`toyflow compare`: the comparison that was asked for, then one by each set metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toyflow.report.compare import Comparison, compare


def compare_by_all(
    out: Path,
    selections: Sequence[str],
    steps: Sequence[int] = (1,),
    metric: str | None = None,
    margin: float | None = None,
) -> list[Comparison]:
    """The comparison by `metric`; without one, by the headline and then by each set metric.

    Args:
        out: a results folder, where selections name none.
        selections: as for `compare`: the first is compared with each of the others.
        steps: numbers of steps K for selections that name none.
        metric: its name; None for all of the above.
        margin: what counts as equivalent, in points or the metric's unit; None for 2 points, or a tenth of
            the first's metric. It serves the first comparison.

    Raises:
        UsageError: a selection, a metric or a margin that does not exist or fit.

    Example:
        [by_headline, *others] = compare_by_all(Path("results/sweep"), ["shift:4@beta", "uniform"])
    """
    first = compare(out, selections, steps, metric, margin)
    others = () if metric else first.set_metrics
    return [first, *(compare(out, selections, steps, other) for other in others)]
