"""`make lint` fails where a module imports what its layer must not; the layers are in pyproject.toml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports` as of the repository in `folder`."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_no_module_imports_what_its_layer_must_not():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("report/tables.py", "from toyflow.toy import toy_runner", "The layers of toyflow BROKEN"),
        ("flow/samplers.py", "import toyflow.sweep.plan", "The layers of toyflow BROKEN"),
        ("robot/data/data_set.py", "import toyflow.robot.policy.policy", "The rooms of toyflow.robot BROKEN"),
        ("sweep/plan.py", "import toyflow.sweep.run", "No circles BROKEN"),
    ],
)
def test_an_import_that_a_layer_forbids_is_named(tmp_path, module, line, contract):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "toyflow", tmp_path / "toyflow", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "toyflow" / module
    changed.write_text(changed.read_text() + f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1 and contract in done.stdout, done.stdout + done.stderr
    assert f".{changed.stem} -> " in done.stdout.partition("Broken contracts")[2]
