"""What counts in the hash of code, and what does not."""

import functools
import importlib.machinery
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from toyflow.sweep.code_hash import UNKNOWN, hash_of, hash_of_attribute

BASE = """
class Base:
    LIMITS = [1, 2]
    def score(self, x):
        return min(x, self.LIMITS[0])
"""

HELPERS = """
from . import tables as lists
def sharpened(x):
    return 2 * x + lists.first()
"""

TABLES = """
TABLE = {}
TABLE["first"] = 1
def first():
    return TABLE["first"]
def unused():
    return 2
"""

TASK = """
import math
from hashed_base import Base

_SCALES = [1, 1]
_BOUNDS = {"close": 0.5}
_CACHE = None

def cached():
    global _CACHE
    if _CACHE is None:
        _CACHE = math.pi
    return _CACHE

class Wave(Base):
    def __init__(self, scale=1, data_dir=None):
        self._scale = scale
        self.data_dir = data_dir
        self.kept = {}
    def batch(self):
        from hashed.helpers import sharpened
        self.kept["batch"] = sharpened(_SCALES[0]) * self._scale
        return self.kept["batch"], self.data_dir
    def bounded(self, x):
        return x < _BOUNDS["close"]
    def lazy(self):
        return cached()
"""

PARTS = ("batch", "bounded", "lazy", "score")


