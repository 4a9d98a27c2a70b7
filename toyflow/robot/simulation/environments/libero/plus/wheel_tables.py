"""Tables in the Python sources of LIBERO-Plus's wheel, read as text: nothing of it is imported or run."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toyflow.robot.simulation.environments.libero.plus.task_names import PlusName

_OBJECT = re.compile(r'class (\w+)\(CustomObjects\):.*?f"assets/([^"]+)"', re.DOTALL)
_PROBLEM = re.compile(
    r'class (\w+)\((Libero_\w+)\):.*?"scene_xml": "([^"]+)"'
    r'.*?"floor_style": "([^"]+)".*?"wall_style": "([^"]+)"',
    re.DOTALL,
)
_PROBLEM_NAME = re.compile(r"\(problem\s+([^\s)]+)\)")
_LANGUAGE = re.compile(r"\(:language\s+(.*?)\)", re.DOTALL)


def task_names(files: Path, suites: Sequence[str]) -> dict[str, list[str]]:
    """The tasks of each suite, in LIBERO-Plus's order; `files` is the unpacked package."""
    named = _literals(files / "benchmark" / "libero_suite_task_map.py")["libero_task_map"]
    return {suite: named[suite] for suite in suites}


def with_instructions(files: Path, suite: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Each name with the instruction of its BDDL file where it is of the dimension `language`, else ""."""
    rows = []
    for name in names:
        task = PlusName.parse(name)
        rows.append((name, instruction(bddl(files, suite, task)) if task.dimension == "language" else ""))
    return rows


def bddl(files: Path, suite: str, task: PlusName) -> Path:
    """A task's BDDL file."""
    return files / "bddl_files" / suite / f"{task.bddl}.bddl"


def instruction(file: Path) -> str:
    """The instruction in a BDDL file, in lower case as LIBERO reads it."""
    found = _LANGUAGE.search(file.read_text(encoding="utf-8"))
    return " ".join(found[1].lower().split()) if found else ""


def scenes(files: Path, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What the tasks need that LIBERO does not have, by files of LIBERO-Plus's archive.

    Returns:
        `problems`: by BDDL problem in lower case, the class of LIBERO that it derives from, the XML file of
        its scene, and names of the styles of floor and wall; `objects`: XML file by name of the object's
        class; `styles`: texture by style, for `floor` and `wall`.
    """
    needed = {
        problem(bddl(files, suite, task))
        for suite, names_there in names.items()
        for task in map(PlusName.parse, names_there)
        if task.needs_archive
    }
    problems = {}
    for source in sorted((files / "envs" / "problems").glob("libero_*.py")):
        for block in source.read_text(encoding="utf-8").split("@register_problem"):
            found = _PROBLEM.search(block)
            if found and found[1].lower() in needed:
                problems[found[1].lower()] = list(found.groups()[1:])
    objects = dict(
        _OBJECT.findall((files / "envs" / "objects" / "custom_objects.py").read_text(encoding="utf-8"))
    )
    styles = _literals(files / "envs" / "arenas" / "style.py")
    return {
        "problems": problems,
        "objects": objects,
        "styles": {"floor": styles["FLOOR_STYLE"], "wall": styles["WALL_STYLE"]},
    }


def problem(file: Path) -> str:
    """The BDDL problem of a file, in lower case."""
    found = _PROBLEM_NAME.search(file.read_text(encoding="utf-8"))
    return found[1].lower() if found else ""


def _literals(source: Path) -> dict[str, Any]:
    """The module's variables that are assigned a literal."""
    values = {}
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return values
