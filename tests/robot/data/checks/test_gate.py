"""A data set is checked before a training, and again only where its files, or what is asked, have changed."""

import random
import shutil

import pytest

pytest.importorskip("lerobot")

from robot.corrections import hold_still
from robot.data.checks.contradictions import CONTRADICTIONS

from toyflow.errors import UsageError
from toyflow.robot.data.checks import gate, image_files
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.gate import refuse_contradictions


@pytest.fixture
def checked(monkeypatch, tmp_path):
    """What was looked at, by what was asked; every data set is large enough for its verdict to be kept."""
    seen = []

    def check(*asked):
        seen.append(asked)
        return check_data_set(*asked)

    monkeypatch.setattr(gate, "check_data_set", check)
    monkeypatch.setattr(gate, "KEPT_ABOVE", 0)
    monkeypatch.setattr(gate, "SETTLED", -1.0)
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "cache"))
    yield seen
    gate._told.cache_clear()


def later(folder, *asked):
    """As another process would."""
    gate._told.cache_clear()
    refuse_contradictions("mine", folder, *asked)


def test_a_second_training_does_not_check_again_and_warns_all_the_same(small, checked, caplog, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "mine")
    hold_still(folder, "action", 1, 3.0)
    later(folder)
    [said] = caplog.messages
    assert "action: number 1 (action_1) never changes" in said
    later(folder)
    assert len(checked) == 1 and caplog.messages == [said, said]
    for cameras in (("front",), ("wrist",)):
        later(folder, "", cameras)
    assert len(checked) == 3, "another question has another verdict"


def test_a_changed_file_is_looked_at(small, checked, tmp_path):
    folder = shutil.copytree(small[0], tmp_path / "mine")
    later(folder)
    CONTRADICTIONS["nan state"](folder, random.Random(0))
    for _ in range(2):
        with pytest.raises(UsageError, match="nan"):
            later(folder)
    assert len(checked) == 3, "errors are not kept"


def test_a_verdict_of_other_checks_is_not_taken(small, checked, monkeypatch):
    later(small[0])
    monkeypatch.setattr(gate, "_code", lambda: "other")
    later(small[0])
    assert len(checked) == 2


def test_a_damaged_verdict_is_found_anew(small, checked, tmp_path):
    later(small[0])
    [kept] = (tmp_path / "cache" / "data-checks").iterdir()
    kept.write_text(kept.read_text().replace("warnings", "warning"))
    later(small[0])
    assert len(checked) == 2


def test_what_is_small_or_just_written_is_not_kept(small, checked, tmp_path, monkeypatch):
    for limit in ("KEPT_ABOVE", "SETTLED"):
        with monkeypatch.context() as patch:
            patch.setattr(gate, limit, 1e9)
            later(small[0])
        assert not (tmp_path / "cache" / "data-checks").exists()


def test_of_many_pictures_evenly_spread_row_groups_are_read(small, monkeypatch):
    report = check_data_set("mine", small[0])
    read = []
    original = image_files._stored_images

    def counted(contents, feature, groups, wanted):
        for frame, stored in original(contents, feature, groups, wanted):
            read.append(frame)
            yield frame, stored

    monkeypatch.setattr(image_files, "_stored_images", counted)
    monkeypatch.setattr(image_files, "BYTES_SEEN", 30_000)
    sampled = check_data_set("mine", small[0])
    assert sampled.errors == report.errors == [] and all(sampled.cameras.values())
    assert {0, 27 - 8} <= set(read) < set(range(28)), "the first and the last episode, but not all frames"
