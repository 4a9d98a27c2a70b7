import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, parsed

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
