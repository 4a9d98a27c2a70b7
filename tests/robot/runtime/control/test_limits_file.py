"""The limits file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, parsed

from toyflow.errors import UsageError
from toyflow.robot.limits import Patience
from toyflow.robot.runtime.control.limits_file import read_limits

NAMES = ("shoulder", "gripper")
KEYS = ("lower", "upper", "step", "velocity", "jerk", "hold_after", "stop_after", "stale_after")
VALUES = st.integers(-9, 9) | st.lists(st.floats() | st.none(), max_size=2) | JSON


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), st.booleans())
def test_whatever_a_file_says_it_is_limits_or_refused(tmp_path_factory, content, named):
    if named:
        content = {key: {"shoulder": value, "default": 1} for key, value in content.items()}
    path = tmp_path_factory.getbasetemp() / "limits.json"
    path.write_text(json.dumps(content))
    limits = parsed(lambda: read_limits(path, NAMES))
    if limits is not None and limits[0].lower is not None and limits[0].upper is not None:
        assert (np.array(limits[0].lower) <= limits[0].upper).all()


@given(st.binary(max_size=60), st.sampled_from([".toml", ".json"]))
def test_whatever_bytes_a_file_has(tmp_path_factory, content, suffix):
    path = (tmp_path_factory.getbasetemp() / "limits").with_suffix(suffix)
    path.write_bytes(content)
    parsed(lambda: read_limits(path, NAMES))


def test_limits_from_files(tmp_path):
    toml, names = tmp_path / "limits.toml", ("shoulder", "gripper")
    toml.write_text(
        "lower = -1\nupper = [1, 2]\nstep = {default = 0.1, gripper = inf}\n"
        "hold_after = 50\nstale_after = inf\n"
    )
    limits, patience = read_limits(toml, names)
    assert limits.as_dict() == {
        "lower": [-1, -1], "upper": [1, 2], "step": [0.1, None], "velocity": None, "jerk": None,
    }  # fmt: skip
    assert patience == Patience(hold_after=50, stale_after=float("inf"))
    other = tmp_path / "limits.json"
    other.write_text(json.dumps({"lower": [None, 0], "upper": None}))
    assert read_limits(other, names)[0].as_dict()["lower"] == [None, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lowr = 1", "unknown key in .*Did you mean 'lower'"),
        ("lower = [1]", "has 1 numbers, an action has 2: shoulder, gripper"),
        ("lower = {shoulder = 1}", "lower lacks gripper; `default`"),
        ("lower = {elbow = 1, default = 0}", "unknown dimension"),
        ('lower = "low"', "takes numbers, not 'low'"),
        ("step = 0", "step must be above 0"),
        ("lower = 2\nupper = 1", "lower is above upper in shoulder"),
        ("lower =", "cannot be read"),
        ("stale_after = -1", "stale_after must be 0 or more, not -1"),
        ("hold_after = 3000", "hold_after, 3000 ms, is above stop_after, 2000 ms"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, words):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_limits(path, ("shoulder", "gripper"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_limits(tmp_path / "none.toml", ("shoulder",))
