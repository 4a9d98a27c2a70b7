"""Plug-ins: everything that has a name on the command line is found through entry points.

toyflow's own schedules, samplers, objectives and tasks are declared in pyproject.toml exactly as
another package declares its own.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from toyflow.errors import ToyflowError, UsageError, first_line, unknown

Group = Literal[
    "schedules", "predictions", "samplers", "objectives", "tasks", "runners", "environments", "robots"
]
GROUPS: tuple[Group, ...] = get_args(Group)


@cache
def available(group: Group) -> dict[str, EntryPoint]:
    """Entry points of `toyflow.<group>` by name; nothing is imported.

    Raises:
        UsageError: two different packages claim the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"toyflow.{group}"):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise UsageError(
                f"two packages offer a {group.removesuffix('s')} named {point.name!r}: "
                f"{known.value} and {point.value}; uninstall one of them."
            )
    return found


def modules(group: Group, name: str) -> list[str]:
    """The name of the module that defines `name`, in a list; empty if there is no such plug-in. Nothing is
    imported."""
    points = available(group)
    return [points[name].module] if name in points else []


@cache
def load(group: Group, name: str) -> Any:
    """The object that the entry point `name` of `group` refers to.

    Raises:
        UsageError: no such name.
        ToyflowError: the plug-in exists and cannot be imported.
    """
    points = available(group)
    kind = group.removesuffix("s")
    if name not in points:
        raise unknown(kind, name, points)
    try:
        return points[name].load()
    except ToyflowError:
        raise
    except Exception as error:
        what, said = f"the {kind} {name!r} ({points[name].value})", first_line(error).rstrip(".")
        if isinstance(error, ImportError) and (error.name or "").startswith("toyflow."):
            raise UsageError(
                f"{what} was written for another version of toyflow: {said}. CHANGELOG.md lists "
                "what was moved and renamed."
            ) from error
        raise ToyflowError(f"{what} cannot be imported: {said}.") from error
