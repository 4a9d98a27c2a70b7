"""Completion through the shells' own protocol: the variables that Typer's scripts for bash and zsh set."""

import shutil
import subprocess
import sys

import pytest

from toyflow import plugins
from toyflow.cli import completion
from toyflow.robot.policy.policy_options import SIZE_NAMES
from toyflow.sweep.presets import available_presets


@pytest.fixture
def complete(toyflow, monkeypatch):
    """What bash offers for the last of these words, an empty one included."""

    def offered(*words: str) -> list[str]:
        monkeypatch.setenv("_TOYFLOW_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("toyflow", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        result = toyflow()
        assert result.returncode == 0 and not result.stderr
        return result.stdout.split()

    return offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("swe",), ["sweep"]),
        (("runs", "sh"), ["show"]),
        (("sweep", "--sched"), ["--schedules"]),
        (("sweep", "--schedules", "log"), ["logit-normal"]),
        (("sweep", "--schedules", "beta,un"), ["beta,uniform"]),
        (("sweep", "--objectives", "flow,mean"), ["flow,meanflow"]),
        (("sweep", "--predict", ""), ["data", "velocity"]),
        (("sweep", "--grid", "uniform,sh"), ["uniform,shift"]),
        (("sweep", "--samplers", "euler,"), ["euler,heun", "euler,midpoint"]),
        (("sweep", "--task", "grid"), ["grid-to-sequence"]),
        (("sweep", "--device", "c"), ["cpu", "cuda"]),
        (("sweep", "--preset", "finding-"), [f"finding-{number}" for number in range(1, 6)]),
        (("compare", "mo"), ["mode"]),
        (("schedules", "ed"), ["edm"]),
        (("robot-train", "--size", ""), [*SIZE_NAMES]),
        (("robot-train", "--objective", "mi"), ["mip"]),
        (("robot-eval", "x", "--environment", "pusht"), ["pusht", "pusht-state"]),
        (
            ("robot-eval", "x", "--environment", "yam-state", "--suite", ""),
            ["hanoi", "bottle_cap", "battery"],
        ),
        (("robot-eval", "x", "--suite", "libero_plus_"), None),
        (("robot-run", "x", "--robot", "aloha", "--suite", ""), ["transfer_cube"]),
        (("robot-run", "x", "--robot", "id"), ["idle"]),
        (("robot-setup", "libero-"), ["libero-pro", "libero-plus"]),
    ],
)
def test_names(complete, words, offered):
    found = complete(*words)
    if offered is None:
        offered = [f"libero_plus_{suite}" for suite in ("spatial", "object", "goal", "10")]
    assert found == offered


def test_all_plugins_of_a_group_are_offered(complete):
    """Those of other packages, too: the test plug-in's."""
    assert complete("sweep", "--schedules", "") == sorted(plugins.available("schedules"))
    assert "points" in complete("sweep", "--task", "")
    assert complete("sweep", "--preset", "") == list(available_presets())


def test_results_folders_and_their_policies(complete, tmp_path):
    for folder in ("results/sweep", "results/deep/er", "results/.hidden", "other"):
        (tmp_path / folder / "cells" / "0123").mkdir(parents=True)
        (tmp_path / folder / "toyflow.json").touch()
    (tmp_path / "results/deep/er/cells/0123/README.md").touch()
    (tmp_path / "results/empty").mkdir()
    assert complete("plot", "--out", "") == ["other", "results/sweep", "results/deep/er"]
    assert complete("explore", "--out", "./res") == ["./results/sweep", "./results/deep/er"]
    assert complete("sweep", "--out", f"{tmp_path}/results/d") == [f"{tmp_path}/results/deep/er"]
    assert complete("plot", "--out", "results/nowhere/x") == []
    assert complete("robot-eval", "results/") == ["results/deep/er/cells/0123"]
    assert complete("robot-serve", "results/deep/er/cells/0") == ["results/deep/er/cells/0123"]
    assert complete("robot-serve", "results/deep/er/cells/1") == []


def test_many_folders_are_not_all_searched(monkeypatch, tmp_path):
    monkeypatch.setattr(completion, "MOST_FOLDERS", 10)
    for number in range(20):
        (tmp_path / f"a{number:02}").mkdir()
        (tmp_path / f"a{number:02}" / "toyflow.json").touch()
    assert len(completion.results_folder(f"{tmp_path}/")) == 10


def test_zsh_has_a_line_on_each_preset(toyflow, monkeypatch):
    monkeypatch.setenv("_TOYFLOW_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "toyflow sweep --preset finding-")
    result = toyflow()
    lines = result.stdout.strip().splitlines()
    assert result.returncode == 0 and lines[0].startswith('_arguments \'*: :(("finding-1":"')
    assert len(lines) == 5


def test_torch_is_not_imported(tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    for words in ("toyflow sweep --preset ", "toyflow robot-eval x --suite ", "toyflow plot --out "):
        done = subprocess.run(
            [sys.executable, "-m", "toyflow"],
            env={
                "PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "_TOYFLOW_COMPLETE": "complete_bash",
                "COMP_WORDS": words, "COMP_CWORD": str(len(words.split())),
            },
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_once_it_is_installed(tmp_path):
    """`--install-completion` in a home of its own, and then an interactive bash's own completion."""
    program = tmp_path / "bin" / "toyflow"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m toyflow "$@"\n')
    program.chmod(0o755)
    script = """
        toyflow --install-completion >/dev/null || exit 3
        . ~/.bashrc
        COMP_WORDS=(toyflow sweep --preset head) COMP_CWORD=3
        $(complete -p toyflow | sed 's/.* -F \\([^ ]*\\) .*/\\1/') toyflow head --preset
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={"HOME": str(tmp_path), "PATH": f"{program.parent}:/usr/bin:/bin"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [name for name in available_presets() if name.startswith("head")]
