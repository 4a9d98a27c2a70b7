import math
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, TEXT, parsed, texts

from toyflow.errors import UsageError
from toyflow.robot import task as robot
from toyflow.sweep.options import SweepOptions, available_presets, load_preset, parse_numbers
from toyflow.toy.api import plan_study


def _altered(path: Path) -> st.SearchStrategy[bytes]:
    """A file with one byte altered, or its end cut off."""
    content = path.read_bytes()
    places = st.integers(0, len(content) - 1)
    flipped = st.builds(
        lambda at, byte: content[:at] + bytes([byte]) + content[at + 1 :], places, st.integers(0, 255)
    )
    return flipped | places.map(lambda end: content[:end])


def test_flags_override_a_preset_which_overrides_the_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schedules = ["shift:4"]\nsteps = [1, 2]\nbatch-size = 4\n')
    options = SweepOptions().updated(load_preset(str(path)), "preset mine")
    options = options.updated({"steps": "5", "seeds": None}, "flags")
    assert (options.schedules, options.steps, options.batch_size) == (("shift:4",), (5,), 4)
    assert options.seeds == SweepOptions().seeds


@pytest.mark.parametrize("name", sorted(available_presets()))
def test_every_preset_that_ships_can_be_planned_and_has_a_short_version(name, monkeypatch):
    # No data set of a hub and no simulator is needed for the plan itself.
    monkeypatch.setattr(robot, "open_data_set", lambda where: SimpleNamespace(fingerprint=where))
    monkeypatch.setattr(robot.RobotTask, "test_set", lambda options, made, horizon: f"{options.get('suite')}")
    monkeypatch.setattr(robot.RobotTask, "check_served", lambda test_set, data, model: None)
    whole, short = (plan_study(SweepOptions().updated(load_preset(name, q), name)) for q in (False, True))
    assert sum(c.training.recipe["iterations"] for c in short) < sum(
        c.training.recipe["iterations"] for c in whole
    )
    text = available_presets()[name].read_text()
    assert text.startswith(f"# toyflow sweep --preset {name}\n") and "Shows:" in text
    assert f"# Cost: {len(whole)} cell" in text


def test_a_presets_short_version_overrides_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("steps = [1, 2]\n[set]\nside = [2, 3]\n[quick]\nsteps = [1]\n")
    assert load_preset(str(path), quick=True) == {"steps": [1], "set": {"side": [2, 3]}}
    path.write_text("steps = [1]")
    with pytest.raises(UsageError, match="has no quick version"):
        load_preset(str(path), quick=True)


def test_settings_come_from_tables_and_flags_and_add_up():
    options = SweepOptions().updated({"set": {"side": [2, 3], "encoder": "small"}}, "preset x")
    options = options.updated({"set": ["encoder=base,large", "condition-noise=0.5"]}, "flags")
    assert options.set == {"side": ("2", "3"), "encoder": ("base", "large"), "condition-noise": ("0.5",)}


def test_lists_and_ranges():
    options = SweepOptions().updated({"seeds": "0-2, 7,7", "steps": "1,10"}, "flags")
    assert options.seeds == (0, 1, 2, 7) and options.steps == (1, 10)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": "0"}, "--steps must be 1 or more, got 0"),
        ({"steps": "1,x"}, "--steps must be whole numbers such as 1,10 or 0-4, got 'x'"),
        ({"steps": ""}, "--steps must be whole numbers"),
        ({"seeds": "-1"}, "--seeds must be whole numbers"),
        ({"seeds": "5-2"}, "range 5-2 is empty"),
        ({"schedules": ","}, "--schedules is empty"),
        ({"jobs": 0}, "--jobs must be a whole number of 1 or more"),
        ({"iterations": -3}, "--iterations must be"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number above 0"),
    ],
)
def test_bad_flags_are_named(values, words):
    with pytest.raises(UsageError, match=words):
        SweepOptions().updated(values, "flags")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepps = [1]", "unknown key in preset bad 'stepps'. Did you mean 'steps'"),
        ("steps = [1.5]", "preset bad: steps must be whole numbers"),
        ("schedules = 3", "preset bad: schedules must be names"),
        ("batch-size = true", "preset bad: batch-size must be a whole number"),
        ("steps = [", "is not TOML"),
        ("steps = []", "steps is empty"),
        ('seeds = "0-9999999999"', "is longer than"),
    ],
)
def test_bad_presets_are_named(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        SweepOptions().updated(load_preset(str(path)), "preset bad")


def test_an_unknown_preset_is_refused_with_a_guess(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'objectives'"):
        load_preset("objectivs")
    with pytest.raises(UsageError, match="no such file"):
        load_preset(str(tmp_path / "none.toml"))


@given(texts("0123456789-, x."))
def test_step_lists_parse_or_are_refused(text):
    steps = parsed(lambda: SweepOptions().updated({"steps": text}, "flags").steps)
    assert steps is None or (steps and min(steps) >= 1 and len(set(steps)) == len(steps))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 50)), min_size=1, max_size=5))
def test_ranges_are_what_they_say(ranges):
    text = ",".join(f"{first}-{first + more}" if more else f" {first} " for first, more in ranges)
    every = [number for first, more in ranges for number in range(first, first + more + 1)]
    assert parse_numbers(text, "--seeds") == tuple(dict.fromkeys(every))


def test_a_number_without_end_is_refused():
    for text in ("9" * 5000, f"0-{'9' * 5000}", "٣" * 5000):
        with pytest.raises(UsageError, match="--seeds must be whole numbers"):
            parse_numbers(text, "--seeds")


KEYS = st.sampled_from([field.name for field in fields(SweepOptions)]) | st.text(max_size=8)


@given(st.dictionaries(KEYS, JSON, max_size=3))
def test_whatever_a_preset_holds_it_is_options_or_refused(values):
    options = parsed(lambda: SweepOptions().updated(values, "preset x"))
    if options is not None:
        assert all(isinstance(step, int) and step > 0 for step in options.steps)
        assert options.learning_rate is None or 0 < options.learning_rate < math.inf


@given(st.lists(TEXT, max_size=3))
def test_whatever_set_is_given_it_is_settings_or_refused(words):
    options = parsed(lambda: SweepOptions().updated({"set": words}, "flags"))
    assert options is None or all(name and values for name, values in options.set.items())


@given(st.binary(max_size=60) | st.sampled_from(sorted(available_presets().values())).flatmap(_altered))
def test_whatever_a_preset_file_holds_it_is_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_bytes(content)
    values = parsed(lambda: load_preset(str(path)))
    assert values is None or isinstance(values, dict)


def test_a_preset_nested_without_end_is_refused(tmp_path):
    (tmp_path / "deep.toml").write_text("steps = " + "[" * 100_000)
    with pytest.raises(UsageError, match="is not TOML"):
        load_preset(str(tmp_path / "deep.toml"))
