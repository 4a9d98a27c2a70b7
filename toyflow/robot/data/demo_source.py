"""Where demonstrations that toyflow wrote were made, and what follows for training. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from toyflow import plugins
from toyflow.atomic import MANIFEST, read_json, verified
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trials import DemoSource

DEMOS = "demos.json"
"""What `robot-demos` writes beside its data."""
CONVERTED = "converted.json"
"""What `robot-data convert` writes beside its data."""


def made_by(folder: Path) -> Path | None:
    """What toyflow wrote beside the data of a data set; None where others made it."""
    return next((folder / name for name in (DEMOS, CONVERTED) if (folder / name).is_file()), None)


def demo_source(where: str) -> DemoSource | None:
    """Where the demonstrations of a data set were made, or are acted out; None unless toyflow wrote them."""
    path = made_by(Path(where).expanduser())
    if path is None:
        return None
    whole = (path.parent / MANIFEST).is_file()  # else it was changed on purpose
    recipe = read_json(verified(path.parent, path.name) if whole else path)["recipe"]
    return DemoSource(recipe["environment"], recipe["suite"], "+".join(map(str, recipe["tasks"])))


def simulated_here(where: str) -> bool:
    """Whether `robot-demos` made a data set. What never changes in its states is meant: a simulator has
    places for objects that a task lacks, and things that stand still."""
    return (Path(where).expanduser() / DEMOS).is_file()


def against_relative(source: DemoSource | None) -> str | None:
    """Why a policy cannot learn actions relative to the state from demonstrations of this source; None where
    it can, or nobody knows."""
    if source is None or source.environment not in plugins.available("environments"):
        return None
    if load_environment(source.environment).actions_in_state_units:
        return None
    return (
        f"actions of {source.environment} are in other units than its states: one cannot be relative to the "
        "other; train them as they are, --actions absolute."
    )
