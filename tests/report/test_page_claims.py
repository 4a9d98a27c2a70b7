"""The sentence that answers a report's title."""

from itertools import groupby

import pytest

from toyflow.report.judgement import Judgement
from toyflow.report.page_claims import answer, parts_of
from toyflow.report.paper import PAPER

CLAIM = {claim.name: claim for claim in PAPER.claims}


def answered(*verdicts):
    """By (claim, task, verdict)."""
    judged = [(CLAIM[name], Judgement(verdict, "", on=task)) for name, task, verdict in verdicts]
    assert len(list(groupby(judged, key=lambda pair: pair[0]))) == len({name for name, *_ in verdicts})
    return answer(parts_of(judged, {}))


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([], ""),
        ([("1c", "grid", "agree")], ""),
        ([("13a", "grid", "agree")], "One step is enough on grid (13a)."),
        ([("13a", "grid", "disagree")], "On grid it is not shown whether one step is enough."),
        ([("13a", "wave", "undecided (one seed)")], "On wave it is not shown whether one step is enough."),
        (
            [("13a", "numbers", "undecided"), ("13a", "wave", "agree"), ("13b", "numbers", "disagree"),
             ("13b", "wave", "agree")],
            "One step is enough on wave (13a); on numbers neither is shown.",
        ),
        (
            [("13a", "grid", "agree"), ("13a", "two arms", "undecided"), ("13b", "grid", "agree"),
             ("13b", "two arms", "agree"), ("7a", "dial", "agree"), ("5b", "images", "agree")],
            "One step is enough on grid (13a), enough with averaged draws on two arms (13b) and not enough "
            "on dial and images (7a, 5b).",
        ),
        ([("13a", "dial", "agree"), ("7a", "dial", "agree")], "One step is not enough on dial (7a)."),
        ([("7a", "dial", "disagree")], "On dial it is not shown whether one step is enough."),
    ],
)  # fmt: skip
def test_the_title_is_answered_by_the_verdicts(verdicts, said):
    assert answered(*verdicts) == said
