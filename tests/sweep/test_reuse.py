"""Results that other code of the task made are used again, and a warning says so."""

import importlib
import itertools
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toyflow import run_study

HELPERS = """
SHARPNESS = 2.0

def unused():
    return 1

def sharpened(x):
    return x * SHARPNESS
"""

TASK = """
import torch
from toyflow import Batch, Task, VectorModel
from {package}.helpers import sharpened

CLOSE = 0.5

class Wave(Task):
    "Copy a point."
    name = "wave"
    metrics = ("close",)

    def __init__(self, spread=1.0):
        super().__init__()
        self.spread = spread

    def train_batch(self, size, generator):
        x = self.spread * torch.randn(size, 2, generator=generator)
        return Batch(x, sharpened(x))

    def test_set(self):
        return self.train_batch(20, torch.Generator().manual_seed(1))

    def build_model(self, options):
        return VectorModel(observation=2, target=2, width=8, depth=1)

    def score(self, sample, test):
        return {{"close": ((sample - test.target).norm(dim=1) < CLOSE).float()}}
"""


@pytest.fixture
def study(tmp_path, monkeypatch, caplog):
    """Writes a package with the task, edited, and runs it into one results folder; what was logged."""
    numbers = itertools.count()
    made: list[str] = []

    def run(*edits: tuple[str, str], spread: float = 1.0, **options) -> list[str]:
        package = f"waves{next(numbers)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in ("helpers", HELPERS), ("task", TASK.format(package=package)):
            for old, new in edits:
                text = text.replace(old, new)
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        made.append(package)
        module = importlib.import_module(f"{package}.task")
        caplog.clear()
        with caplog.at_level(logging.WARNING, "toyflow"):
            run_study(
                module.Wave(spread), schedules=("beta",), steps=(1, 2), seeds=(0,), iterations=2,
                batch_size=2, out=tmp_path / "out", **options,
            )  # fmt: skip
        return [record.getMessage() for record in caplog.records]

    yield run
    for name in [name for name in sys.modules if name.partition(".")[0] in made]:
        del sys.modules[name]


def test_the_same_code_is_used_again_without_a_word(study):
    assert study() == [] == study()


@pytest.mark.parametrize(
    "edit",
    [
        ("def score(self, sample, test):", "def score(self, sample, test):\n        # a comment"),
        ('"Copy a point."', '"Copy a point, as well as can be."'),
        ("(size, 2, generator=generator)", "(\n            size, 2, generator=generator\n        )"),
        ("return 1", "return 2"),
    ],
    ids=["comment", "docstring", "formatting", "a function that nobody calls"],
)
def test_what_does_not_matter_to_results_is_passed_over(study, edit):
    study()
    assert study(edit) == []


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (("CLOSE).float", "2 * CLOSE).float"), "score"),
        (("CLOSE = 0.5", "CLOSE = 0.25"), "score"),
        (("width=8", "width=16"), "build_model"),
        (("SHARPNESS = 2.0", "SHARPNESS = 3.0"), "train_batch, test_set"),
        (("return x * S", "return 1 + x * S"), "train_batch, test_set"),
        (("manual_seed(1)", "manual_seed(2)"), "test_set"),
    ],
    ids=["score", "constant", "model", "helper's constant", "helper", "test set"],
)
def test_changed_code_is_named_with_what_to_do(study, tmp_path, edit, changed):
    study()
    [warning] = study(edit)
    [key] = [path.name for path in (tmp_path / "out" / "cells").glob("[!.]*")]
    assert f"the code of task 'wave' ({changed}) has changed since results in {tmp_path / 'out'}" in warning
    assert "raise the task's `version`" in warning and "choose another --out" in warning
    assert f"toyflow runs prune {key} --out {tmp_path / 'out'}" in warning


def test_a_changed_attribute_of_the_instance_is_changed_data(study):
    study()
    assert study() == []
    [warning] = study(spread=2.0)
    assert "'wave' (train_batch, test_set) has changed" in warning


def test_a_part_that_cannot_be_read_hides_no_change_of_another(study):
    compiled = ("CLOSE = 0.5", "exec('def compiled(x): return x')\nCLOSE = 0.5")
    given = ("self.spread = spread", "self.spread, self.kernel = spread, compiled_for(spread)")
    used = ("x = self.spread * ", "self.kernel\n        x = self.spread * ")
    made = ("class Wave", "def compiled_for(spread):\n    return compiled\n\nclass Wave")
    study(compiled, given, used, made)
    changed, unknown = study(compiled, given, used, made, ("CLOSE).float", "2 * CLOSE).float"))
    assert "the code of task 'wave' (score) has changed" in changed
    assert "has code (train_batch, test_set) that cannot be read" in unknown


