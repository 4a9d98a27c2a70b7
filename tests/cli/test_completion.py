"""Completion through the shells' own protocol: the variables that Typer's scripts set; and in shells."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

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
        monkeypatch.setenv("COMP_WORDS", "\n".join(("toyflow", *words)))
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
        (("sweep", "--schedules", "shift:1"), ["shift:16"]),
        (("sweep", "--schedules", "beta:1:1.5,1"), []),
        (("sweep", "--schedules", "uniform,shift:4@bet"), ["uniform,shift:4@beta"]),
        (("sweep", "--schedules", "0.5:point:0+0.5:un"), ["0.5:point:0+0.5:uniform"]),
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


@pytest.fixture
def home(tmp_path) -> Path:
    """A home with a `toyflow` in its bin, before shells' own files are in it."""
    program = tmp_path / "bin" / "toyflow"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m toyflow "$@"\n')
    program.chmod(0o755)
    return tmp_path


def environment_of(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "ZDOTDIR": str(home), "PATH": f"{home}/bin:/usr/bin:/bin", "TERM": "dumb"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_once_it_is_installed(home):
    """`--install-completion` in a home of its own, and then its function, given words as bash splits them."""
    script = """
        toyflow --install-completion >/dev/null || exit 3
        . ~/.bashrc
        complete_words() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            $(complete -p toyflow | sed 's/.* -F \\([^ ]*\\) .*/\\1/') toyflow
            (IFS=" "; echo "${COMPREPLY[*]}")
        }
        complete_words toyflow sweep --preset head
        complete_words toyflow sweep --schedules shift :
        complete_words toyflow sweep --schedules beta : 1 : 1.5,un
        complete_words toyflow sweep --schedules shift : 4 @ bet
        complete_words toyflow sweep --schedules = un
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment_of(home), cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    presets, *schedules = done.stdout.splitlines()
    assert presets.split() == [name for name in available_presets() if name.startswith("head")]
    assert schedules[0].split()[:3] == ["2", "3", "4"]
    assert schedules[1:] == ["1.5,uniform", "@beta", "uniform"]


FISH = {
    "swe": ["sweep"],
    "sweep --schedules log": ["logit-normal"],
    "sweep --schedules shift:1": ["shift:16"],
    "sweep --schedules beta,un": ["beta,uniform"],
    "sweep --schedules uniform,shift:4@bet": ["uniform,shift:4@beta"],
    "sweep --schedules 0.5:point:0+0.5:un": ["0.5:point:0+0.5:uniform"],
    "sweep --schedules=un": ["--schedules=uniform"],
    "sweep --schedules=beta,shift:1": ["--schedules=beta,shift:16"],
    "sweep --preset finding-": [f"finding-{number}" for number in range(1, 6)],
    "plot --out ./res": ["./results/deep/er", "./results/sweep"],
    "plot --out=res": ["--out=results/deep/er", "--out=results/sweep"],
}
"""What is typed after `toyflow`, and what fish offers."""


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.timeout(600)
def test_fish_completes_once_it_is_installed(home):
    """By fish's own `complete -C`, which is what its Tab key asks."""
    for folder in ("results/sweep", "results/deep/er"):
        (home / folder).mkdir(parents=True)
        (home / folder / "toyflow.json").touch()
    asked = "".join(f"complete -C 'toyflow {words}'; echo ==\n" for words in FISH)
    (home / "asked.fish").write_text(f"toyflow --install-completion >/dev/null; or exit 3\n{asked}")
    done = subprocess.run(
        ["fish", "asked.fish"], env=environment_of(home), cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    offered = [each.split("\n") for each in done.stdout.split("==\n")[:-1]]
    found = [[line.split("\t")[0] for line in lines if line] for lines in offered]
    assert dict(zip(FISH, found, strict=True)) == FISH


TYPED = [
    ("--schedules shift:1", "--schedules shift:16 "),
    ("--schedules shift:4,un", "--schedules shift:4,uniform "),
    ("--schedules shift:4@bet", "--schedules shift:4@beta "),
]
"""What is typed, and what stands there after the Tab key."""


@pytest.mark.parametrize(
    ("shell", "typed", "whole"),
    [("bash", "--schedules=un", "--schedules=uniform ")]
    + [(shell, *words) for shell in ("bash", "zsh") for words in TYPED],
)
def test_the_tab_key_completes_a_schedule(home, shell, typed, whole):
    """In a shell with a terminal, that somebody types into."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    environment = environment_of(home)
    install = "toyflow --install-completion; true"  # not the last command: a shell would become it
    subprocess.run([shell, "-c", install], env=environment, cwd=home, check=True, capture_output=True)
    master, terminal = pty.openpty()
    running = subprocess.Popen(
        [shell, "-i"], env=environment, cwd=home, stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        os.write(master, b"toyflow \t")
        read_until(master, "\a")  # zsh loads the completion at the first Tab key, and both ring the bell
        os.write(master, f"\x15toyflow sweep {typed}\t".encode())
        read_until(master, f"toyflow sweep {whole}")
    finally:
        running.kill()
        running.wait()
        os.close(master)


def read_until(terminal: int, words: str, seconds: float = 60) -> None:
    """Read what a terminal shows until `words` are there."""
    shown, until = "", time.monotonic() + seconds
    while words not in shown:
        left = until - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], f"{words!r} is not in {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace").replace("\r", "")
        shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)  # colours
        while "\b" in shown:  # the shell steps back and writes anew
            shown = re.sub(r"[^\b]\x08|^\x08", "", shown)