@pytest.fixture
def wave(tmp_path, monkeypatch):
    """Writes the modules, edited, and makes an instance of `Wave` as a fresh process would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "hashed").mkdir()

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith("hashed")]:
            del sys.modules[name]

    def make(*edits: tuple[str, str], **values) -> Any:
        forget()
        texts = {"hashed_base": BASE, "hashed/helpers": HELPERS, "hashed/tables": TABLES, "hashed/task": TASK}
        for name, text in texts.items():
            for old, new in edits:
                text = text.replace(old, new)
            (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module("hashed.task").Wave(**values)

    yield make
    forget()


def hashes(instance: Any) -> dict[str, str]:
    return {name: hash_of_attribute(instance, name) for name in PARTS}


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (("_SCALES = [1, 1]", "_SCALES = [1, 2]"), "batch"),
        (('{"close": 0.5}', '{"close": 0.7}'), "bounded"),
        (("return 2 * x", "return 3 * x"), "batch"),
        (('TABLE["first"] = 1', 'TABLE["first"] = 2'), "batch"),
        (("math.pi", "math.e"), "lazy"),
        (("LIMITS = [1, 2]", "LIMITS = [0, 2]"), "score"),
        (("return min(x", "return max(x"), "score"),
    ],
    ids=["private list", "private dict", "local import", "item of a table", "lazy global", "class", "base"],
)
def test_what_a_method_refers_to_counts(wave, edit, changed):
    before, after = hashes(wave()), hashes(wave(edit))
    assert UNKNOWN not in before.values()
    assert [name for name in PARTS if before[name] != after[name]] == [changed]


@pytest.mark.parametrize(
    "edit",
    [("return 2\n", "return 3\n"), ("    return 2 * x", "    # twice\n    return (2 * x)")],
    ids=["a function that nobody calls", "comment and formatting"],
)
def test_what_does_not_matter_does_not_count(wave, edit):
    assert hashes(wave()) == hashes(wave(edit))


def test_what_has_run_does_not_count_and_what_an_instance_was_given_does(wave):
    instance = wave()
    before = hashes(instance)
    assert instance.batch() and instance.lazy()
    assert hashes(instance) == before == hashes(wave(data_dir="there"))
    assert {name for name, value in hashes(wave(scale=2)).items() if value != before[name]} == {"batch"}


@pytest.mark.parametrize("make", [torch.tensor, np.array])
def test_tensors_and_arrays_count_by_their_content(wave, make):
    def hashed(value: Any) -> str:
        return hash_of_attribute(wave(scale=value), "batch")

    assert hashed(make([1.0, 2.0])) == hashed(make([1.0, 2.0])) != hashed(make([1.0, 3.0]))


def test_a_tensor_that_was_written_to_is_hashed_anew(wave):
    instance = wave(scale=torch.zeros(2))
    before = hash_of_attribute(instance, "batch")
    assert hash_of_attribute(instance, "batch") == before
    instance._scale[0] = 1
    assert hash_of_attribute(instance, "batch") != before


def test_a_compiled_module_leaves_only_what_uses_it_unknown(wave, tmp_path):
    (tmp_path / "hashed_kernel.so").touch()
    spec = importlib.machinery.ModuleSpec("hashed_kernel", None, origin=str(tmp_path / "hashed_kernel.so"))
    spec.has_location = True
    instance = wave(("return x < _BOUNDS", "import hashed_kernel\n        return x < _BOUNDS"))
    sys.modules["hashed_kernel"] = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("h", None))
    sys.modules["hashed_kernel"].__spec__ = spec
    assert [name for name, value in hashes(instance).items() if value == UNKNOWN] == ["bounded"]


def test_a_scripts_neighbours_are_its_own_code(tmp_path):
    (tmp_path / "neighbour.py").write_text("LIMIT = 1\ndef limited(x):\n    return min(x, LIMIT)\n")
    (tmp_path / "script.py").write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import neighbour, math\n"
        "from toyflow.sweep.code_hash import hash_of\n"
        "def root(x):\n    return math.sqrt(neighbour.limited(x))\n"
        "print(hash_of(root))\n"
    )

    def run() -> str:
        words = [sys.executable, "-B", str(tmp_path / "script.py"), str(tmp_path)]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=200).stdout

    before = run()
    (tmp_path / "neighbour.py").write_text("LIMIT = 22\ndef limited(x):\n    return min(x, LIMIT)\n")
    assert before and run() != before


def test_a_notebooks_later_cell_replaces_an_earlier_one(monkeypatch):
    import __main__

    def run(*cells: str) -> str:
        space: dict[str, Any] = {"__name__": "__main__"}
        for cell in cells:
            exec(cell, space)
        monkeypatch.setattr(__main__, "In", ["", "not Python", *cells], raising=False)
        return hash_of(space["area"])

    monkeypatch.delattr(__main__, "__file__", raising=False)
    area = "def area(x):\n    return SCALE * x"
    one = run("SCALE = 1", area)
    assert one == run("SCALE = 3", area, "SCALE = 1") != run("SCALE = 1", area, "SCALE = 2")
    assert UNKNOWN != one != run("SCALE = 1", area, area.replace("*", "+"))


@dataclass
class Settings:
    scale: float = 1.0
    table: object = None


def wrapped(scale, table=None):
    settings = Settings(scale, table)

    @functools.lru_cache
    def inner(x, power=[1, 2]):  # noqa: B006
        return sum(x**p for p in power) * settings.scale

    return inner


def test_closures_defaults_wrappers_and_tensors_count():
    def hashed(*values):
        return hash_of(wrapped(*values).__wrapped__)

    assert hashed(1.0) == hashed(1.0) != hashed(2.0)
    assert hashed(1.0, torch.ones(3)) == hashed(1.0, torch.ones(3)) != hashed(1.0, torch.zeros(3))
    assert hashed(1.0, {"a": {1, 2}}) == hashed(1.0, {"a": {2, 1}}) != hashed(1.0, {"a": {1, 3}})


def test_a_lambda_has_a_hash_and_a_compiled_function_has_none():
    one = lambda x: x + 1  # noqa: E731
    two = lambda x: x + 2  # noqa: E731
    assert hash_of(one) != hash_of(two)
    space: dict[str, Any] = {"__name__": __name__}
    exec("def typed(x):\n    return x", space)
    assert hash_of(space["typed"]) == UNKNOWN
