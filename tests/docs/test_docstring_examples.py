"""Doctests in docstrings become blocks of code."""

import doctest

import pytest

docstring_examples = pytest.importorskip("docstring_examples", reason="pip install 'toyflow[docs]'")


def test_its_example():
    assert doctest.testmod(docstring_examples).failed == 0


def test_two_examples_and_text_after_each():
    text = "A.\n\n    >>> 1\n    1\n\n    >>> for i in ():\n    ...     i\nEnd."
    fenced = docstring_examples.fenced(text)
    assert fenced.count("```pycon") == 2 and fenced.count("```") == 4
    assert fenced.endswith("    ...     i\n    ```\nEnd.")
    assert docstring_examples.fenced("No example: x > y.") == "No example: x > y."
