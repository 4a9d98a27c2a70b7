"""No training on a data set that contradicts itself."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from toyflow.errors import UsageError
from toyflow.robot.data.action_kinds import STAY_ABSOLUTE
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.data_report import DataReport
from toyflow.robot.data.features import parse_renaming
from toyflow.robot.data.fingerprint import FilesState

LOG = logging.getLogger(__name__)
SHOWN = 5
"""Warnings that are printed before a training; the command shows all."""


def refuse_contradictions(
    where: str,
    root: Path,
    rename: str = "",
    cameras: tuple[str, ...] | None = None,
    relative_except: str | None = None,
) -> None:
    """Check a data set before training, once per process and state of its files; print its warnings.

    Args:
        where: what the user calls it.
        root: its folder.
        rename: renamed features, see `parse_renaming`.
        cameras: those that the policy sees; None for all.
        relative_except: for relative actions, see `check_data_set`.

    Raises:
        UsageError: training would be wrong; with the first contradiction, and the command that lists all.
    """
    report = _checked(where, root, rename, cameras, relative_except, FilesState(root).key)
    if not report.errors:
        return
    first, others = report.errors[0], len(report.errors) - 1
    command = command_of(where, rename, relative_except)
    said = first.sentence if first.sentence.startswith("data set ") else f"data set {where}, {first}"
    more = f" ({others} more)" if others else ""
    raise UsageError(f"{said} `{command}` lists all that is wrong{more}.")


@cache
def _checked(
    where: str,
    root: Path,
    rename: str,
    cameras: tuple[str, ...] | None,
    relative_except: str | None,
    state: str,
) -> DataReport:
    report = check_data_set(where, root, parse_renaming(rename), cameras, relative_except)
    warnings = [finding for finding in report.findings if finding.level == "warning"]
    for finding in warnings[:SHOWN]:
        LOG.warning("data set %s, %s", where, finding)
    if len(warnings) > SHOWN:
        LOG.warning("%d more: %s", len(warnings) - SHOWN, command_of(where, rename, relative_except))
    return report


def command_of(where: str, rename: str, relative_except: str | None = None) -> str:
    """The command that shows everything of a data set."""
    renaming = f" --rename {rename.replace('+', ',')}" if rename else ""
    relative = ""
    if relative_except is not None:
        others = "" if relative_except == STAY_ABSOLUTE else f" --relative-except {relative_except}"
        relative = f" --actions relative{others}"
    return f"toyflow robot-data check {where}{renaming}{relative}"
