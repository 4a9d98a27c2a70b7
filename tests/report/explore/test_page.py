"""What the page holds, and what it leaves out."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from toyflow.atomic import write_manifest
from toyflow.report.explore.denoising import DenoisedBy, Denoising, read_denoising, write_denoising
from toyflow.report.explore.films import Films
from toyflow.report.explore.one_step import OneStep
from toyflow.report.explore.page import explore_page
from toyflow.report.explore.studies import (
    Decoded,
    Setting,
    Study,
    Unread,
    _by_setting,
    _read_velocities,
    _rounded,
    _untold,
    read_study,
)


def denoising(size: int = 8) -> Denoising:
    way = DenoisedBy(1, 1, "euler", None, 1, 1, "A" * size, "B" * size, [1.0])
    return Denoising("abc", "0", "curve", [2], "CCCC", ["0.5"], [""], [way])


def study(**changed) -> Study:
    names = {"label": "uniform", "objective": "flow", "schedule": "uniform", "prediction": "velocity"}
    setting = Setting(**names, variant="", probed="", keys=["abc"], noise_seed=0)
    row = {
        "sampler": "euler",
        "grid": None,
        "seeds": 3,
        "interval": "t",
        "others": {},
        "errors": 0,
        "doubt": "",
        "caveat": "",
    }
    decoded = [
        Decoded(
            0, steps, 1, score=score, low=score - 0.1, high=score + 0.1, calls=steps, ms=0.5 * steps, **row
        )
        for steps, score in ((1, 0.25), (10, 0.75))
    ]
    values = {
        "name": "wave", "task": "wave", "described": "A <wave>.", "metric": "close", "settings": [setting],
        "decoded": decoded, "errors_by_noise": {}, "anatomies": {}, "denoising": {0: denoising()},
    }  # fmt: skip
    return Study(**{**values, **changed})


def velocities_in(folder, *rows):
    """A probe's table of errors by noise level, as it is read."""
    table = folder / "velocity_error.csv"
    table.write_text("\n".join(["label,variant,noise_level,mse,mse_low,mse_high", *rows, ""]))
    return _read_velocities(table)


@pytest.fixture(autouse=True)
def no_library(monkeypatch):
    monkeypatch.setattr("toyflow.report.explore.page.vega_library", lambda: "'</script>'")


def data_of(page: str):
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_every_number_is_in_the_data_and_in_a_table():
    page = explore_page("here", [study()], [], Films([], 0))
    [found] = data_of(page)["studies"]
    assert [each["score"] for each in found["decoded"]] == [0.25, 0.75] and found["left_out"] == 0
    cells = re.findall(r'<td class="number">(.*?)</td>', page)
    assert cells[:7] == ["1", "1", "3", "25.0", "15.0 to 35.0", "1", "0.5"]


def test_other_metrics_of_the_task_stand_beside_its_headline():
    [one, ten] = study().decoded
    decoded = [
        replace(one, others={"digit accuracy": 0.987654}),
        replace(ten, others={"digit accuracy": None}),
    ]
    page = explore_page("here", [study(decoded=decoded)], [], Films([], 0))
    assert '<th scope="col" class="number">digit accuracy</th>' in page
    cells = re.findall(r'<td class="number">(.*?)</td>', page)
    assert cells[5] == "0.988" and cells[5 + 11] == ""
    assert data_of(page)["studies"][0]["decoded"][0]["others"] == {"digit accuracy": 0.987654}


def test_it_begins_with_the_study_that_has_most_to_show():
    rich = study(name="rich", denoising={0: denoising(), 1: denoising()})
    assert data_of(explore_page("here", [study(), rich, study()], [], Films([], 0)))["first"] == 1


def test_what_names_say_is_no_html():
    name = "</script><script>alert(1)</script>"
    page = explore_page(name, [study(name=name)], [Unread(name, name)], Films([], 0))
    assert "alert" in page and "<script>alert" not in page
    assert page.count("<script") == 4 == page.count("</script>")
    assert data_of(page)["studies"][0]["name"] == name


def test_nothing_is_asked_of_elsewhere():
    page = explore_page("here", [study()], [], Films([], 0))
    assert "default-src 'none'" in page and "connect-src" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_it_says_which_noise_is_shown():
    page = explore_page("here", [study()], [], Films([], 0))
    assert "Only decodings of noise seed 0 are shown" in page
    assert "From the third draw on, the noises are not those of the evaluation" in page
    assert data_of(page)["studies"][0]["settings"][0]["noise_seed"] == 0


def test_examples_for_which_there_is_no_room_are_counted():
    large = study(denoising={0: denoising(3_000_000), 1: denoising()})
    [found] = data_of(explore_page("here", [large], [], Films([], 0)))["studies"]
    assert list(found["denoising"]) == ["1"] and found["left_out"] == 1


