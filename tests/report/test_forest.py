"""The claims on one screen: who has a row, in which group, and what its picture shows."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from toyflow.report.contrasts import Contrast
from toyflow.report.effects import Effect
from toyflow.report.forest import AXIS, LINE, ROOM, SHARPNESS, WIDTH, forest_of
from toyflow.report.judgement import Judgement, conclude
from toyflow.report.page_claims import NO_DATA, groups_of, margins_of, parts_of
from toyflow.report.paper.findings import CLAIMS

CLAIM = {claim.name: claim for claim in CLAIMS}


def judged(claim, on, *values, unit="points"):
    """A claim with the verdict that these differences by seed lead to on a task."""
    found = pd.Series(values)
    effect = Effect("one minus ten", Contrast(0.5 + found, 0 * found + 0.5, ()), unit=unit)
    return CLAIM[claim], replace(conclude("Seen", effect), on=on)


AGREE, DISAGREE, UNDECIDED = (0.10, 0.11, 0.12), (-0.10, -0.11, -0.12), (-0.01, 0.0, 0.02)
JUDGED = [
    judged("13a", "numbers", *UNDECIDED),
    judged("13a", "grid", *DISAGREE),
    judged("13a", "wave", *AGREE),
    judged("13a", "two arms", *AGREE),
    judged("13b", "grid", 0.1),
    (CLAIM["9"], Judgement(NO_DATA, "It needs much.", on="grid")),
    judged("1a", "grid", *AGREE),
    judged("5a", "images", *AGREE, unit=""),
    judged("6b", "grid", *UNDECIDED),
]


@pytest.fixture
def groups():
    return groups_of(parts_of(JUDGED, {}))


def test_claims_stand_in_their_part_and_those_that_nothing_decides_last(groups):
    rows = {group.title: [view.claim.name for view in group.claims] for group in groups}
    assert rows == {
        "When one step is enough": ["13a"],
        "What the paper says": ["1a", "5a"],
        "Not settled": ["13b", "6b"],
    }
    assert [group.place for group in groups] == ["part-enough", "part-paper", "open"]


def test_no_verdict_is_dropped(groups):
    [view] = groups[0].claims
    assert view.by_verdict == [("agree", "wave and two arms"), ("disagree", "grid"), ("undecided", "numbers")]
    assert [each.judgement.on for each in view.in_order] == ["wave", "two arms", "grid", "numbers"]
    assert groups[2].claims[0].by_verdict == [("undecided (one seed)", "grid")]


def test_what_is_as_good_is_told_by_task():
    testbeds = {testbed.name: testbed for claim in CLAIMS for testbed in claim.testbeds}
    assert margins_of([testbeds["grid"]]) == "within 2 points"
    assert margins_of([testbeds["two arms"]]) == "within 5 points"
    assert margins_of([*testbeds.values()]) == "within 2 points, on two arms within 5"


def decoded(address):
    picture = base64.b64decode(address.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA")).astype(int)


RED, GREEN = (0, 100), (1, 40)
"""A channel, and by how much it is above the others where a mark is red, but not amber, or green."""


def columns_of(picture, colour):
    """Where a picture has marks of this colour."""
    of, above = colour
    others = [channel for channel in range(3) if channel != of]
    coloured = (picture[..., of] > picture[..., others].max(axis=-1) + above) & (picture[..., 3] > 200)
    return np.flatnonzero(coloured.any(axis=0))


def test_a_row_has_a_mark_per_task_at_its_place_on_the_axis(groups):
    forest = forest_of(groups)
    assert set(forest.strips) == {"13a", "13b", "1a", "6b"}, "5a is in no points"
    strip = forest.strips["13a"]
    assert strip.height == 4 * LINE + ROOM and forest.axis.height == AXIS
    for ground in (strip.light, strip.dark):
        picture = decoded(ground)
        assert picture.shape[:2] == (SHARPNESS * strip.height, SHARPNESS * WIDTH)
        against, right = columns_of(picture, RED), columns_of(picture, GREEN)
        assert against.min() > 0 and right.max() < picture.shape[1] - 1
        middle = (against.min() + right.max()) / 2
        assert against.max() < middle < right.min(), "the two lie as far from zero"
    alone = columns_of(decoded(forest.strips["1a"].light), GREEN)
    assert (alone.min(), alone.max()) == (right.min(), right.max()), "one axis for all"


def test_an_empty_picture_has_the_same_checksum(groups):
    whole, empty = forest_of(groups), forest_of(groups, pixels=False)
    assert whole.drawn_from == empty.drawn_from
    assert {strip.light for strip in empty.strips.values()} == {"data:image/webp;base64,"}
    assert [strip.height for strip in empty.strips.values()] == [
        strip.height for strip in whole.strips.values()
    ]
    other = groups_of(parts_of([judged("1a", "grid", 0.10, 0.11, 0.13)], {}))
    assert forest_of(other, pixels=False).drawn_from != whole.drawn_from
