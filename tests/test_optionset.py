import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import TEXT, parsed, texts

from toyflow.errors import UsageError
from toyflow.optionset import FreeText, Names, Numbers, OptionSet, check_names, choice, number, switch, text


@dataclass(frozen=True)
class Options(OptionSet):
    width: int = number(4, low=1, high=10)
    noise_level: float = number(0.5, low=0, high=2)
    encoder: str = choice("small", "large", default="large")
    mirrored: bool = switch(False)
    where: str = text("", "a folder")


@given(st.floats(-50, 50).map(repr) | texts("0123456789.-+e _inf"), st.booleans())
def test_a_number_is_within_its_range_and_parses_back(given_text, whole):
    numbers = Numbers(0 if whole else 0.0, low=-10, high=20)
    value = parsed(lambda: numbers.parse("noise", given_text))
    if value is not None:
        assert -10 <= value <= 20 and value == float(given_text)
        assert numbers.parse("noise", numbers.text(value)) == value
        assert not whole or isinstance(value, int)


@given(TEXT)
def test_a_name_is_one_of_those_there_are(name):
    assert parsed(lambda: Names("small", ("small", "large")).parse("encoder", name)) in (
        None, "small", "large",
    )  # fmt: skip


@given(TEXT)
def test_a_text_is_free(words):
    assert FreeText("", "anything").parse("dataset", words) == words.strip()


@given(
    st.integers(1, 10), st.floats(0, 2), st.sampled_from(("small", "large")), st.booleans(),
    st.text("abc/-_", max_size=8),
)  # fmt: skip
def test_a_record_of_any_options_parses_back_to_them(width, noise, encoder, mirrored, where):
    options = Options(width, noise, encoder, mirrored, where)
    assert Options.parse(options.record()) == options


def test_the_text_of_records_is_settled():
    """It enters keys, which name folders that users have."""
    assert Options().record() == {
        "width": "4", "noise-level": "0.5", "encoder": "large", "mirrored": "off", "where": "",
    }  # fmt: skip
    assert Options(noise_level=1.0, mirrored=True).record()["noise-level"] == "1"
    many = Numbers(0, low=0, high=1e18)
    assert [many.text(n) for n in (999_999, 1_000_000, 1_234_567)] == ["999999", "1e+06", "1234567"]
    assert many.parse("n", "1e+06") == 1_000_000 and many.parse("n", str(2**53 + 1)) == 2**53 + 1
    assert Numbers(0.0, 0, 2).text(0.12345678) == "0.12345678"


@dataclass(frozen=True)
class Grown(Options):
    """`Options` with one more of each kind, added later."""

    depth: int = number(2, low=1, high=10, added=True)
    split: str = choice("test", "validation", added=True)
    tied: bool = switch(True, added=True)
    origin: str = text("here", "a place", added=True)


def test_an_option_that_was_added_is_no_part_of_a_record_at_its_default():
    older = Options(width=7).record()
    assert Grown(width=7).record() == older and Grown.parse(older) == Grown(width=7)
    assert Grown.added() == {"depth": "2", "split": "test", "tied": "on", "origin": "here"}
    assert Grown(width=7).texts() == {**older, **Grown.added()}
    changed = Grown.parse({"depth": "3", "split": "test", "tied": "off"})
    assert changed.record() == {**Options().record(), "depth": "3", "tied": "off"}
    assert Grown.parse(changed.record()) == changed


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"width": "11"}, "width must be a whole number from 1 to 10, got '11'"),
        ({"width": "1.5"}, "width must be a whole number"),
        ({"noise-level": "nan"}, "noise-level must be a number from 0 to 2"),
        ({"encoder": "smal"}, "unknown encoder 'smal'. Did you mean 'small'"),
        ({"mirrored": "yes"}, "unknown mirrored 'yes'.* Available: off, on"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(texts, words):
    with pytest.raises(UsageError, match=words):
        Options.parse(texts)


def test_values_from_python_are_checked_as_text_is():
    with pytest.raises(UsageError, match="width must be a whole number from 1 to 10"):
        Options(width=11)
    with pytest.raises(UsageError, match="unknown encoder 'huge'"):
        Options(encoder="huge")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("width", 10.0000001, "width must be a whole number from 1 to 10, got 10.0000001"),
        ("width", 2.5, "width must be a whole number"),
        ("width", "5", "width must be a whole number from 1 to 10, got '5'"),
        ("width", None, "width must be a whole number from 1 to 10, got None"),
        ("width", True, "width must be a whole number"),
        ("noise_level", 2.0000001, "noise-level must be a number from 0 to 2, got 2.0000001"),
        ("noise_level", float("nan"), "noise-level must be a number"),
        ("noise_level", float("inf"), "noise-level must be a number"),
        ("noise_level", 1j, "noise-level must be a number"),
        ("encoder", 3, "unknown encoder '3'"),
        ("encoder", ["small"], "unknown encoder"),
        ("mirrored", "off", "mirrored must be True or False, got 'off'"),
        ("mirrored", 1, "mirrored must be True or False, got 1"),
        ("where", None, "where must be text, got None"),
    ],
)
def test_values_of_another_type_or_out_of_range_are_refused_by_name(field, value, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        Options(**{field: value})
    if value is not None:
        with pytest.raises(UsageError, match=re.escape(words)):
            Options().changed({field: value})


def test_values_from_python_become_the_options_own_type():
    whole: Any = np.int64(8)
    options = Options(width=whole, noise_level=1, where=" a ")
    assert options == Options(8, 1.0, where="a")
    assert (type(options.width), type(options.noise_level)) == (int, float)
    single: Any = np.float32(0.1)
    assert Options(noise_level=single).record() == Options(noise_level=float(single)).record()


def test_a_name_that_no_set_has_is_refused_with_what_exists():
    check_names(["width", "noise-level"], [Options], "task points")
    with pytest.raises(UsageError, match=r"unknown option of task points 'widht'. Did you mean 'width'"):
        check_names(["widht"], [Options, OptionSet], "task points")


def test_help_shows_the_default_first():
    assert str(Options.values()["encoder"]) == "[bold]large[/], small"
    assert str(Options.values()["width"]) == "[bold]4[/] (1 to 10)"


def test_values_of_flags_are_checked_before_they_are_taken():
    changed = Options(width=7).changed({"noise_level": 1, "mirrored": True, "encoder": None, "where": " a "})
    assert changed == Options(7, 1.0, "large", True, "a")
    with pytest.raises(UsageError, match=r"unknown encoder 'lrge'. Did you mean 'large'"):
        Options().changed({"encoder": "lrge"})
    with pytest.raises(UsageError, match="width must be a whole number from 1 to 10, got 0"):
        Options().changed({"width": 0})
    with pytest.raises(UsageError, match=r"unknown option of Options 'widht'. Did you mean 'width'"):
        Options().changed({"widht": 3})
    fine = Options(noise_level=0.12345678)
    assert fine.changed({"width": 6}) == Options(6, 0.12345678), "options without a flag stay as they are"
