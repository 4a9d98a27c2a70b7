"""Tables of a blind comparison on one robot: success of each setting, and their differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from toyflow import stats
from toyflow.report.page_tables import TableView
from toyflow.report.paired_tables import MARGIN, verdict

UNPAIRED_NOTE = "unpaired: Newcombe's interval as if no scene had been the same for both"


def blind_views(names: Sequence[str], solved: Bool[np.ndarray, "settings scenes"]) -> list[TableView]:
    """The success of each setting, with Wilson's interval, and the difference of every two.

    Args:
        names: of the settings.
        solved: whether each setting succeeded in each scene; column s is the same scene for all.
    """
    rates = []
    for name, row in zip(names, solved, strict=True):
        interval = stats.wilson(int(row.sum()), len(row))
        rates.append([name, f"{row.sum()}/{len(row)}", _percent(interval)])
    found, compared = [stats.paired_proportions(a, b) for a, b in combinations(solved, 2)], []
    adjusted = stats.holm([test.p_value for test in found])
    pairs = combinations(range(len(names)), 2)
    for (one, other), test, p in zip(pairs, found, adjusted, strict=True):
        first, second = (int(solved[place].sum()) for place in (one, other))
        unpaired = stats.unpaired_difference((first, test.examples), (second, test.examples))
        difference = test.difference
        within = difference.low > -MARGIN and difference.high < MARGIN
        compared.append([
            f"{names[one]} - {names[other]}", str(test.first_only), str(test.second_only),
            _points(difference), _points(unpaired), f"{p:.3f}",
            verdict(difference.estimate, within, p),
        ])  # fmt: skip
    holm = ", adjusted by Holm's method" if len(found) > 1 else ""
    note = (
        "difference in points: Newcombe's interval of pairs in the same scene; "
        f"{UNPAIRED_NOTE}. p: McNemar's exact test{holm}. equivalent: the paired interval within "
        f"{100 * MARGIN:g} points of zero."
    )
    columns = [
        "first - second",
        "only first",
        "only second",
        "difference [90 %]",
        "unpaired [90 %]",
        "p",
        "is",
    ]
    return [
        TableView(
            "Success, judged blind", ["setting", "solved", "success [95 %]"], rates, 1, "Wilson's intervals."
        ),
        TableView("Differences", columns, compared, 1, note),
    ]


def _percent(interval: stats.Interval) -> str:
    return f"{interval.estimate:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _points(interval: stats.Interval) -> str:
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
