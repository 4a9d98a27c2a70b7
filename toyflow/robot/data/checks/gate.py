"""No training on a data set that contradicts itself.

A verdict without errors on a data set that is not small is kept in CACHE/data-checks, under the state of its
files, what was asked, and the code of the checks. Errors are looked for again, as a missing decoder may have
been installed meanwhile.
"""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.errors import UsageError
from toyflow.machine import cache_folder
from toyflow.robot.data.action_kinds import STAY_ABSOLUTE
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.findings import Finding
from toyflow.robot.data.features import parse_renaming
from toyflow.robot.data.fingerprint import SETTLED, FilesState

LOG = logging.getLogger(__name__)
KEPT_ABOVE = 10 << 20
"""Bytes of a data set's files from which on its verdict is kept."""
SHOWN = 5
"""Warnings that are printed before a training; the command shows all."""


@dataclass(frozen=True)
class _Asked:
    """What is checked: the arguments of `refuse_contradictions`."""

    where: str
    root: Path
    rename: str
    cameras: tuple[str, ...] | None
    relative_except: str | None

    @property
    def command(self) -> str:
        """The command that shows everything of it."""
        renaming = f" --rename {self.rename.replace('+', ',')}" if self.rename else ""
        relative = ""
        if self.relative_except is not None:
            is_usual = self.relative_except == STAY_ABSOLUTE
            others = "" if is_usual else f" --relative-except {self.relative_except}"
            relative = f" --actions relative{others}"
        return f"toyflow robot-data check {self.where}{renaming}{relative}"


@dataclass(frozen=True)
class _Verdict:
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def refuse_contradictions(
    where: str,
    root: Path,
    rename: str = "",
    cameras: tuple[str, ...] | None = None,
    relative_except: str | None = None,
) -> None:
    """Check a data set before training, once for each state of its files; print its warnings, once per
    process.

    Args:
        where: what the user calls it.
        root: its folder.
        rename: renamed features, see `parse_renaming`.
        cameras: those that the policy sees; None for all.
        relative_except: for relative actions, see `check_data_set`.

    Raises:
        UsageError: training would be wrong; with the first contradiction, and the command that lists all.
    """
    asked = _Asked(where, root, rename, cameras, relative_except)
    state = FilesState(root)
    may_be_kept = state.bytes > KEPT_ABOVE and time.time() - state.changed > SETTLED
    errors = _told(asked, state.key, may_be_kept).errors
    if not errors:
        return
    first, others = errors[0], len(errors) - 1
    said = first.sentence if first.sentence.startswith("data set ") else f"data set {where}, {first}"
    more = f" ({others} more)" if others else ""
    raise UsageError(f"{said} `{asked.command}` lists all that is wrong{more}.")


@cache
def _told(asked: _Asked, state: str, may_be_kept: bool) -> _Verdict:
    """The verdict, whose warnings are printed."""
    verdict = _kept_verdict(asked, state, may_be_kept)
    for finding in verdict.warnings[:SHOWN]:
        LOG.warning("data set %s, %s", asked.where, finding)
    if len(verdict.warnings) > SHOWN:
        LOG.warning("%d more: %s", len(verdict.warnings) - SHOWN, asked.command)
    return verdict


def _kept_verdict(asked: _Asked, state: str, may_be_kept: bool) -> _Verdict:
    """The verdict that was kept for this state of the files, or one that is found now, and kept if that may
    be and it has no errors."""
    key = hashlib.sha256(repr((asked, state, _code())).encode()).hexdigest()[:16]
    kept = cache_folder() / "data-checks" / f"{key}.json"
    with suppress(DamagedError, KeyError, TypeError):
        warnings: list[dict[str, Any]] = read_sealed(kept)["warnings"]
        return _Verdict((), tuple(Finding(**each) for each in warnings))
    renaming = parse_renaming(asked.rename)
    report = check_data_set(asked.where, asked.root, renaming, asked.cameras, asked.relative_except)
    warnings_found = tuple(finding for finding in report.findings if finding.level == "warning")
    if may_be_kept and not report.errors:
        with suppress(OSError):  # a cache that cannot be written to costs time alone
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(kept, {"warnings": [finding.as_dict() for finding in warnings_found]})
    return _Verdict(tuple(report.errors), warnings_found)


@cache
def _code() -> str:
    """A hash of what decides a verdict: the modules of this room."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
