"""Tables of a blind comparison on one robot: success of each setting, and their differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from toyflow import stats
from toyflow.report.episode_tables import SCORE_NOTE, mean_score
from toyflow.report.page_tables import TableView
from toyflow.report.paired_tables import MARGIN, verdict

UNPAIRED_NOTE = "unpaired: Newcombe's interval as if no scene had been the same for both"


def blind_views(
    names: Sequence[str],
    solved: Bool[np.ndarray, "settings scenes"],
    scores: Float[np.ndarray, "settings scenes"] | None = None,
) -> list[TableView]:
    """The success of each setting, with Wilson's interval, and the difference of every two.

    Args:
        names: of the settings.
        solved: whether each setting succeeded in each scene; column s is the same scene for all.
        scores: the score of each episode, in 0..1, where there is one; then their means stand beside.
    """
    rates = []
    for place, (name, row) in enumerate(zip(names, solved, strict=True)):
        interval = stats.wilson(int(row.sum()), len(row))
        score = [] if scores is None else [mean_score(scores[place])]
        rates.append([name, f"{row.sum()}/{len(row)}", _percent(interval), *score])
    found, compared = [stats.paired_proportions(a, b) for a, b in combinations(solved, 2)], []
    adjusted = stats.holm([test.p_value for test in found])
    pairs = combinations(range(len(names)), 2)
    for (one, other), test, p in zip(pairs, found, adjusted, strict=True):
        assert p is not None  # every pair has a test
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
            "Success, judged blind",
            ["setting", "solved", "success [95 %]", *([] if scores is None else ["mean score [95 %]"])],
            rates,
            1,
            "Wilson's intervals." + ("" if scores is None else SCORE_NOTE),
        ),
        TableView("Differences", columns, compared, 1, note),
    ]


def _percent(interval: stats.Interval) -> str:
    return f"{interval.estimate:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _points(interval: stats.Interval) -> str:
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