def test_parts_of_an_error_stand_beside_one_step():
    parts = {"error": 0.5, "leak": 0.2, "bias_and_spread": 0.3}
    anatomies = {0: OneStep("test set", 3, parts, {1: 0.2})}
    page = explore_page("here", [study(anatomies=anatomies)], [], Films([], 0))
    first, second = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page)
    assert ">0.2<" in first and first.count("0.3 together") == 2
    assert second.count('<td class="number"></td>') == 3


def test_a_number_that_is_not_known_is_no_zero():
    assert _rounded(math.nan) is None and _rounded(math.inf) is None and _rounded(1 / 3) == 0.333333
    [known, _] = study().decoded
    unknown = replace(known, score=None, low=None, high=None, ms=None)
    page = explore_page("here", [study(decoded=[unknown])], [], Films([], 0))
    [found] = data_of(page)["studies"][0]["decoded"]
    assert found["score"] is found["low"] is found["ms"] is None
    cells = re.findall(r'<td class="number">(.*?)</td>', page)
    assert cells[:7] == ["1", "1", "3", "", "", "1", ""]


def test_of_a_probe_what_is_not_known_is_skipped(tmp_path):
    velocities = velocities_in(tmp_path, "uniform,,1,0.5,,", "uniform,,0,,,", "beta,,1,,,")
    settings = [replace(study().settings[0], label=label) for label in ("uniform", "beta")]
    assert _by_setting(settings, velocities) == {0: [{"noise": 1.0, "mse": 0.5, "low": None, "high": None}]}


def test_a_probed_label_is_found_though_its_variant_has_got_a_name_since(tmp_path):
    """As when a folder was probed, and models with other options were added."""
    velocities = velocities_in(tmp_path, "uniform,,1,0.5,,")
    [uniform] = study().settings
    named = replace(uniform, probed="iterations=100")
    assert list(_by_setting([named, replace(named, label="beta")], velocities)) == [0]
    assert _by_setting([named, replace(named, probed="iterations=200")], velocities) == {}


def test_of_which_variant_a_probe_is_may_not_be_told(tmp_path):
    """As when a folder was probed, and other variants of the same label were added."""
    [uniform] = study().settings
    settings = [replace(uniform, probed=f"iterations={count}") for count in (100, 200)]
    settings.append(replace(settings[0], label="beta"))
    assert _untold(settings, velocities_in(tmp_path, "uniform,,1,0.5,,")) == [0, 1]
    assert _untold(settings, velocities_in(tmp_path, "uniform,iterations=100,1,0.5,,")) == []
    assert _untold(settings, _read_velocities(tmp_path / "none.csv")) == []
    assert data_of(explore_page("here", [study(untold=[0])], [], Films([], 0)))["studies"][0]["untold"] == [0]


def test_our_aloha_was_probed_before_it_had_three_variants_of_a_schedule():
    found = read_study("aloha", Path("results/reference/aloha"))
    untold = [found.settings[place] for place in found.untold]
    assert [each.label for each in untold] == ["shift:4"] * 3
    assert [found.settings[place].label for place in found.errors_by_noise] == ["shift:8"]


def test_a_damaged_table_of_a_probe_is_left_out(tmp_path, caplog):
    table = tmp_path / "velocity_error.csv"
    for text in ("", "label,vari", 'label,variant,noise_level\nuniform,,1\nuniform,"'):
        table.write_text(text)
        assert _by_setting(study().settings, _read_velocities(table)) == {}
    assert [table.name in each.message for each in caplog.records] == [True] * 3


def test_a_table_of_a_probe_with_another_number_than_was_written_is_left_out(tmp_path, caplog):
    velocities_in(tmp_path, "uniform,,1,0.5,,")
    table = tmp_path / "velocity_error.csv"
    write_manifest(tmp_path, [table])
    assert len(_read_velocities(table)) == 1 and not caplog.records
    table.write_text(table.read_text().replace("0.5", "0.9"))
    assert _read_velocities(table).empty
    assert [table.name in each.message for each in caplog.records] == [True]


def test_a_denoising_is_read_as_it_was_written(tmp_path):
    write_denoising(denoising(), tmp_path)
    assert read_denoising(tmp_path, ["other", "abc"]) == denoising()
    assert read_denoising(tmp_path, ["other"]) is None


def test_in_place_of_a_damaged_denoising_the_next_is_read(tmp_path, caplog):
    path = write_denoising(replace(denoising(), key="damaged"), tmp_path)
    path.write_text("{")
    write_denoising(denoising(), tmp_path)
    assert read_denoising(tmp_path, ["damaged", "abc"]) == denoising()
    assert [path.name in each.message for each in caplog.records] == [True]
    assert read_denoising(tmp_path, ["damaged"]) is None
