"""What files and command lines may hold, for property-based tests of whatever parses them."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from toyflow.errors import ToyflowError, UsageError

PLAIN = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
TEXT = st.text(max_size=24)


def texts(alphabet: str) -> st.SearchStrategy[str]:
    """Texts that look like something, and some that are anything."""
    return st.text(alphabet, max_size=24) | TEXT


def parsed(parse: Callable[[], Any], refusal: type[ToyflowError] = UsageError) -> Any:
    """What `parse` gives, or None where it refuses in one line, by its own error and no other."""
    try:
        return parse()
    except refusal as error:
        assert str(error) and "\n" not in str(error), error
        return None
