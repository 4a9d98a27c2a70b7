"""One contradiction in a good data set is always named with its place, and never trains."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("lerobot")

from robot.data.checks.contradictions import CONTRADICTIONS, Expected

from toyflow.errors import UsageError
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.checks.gate import refuse_contradictions


def fits(finding: Finding, expected: Expected) -> bool:
    wanted = {name: value for name, value in expected._asdict().items() if value not in (None, "")}
    return finding.level == "error" and all(getattr(finding, name) == value for name, value in wanted.items())


def try_one(good: Path, kind: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(shutil.copytree(good, Path(temporary) / "data"))
        expected = CONTRADICTIONS[kind](folder, random.Random(seed))
        report = check_data_set("mine", folder)
        assert any(fits(each, expected) for each in report.findings), (expected, report.errors)
        with pytest.raises(UsageError, match=r"data set mine.*`toyflow robot-data check mine`") as caught:
            refuse_contradictions("mine", folder)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def good(small):
    return small[0]


def test_a_good_data_set_has_no_contradictions(good):
    report = check_data_set("good", good)
    assert report.errors == [] and report.counts["warning"] == 0
    assert (report.frames, report.episodes, report.fps) == (28, 3, 10)
    assert set(report.cameras) == {"front", "wrist"} and all(report.cameras.values())
    refuse_contradictions("good", good)


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_each_contradiction_is_named_and_refused(kind, good):
    try_one(good, kind, 0)


@given(st.sampled_from(sorted(CONTRADICTIONS)), st.integers(0, 2**16))
@settings(max_examples=40)
def test_a_random_contradiction_is_named_and_refused(good, kind, seed):
    try_one(good, kind, seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(st.sampled_from(sorted(CONTRADICTIONS)), st.integers(0, 2**32))
@settings(max_examples=500)
def test_500_random_contradictions_are_named_and_refused(good, kind, seed):
    try_one(good, kind, seed)
