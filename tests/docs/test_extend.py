"""The example packages of docs/guides/extend.md and extend-robot.md are installed and used as they stand."""

import os
import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def install(text: str, module: str, folder: Path) -> str:
    """Write the package of a page, as an installed distribution; the PYTHONPATH with it."""
    (folder / f"{module}.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    toml = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    points = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", toml).replace('"', "")
    (info / "entry_points.txt").write_text(points)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def commands_of(text: str) -> list[list[str]]:
    """The words after `toyflow` of each command of a page."""
    return [line.split() for line in re.findall(r"^toyflow (.*)", text.replace("\\\n", " "), re.MULTILINE)]


@pytest.mark.slow
def test_a_plugin_of_each_kind_is_one_file_and_one_entry_point(toyflow, tmp_path):
    text = (GUIDES / "extend.md").read_text()
    [command] = commands_of(text)
    path = install(text, "my_package", tmp_path)
    short = ("--iterations", "60", "--seeds", "0", "--out", "results")
    ran = toyflow.apart(*command, *short, PYTHONPATH=path)
    assert ran.returncode == 0, ran.stderr
    for words in ("power:2", "denoise", "K = 1", "K = 2"):
        assert words in ran.stdout
    assert "ralston" in toyflow.apart("runs", "list", "--out", "results", PYTHONPATH=path).stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_simulator_and_a_robot_are_each_one_class(toyflow, tmp_path):
    pytest.importorskip("lerobot", reason="pip install 'toyflow[robot]'")
    text = (GUIDES / "extend-robot.md").read_text()
    path = install(text, "my_slider", tmp_path)
    commands = [words for words in commands_of(text) if "--dry-run" not in words]
    short = {
        "robot-demos": ("--episodes", "4"),
        "robot-train": ("--iterations", "4", "--batch-size", "4", "--states", "1", "--videos", "0"),
        "robot-eval": ("--states", "1"),
        "robot-run": ("--seconds", "1", "--limits", "free.toml"),
    }
    (tmp_path / "free.toml").write_text("velocity = inf\njerk = inf\n")  # the policy has hardly learned
    assert [words[0] for words in commands] == list(short)
    for words in commands:
        key = next((place.name for place in tmp_path.glob("results/robot/cells/*")), "none")
        words = [word.replace("KEY", key) for word in words]
        ran = toyflow.apart(*words, *short[words[0]], PYTHONPATH=path)
        assert ran.returncode == 0, (words, ran.stderr)
        if words[0] == "robot-demos":  # the expert solves what it is asked to
            assert "100%" in ran.stdout
