"""The names at the top of the package: cheap until one is used, and the same for people and for tools."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toyflow


@pytest.mark.parametrize("name", toyflow.__all__)
def test_every_name_is_there_and_listed(name):
    assert getattr(toyflow, name) is not None
    assert name in dir(toyflow)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'toyflow' has no attribute 'Shft'"):
        _ = toyflow.Shft  # pyright: ignore[reportAttributeAccessIssue]


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(toyflow.__file__).read_text())
    [shown] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = [alias.name for node in shown.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted([*imported, "__version__"]) == sorted(toyflow.__all__)


def test_importing_toyflow_imports_nothing_heavy_and_its_names_come_without_a_warning():
    code = """
import sys, toyflow
dir(toyflow)
assert not {"torch", "numpy", "scipy"} & set(sys.modules)
from toyflow import *
assert Shift(4).name == "shift:4" and euler.order == 1
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
