"""Python blocks of pages run; README stays short, and its commands run after `make demo`."""

import re
import shlex
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "```python" in path.read_text()]
NOT_RUN = "# not run: "
SHORTER = {"range(1500)": "range(3)", "seeds=[0, 1],": "seeds=[0], iterations=2,"}
"""What makes a block quick. In full the same blocks run in tests/flow/test_own_loop.py and
tests/api/test_study.py."""
CHEAP = ("schedules", "objectives", "tasks", "presets", "compare")
"""Commands that only read."""


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def read_only_commands() -> list[str]:
    """Every whole command of README and docs that reads our own results or the code, and nothing else."""
    found = set()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for block in re.findall(
            r"^```sh\n(.*?)^```|^((?:    \S.*\n)+)", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            for line in "".join(block).replace("\\\n", " ").splitlines():
                command = " ".join(line.split("#")[0].split())
                asked = command.removeprefix("toyflow ")
                ours = "compare" not in asked or "--out results/reference" in asked
                if command.startswith("toyflow ") and asked.startswith(CHEAP) and ours:
                    found.add(command)
    return sorted(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs")))
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {"__name__": "page"}
    for block in python_blocks(page.read_text()):
        for full, short in SHORTER.items():
            block = block.replace(full, short)
        code = compile(block, str(page), "exec")
        if not block.startswith(NOT_RUN):
            exec(code, names)


def test_readme_and_pages_have_the_same_blocks():
    pages = {block for page in PAGES for block in python_blocks(page.read_text())}
    assert len(python_blocks(README)) == 2 and not [b for b in python_blocks(README) if b not in pages]


def test_readme_is_of_one_screen_and_says_what_it_must():
    assert len(README.splitlines()) <= 140
    for words in ("source .venv/bin/activate", "make demo", "make test", "story.png", "about 2 minutes"):
        assert words in README
    for command in ("robot-train", "robot-eval", "robot-serve", "robot-run"):
        assert f"\n    toyflow {command}" in README


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_commands_after_the_demo_run_as_written(toyflow):
    """After a sweep like that of `make demo`, but a short one; and `probe` on few examples."""
    demo = ("sweep", "--schedules", "beta,uniform", "--steps", "1,10", "--iterations", "2", "--seeds", "0-1")
    assert toyflow(*demo).returncode == 0
    section = README.split("## Try it\n")[1].split("\n## ")[0]
    commands = [
        shlex.split(line, comments=True) for line in re.findall(r"^    toyflow (.*)$", section, re.MULTILINE)
    ]
    assert len(commands) == 3
    for words in commands:
        ran = toyflow(*words, *(("--examples", "8", "--steps", "4") if words == ["probe"] else ()))
        assert ran.returncode == 0, (words, ran.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("command", read_only_commands())
def test_commands_that_only_read_run(command, toyflow, monkeypatch):
    monkeypatch.chdir(ROOT)
    ran = toyflow(*shlex.split(command)[1:])
    assert ran.returncode == 0, ran.stderr
