"""Which LeRobot the extra `robot` installs on which Python, and that the constraints allow it."""

import platform
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from toyflow import toml

ROOT = Path(__file__).parents[3]


def asked(lines, python):
    """{package: its specifiers}, of the requirements that hold for a version of Python."""
    here = {"python_version": python, "platform_machine": "x86_64", "sys_platform": "linux"}
    found = {}
    for each in map(Requirement, lines):
        if each.marker is None or each.marker.evaluate(here):
            found.setdefault(each.name.lower(), []).append(each.specifier)
    return found


def extra(python):
    project = toml.loads((ROOT / "pyproject.toml").read_text())["project"]
    return asked(project["optional-dependencies"]["robot"], python)


def constraints(python):
    lines = (line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    return asked(filter(None, lines), python)


@pytest.mark.parametrize(
    ("python", "lerobot", "transformers", "hub"),
    [
        ("3.10", "0.4.4", "4.57.6", "0.35.3"),
        ("3.11", "0.4.4", "4.57.6", "0.35.3"),
        ("3.12", "0.6.1", "5.5.4", "1.33.0"),
        ("3.13", "0.6.1", "5.5.4", "1.33.0"),
    ],
)
def test_python_decides(python, lerobot, transformers, hub):
    """One requirement each, which the versions that were tried fulfil, and not those of the other LeRobot."""
    tried = {"lerobot": lerobot, "transformers": transformers, "huggingface-hub": hub}
    others = {"lerobot": {"0.4.4", "0.6.1"}, "transformers": {"4.57.6", "5.5.4"}}
    others["huggingface-hub"] = {"0.35.3", "1.33.0"}
    wanted, allowed = extra(python), constraints(python)
    for name, chosen in tried.items():
        assert len(wanted.get(name, ())) <= 1
        both = [*wanted.get(name, ()), *allowed.get(name, ())]
        [left] = {each for each in others[name] if all(each in specifiers for specifiers in both)}
        assert left == chosen


def test_what_is_installed_is_what_this_python_asks_for():
    pytest.importorskip("lerobot")
    python = ".".join(platform.python_version_tuple()[:2])
    both = {name: [*each, *constraints(python).get(name, ())] for name, each in extra(python).items()}
    for name in ("lerobot", "transformers"):
        assert all(version(name) in specifiers for specifiers in both[name])
