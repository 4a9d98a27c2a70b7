"""What the shell completes: names of plug-ins, presets, suites, and results folders; none needs torch.

Each function takes what was typed of a value, `incomplete`, and returns the values that begin so. Typer
passes the arguments by name; `ctx` has the options that stand before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

from toyflow import plugins
from toyflow.sweep.presets import available_presets, load_preset, notes

Completion = Callable[[str], list[str]]

DEEPEST, MOST_FOLDERS = 5, 2000
"""How deep below what was typed results are searched for, and among how many folders in all."""
SKIPPED = ("cells", "node_modules", "site-packages", "__pycache__")
"""Folders in which no results folder lies."""


def one_of(names: Iterable[str]) -> Completion:
    """Completes one of `names`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def listed(complete_one: Completion) -> Completion:
    """Completes the last of several values with commas between them, leaving out those before it.

    >>> listed(one_of(["beta", "uniform"]))("beta,")
    ['beta,uniform']
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [f"{before}{comma}{name}" for name in complete_one(last) if name not in taken]

    return complete


def plugin(group: plugins.Group) -> Completion:
    """Completes the name of a plug-in, toyflow's own or another package's. None is imported."""

    def complete(incomplete: str) -> list[str]:
        return one_of(sorted(plugins.available(group)))(incomplete)

    return complete


def schedule(incomplete: str) -> list[str]:
    """Completes a schedule: a family's name, alone, as a base (`shift:4@be`) or in a mixture (`0.5:un`); of
    one whose numbers have begun, such as `shift:`, the schedules of presets."""
    match = re.fullmatch(r"(.*@|(?:.*\+)?[\d.]+:)?([^:]*)", incomplete)
    if match is None:
        return one_of(_schedules_of_presets())(incomplete)
    before, family = match.groups(default="")
    return [f"{before}{name}" for name in plugin("schedules")(family)]


def _schedules_of_presets() -> list[str]:
    """The schedules that presets train, the shortest names first."""
    found: set[str] = set()
    for name in available_presets():
        values = load_preset(name)
        for options in (values, *values.get("parts", ())):
            found.update(options.get("schedules", ()))
    return sorted(found, key=lambda name: (len(name), name))


def either(*completions: Completion) -> Completion:
    """Completes what one of several completions does."""

    def complete(incomplete: str) -> list[str]:
        return [value for each in completions for value in each(incomplete)]

    return complete


def trained(incomplete: str) -> list[str]:
    """What models of a results folder are named by: a schedule or an objective."""
    return either(schedule, plugin("objectives"))(incomplete)


def preset(incomplete: str) -> list[tuple[str, str]]:
    """(name, what it shows, in a line) of presets; zsh and fish show both."""
    return [
        (name, shorten(notes(path).shows, 60, placeholder=" ..."))
        for name, path in available_presets().items()
        if name.startswith(incomplete)
    ]


def robot(incomplete: str) -> list[str]:
    """Robots, and simulators, which are robots too."""
    return one_of(sorted({**plugins.available("robots"), **plugins.available("environments")}))(incomplete)


def suite(ctx: Any, incomplete: str) -> list[str]:
    """Suites of the simulator that `--environment` or `--robot` names, else of all."""
    named = ctx.params.get("environment") or ctx.params.get("robot")
    simulators = plugins.available("environments")
    found: dict[str, None] = {}
    for name in [named] if named in simulators else sorted(simulators):
        try:
            suites = plugins.load("environments", name).declared_suites()
        except Exception:  # a simulator that fails offers nothing
            continue
        found.update(dict.fromkeys(suites))
    return one_of(found)(incomplete)


def is_results_folder(path: str) -> bool:
    """Whether a sweep has written to this folder; see `toyflow.sweep.store`, which takes long to import."""
    return Path(path, "toyflow.json").is_file()


def results_folder(incomplete: str) -> list[str]:
    """Results folders whose path begins with what was typed."""
    return list(_results_folders(incomplete))


def policy_folder(incomplete: str) -> list[str]:
    """Policies of results folders, OUT/cells/KEY."""
    return [
        str(card.parent)
        for folder in _results_folders(incomplete.partition("/cells")[0])
        for card in sorted(Path(folder).glob("cells/[!.]*/README.md"))  # only a policy has a model card
    ]


def _results_folders(incomplete: str) -> Iterator[str]:
    """Results folders whose path begins with `incomplete`, those that are less deep first."""
    above, slash, _ = incomplete.rpartition("/")
    level, visited = [f"{above}{slash}"], 0
    for _ in range(DEEPEST):
        below: list[str] = []
        for path in (path for folder in level for path in _folders_in(folder)):
            visited += 1
            if visited > MOST_FOLDERS:
                return
            if not path.startswith(incomplete):
                continue
            if is_results_folder(path):
                yield path
            else:
                below.append(f"{path}/")
        level = below


def _folders_in(folder: str) -> list[str]:
    """Paths of the folders in `folder` that may hold results, sorted; none where it cannot be read."""
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [f"{folder}{name}" for name in sorted(names) if name not in SKIPPED and not name.startswith(".")]