def test_what_a_method_keeps_for_later_is_no_change(study):
    lazy = (
        ("self.spread = spread", "self.spread, self.kept = spread, None"),
        ("    def test_set", "    def prepare(self):\n        self.kept = torch.ones(3)\n\n    def test_set"),
        ("x = self.spread * ", "self.kept\n        x = self.spread * "),
    )
    study(*lazy)
    assert study(*lazy) == []


def test_a_raised_version_starts_anew(study):
    study()
    assert study(("CLOSE = 0.5", "CLOSE = 0.25"), ('name = "wave"', 'name = "wave"\n    version = 2')) == []


def test_results_without_hashes_are_used_again_with_one_warning(study, tmp_path):
    """As toyflow 0.1.0 wrote them."""
    study()
    for config in tmp_path.glob("out/cells/**/config.json"):
        without_code(config)
    [warning] = study()
    assert (
        "3 results in" in warning and "written by toyflow 0.1.0, which kept no hash of the task's" in warning
    )


def without_code(config: Path) -> None:
    """Take the hashes from a result, and write its manifest anew."""
    from toyflow.atomic import MANIFEST, checksum, write_sealed

    content = json.loads(config.read_text())
    assert content.pop("code")
    content["environment"]["toyflow"] = "0.1.0"
    config.write_text(json.dumps(content))
    manifest = json.loads((config.parent / MANIFEST).read_text())
    names = {name for name in manifest if (config.parent / name).is_file()}
    write_sealed(config.parent / MANIFEST, {name: checksum(config.parent / name) for name in names})


FRESH = """
import logging, sys
import torch
from toyflow import run_study
from task import Lazy
logging.basicConfig()
run_study(Lazy(data_dir=sys.argv[1]), schedules=("beta",), steps=(1,), seeds=(0,), iterations=2,
          batch_size=2, out="out")
"""

LAZY = """
import torch
from toyflow import Batch, VectorModel
from scored import Scored

_DATA = None

def data():
    global _DATA
    if _DATA is None:
        _DATA = torch.ones(2)
    return _DATA

class Lazy(Scored):
    "Fills a global, imports within a function and reads from a folder."
    name = "lazy"

    def train_batch(self, size, generator):
        from helpers import sharpened
        assert self.data_dir
        x = data() + torch.randn(size, 2, generator=generator)
        return Batch(x, sharpened(x))

    def test_set(self):
        return self.train_batch(20, torch.Generator().manual_seed(1))

    def build_model(self, options):
        return VectorModel(observation=2, target=2, width=8, depth=1)
"""

SCORED = """
from toyflow import Task

class Scored(Task):
    metrics = ("close",)

    def score(self, sample, test):
        return {"close": ((sample - test.target).norm(dim=1) < 0.5).float()}
"""


def test_fresh_processes_agree_on_the_code_whatever_has_run_and_wherever_the_data_is(tmp_path):
    texts = {"helpers": HELPERS, "scored": SCORED, "task": LAZY, "go": FRESH}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)

    def warnings(data_dir: str) -> str:
        words = [sys.executable, "-B", "go.py", data_dir]
        ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert ran.returncode == 0, ran.stderr
        return "\n".join(line for line in ran.stderr.splitlines() if line.startswith("WARNING"))

    assert warnings("here") == "" == warnings("there")
    (tmp_path / "scored.py").write_text(SCORED.replace("0.5", "0.25"))
    assert "the code of task 'lazy' (score) has changed" in warnings("here")


def test_code_that_cannot_be_read_is_named(tmp_path, caplog):
    for close in ("0.5", "0.25"):
        space: dict[str, Any] = {"__name__": "typed"}
        text = TASK.replace("from {package}.helpers import sharpened", "sharpened = torch.sin")
        exec(text.replace("{{", "{").replace("}}", "}").replace("0.5", close), space)
        run_study(space["Wave"](), schedules=("beta",), steps=(1,), seeds=(0,), iterations=2, batch_size=2,
                  out=tmp_path)  # fmt: skip
    [warning] = caplog.messages
    assert "task 'wave' has code (prepare, train_batch, " in warning
    assert "that cannot be read, so a change cannot be noticed" in warning


def test_toyflows_own_tasks_have_versions_in_place_of_hashes(tmp_path, caplog):
    from toyflow.toy.tasks.dial import Dial

    for _ in range(2):
        run_study(
            Dial({"tiles": "1"}), model={"decoder": "small"}, schedules=("beta",), steps=(1,), seeds=(0,),
            iterations=2, out=tmp_path,
        )  # fmt: skip
    assert caplog.messages == []
    assert not [path for path in tmp_path.glob("cells/**/config.json") if '"code"' in path.read_text()]
