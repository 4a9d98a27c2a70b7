import math

from hypothesis import given
from hypothesis import strategies as st
from junk import TEXT, parsed, texts

from toyflow.sweep.subject import Choice, Number, Text


@given(st.floats(-50, 50).map(repr) | texts("0123456789.-+e _inf"), st.booleans())
def test_a_number_is_within_its_range_and_parses_back(text, whole):
    number = Number(0, low=-10, high=20, whole=whole)
    recorded = parsed(lambda: number.parse("noise", text))
    if recorded is not None:
        assert -10 <= float(recorded) <= 20 and math.isclose(float(recorded), float(text), rel_tol=1e-5)
        assert number.parse("noise", recorded) == recorded
        assert not whole or float(recorded).is_integer()


@given(TEXT)
def test_a_choice_is_one_of_its_names(text):
    assert parsed(lambda: Choice("small", "large").parse("encoder", text)) in (None, "small", "large")


@given(TEXT)
def test_a_text_is_free(text):
    assert Text("", "anything").parse("dataset", text) == text.strip()
