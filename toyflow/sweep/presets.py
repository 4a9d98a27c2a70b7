"""Presets: the options of a sweep in a TOML file, with what it shows and costs in the comment above them.

A preset of several sweeps in one folder has parts. Each has options of its own on top of those above it, and
the sweep is the union of their cells:

    seeds = "0-2"                       # of both
    out = "results/rates"
    [[parts]]
    schedules = ["uniform", "shift:4"]
    predict = ["velocity", "data"]
    [[parts]]
    objectives = ["mip"]
    learning-rate = 0.002
    [quick]
    seeds = [0]                         # in the same parts; `parts` here would take their place
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from toyflow.errors import UsageError, unknown


@dataclass(frozen=True)
class Notes:
    """What a preset's comment says of it: paragraphs that begin with `Shows:` and so on."""

    shows: str = ""
    decides: str = ""
    """What would decide it, and what would count as refuted: contrast, seeds, margin and interval. Written
    before the run, or it says that it was not."""
    cost: str = ""
    quick: str = ""
    """Cost of the short version."""
    first: str = ""
    """What has to be made before the preset can run."""


def load_preset(name: str, quick: bool = False) -> dict[str, Any]:
    """Keys and values of a preset: a name under experiments/, or a TOML file's path. Its table `quick`
    holds what its short version has instead.

    Raises:
        UsageError: no such preset or file, not TOML, or no short version.
    """
    presets = available_presets()
    path = presets.get(name) or Path(name)
    if not path.is_file():
        if path.suffix == ".toml" or len(path.parts) > 1:
            raise UsageError(f"--preset {name}: no such file.")
        raise unknown("preset", name, presets)
    from toyflow import toml  # later than the command line starts

    try:
        values = toml.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"preset {path} is not TOML: {error}.") from error
    shorter = values.pop("quick", None)
    if not quick:
        return values
    if not isinstance(shorter, dict):
        raise UsageError(f"preset {name} has no quick version, a table [quick].")
    return {**values, **shorter}


def available_presets() -> dict[str, Path]:
    """Presets that come with toyflow, by name, in a checkout as in an installed package."""
    from toyflow.machine import PACKAGE  # later than the command line starts

    for folder in (PACKAGE / "experiments", PACKAGE.parent / "experiments"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def notes(path: Path) -> Notes:
    """The notes of a preset; what it does not say is empty."""
    headings = {f"{part.name.capitalize()}:": part.name for part in fields(Notes)}
    said: dict[str, list[str]] = {}
    paragraph: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        words = line.removeprefix("#").split()
        if not words:
            paragraph = []  # of no name
        elif words[0] in headings:
            paragraph = said.setdefault(headings[words[0]], [])
            words = words[1:]
        paragraph += words
    return Notes(**{name: " ".join(said.get(name, ())) for name in headings.values()})
