"""`toyflow robot-data check`: what contradicts itself in a data set, as a table, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.errors import UsageError
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.data_report import DataReport
from toyflow.robot.data.checks.page import STATISTICS, page
from toyflow.robot.data.checks.statistics import differs
from toyflow.robot.data.features import parse_renaming
from toyflow.robot.data.local_files import local_folder

if TYPE_CHECKING:  # it imports torch, which the check of a folder does without
    from toyflow.robot.data.data_set import DataSet

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def check_data(
    dataset: str,
    console: Console,
    *,
    rename: str | None = None,
    cameras: str | None = None,
    relative_except: str | None = None,
    as_json: bool = False,
    html: Path | None = None,
) -> int:
    """Check a LeRobot data set, and print what was found.

    Args:
        dataset: a folder, or a name on the hub.
        console: where the tables are printed.
        rename: renamed features: DATA=POLICY, ...; None for none.
        cameras: those that the policy will see, joined by +; None for all.
        relative_except: which numbers of an action stay absolute where a policy will learn the others
            relative to the state, see `relative_numbers`; None where all do.
        as_json: print JSON in place of tables.
        html: a file for the page; None for none.

    Returns:
        1 where training would be wrong, else 0.

    Raises:
        UsageError: there is no such data set, camera or feature; or the page cannot be written.

    Example:
        check_data("data/demos/libero_object", Console(), html=Path("check.html"))
    """
    renaming = parse_renaming(rename or "")
    chosen = None if cameras is None else [] if cameras == "none" else cameras.split("+")
    report = check_data_set(dataset, _folder(dataset, renaming), renaming, chosen, relative_except)
    if html is not None:
        try:
            html.write_text(page(report))
        except OSError as error:
            raise UsageError(f"{html} cannot be written: {error.strerror or error}.") from error
    if as_json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        _print(report, console)
        if html is not None:
            console.print(f"The page: {escape(str(html))}")
    return int(bool(report.errors))


def _folder(dataset: str, renaming: dict[str, str]) -> Path:
    """The folder of a data set; one of the hub is downloaded."""
    if folder := local_folder(dataset):
        return folder
    from toyflow.robot.data.data_set import DataSet  # imports torch

    data: DataSet = DataSet(dataset, renaming)
    return data.folder()


def _print(report: DataReport, console: Console) -> None:
    if report.findings:
        table = Table(box=None, pad_edge=False)
        table.add_column("level")
        table.add_column("where", overflow="fold", ratio=2)
        table.add_column("what", overflow="fold", ratio=3)
        for each in report.findings:
            level = f"[{COLOURS[each.level]}]{each.level}[/]"
            table.add_row(level, escape(each.place), escape(each.sentence))
        console.print(table)
        console.print()
    if report.ranges:
        console.print(_ranges(report))
        console.print("By the columns; in brackets as meta/stats.json has it, where that differs.\n")
    has = {"episode": report.episodes, "frame": report.frames, "camera": len(report.cameras)}
    size, counts = (
        ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in each.items())
        for each in (has, report.counts)
    )
    verdict = "training on it would be wrong" if report.errors else "nothing in it would make training wrong"
    console.print(
        f"{escape(report.where)}: {size}, {report.fps:g} frames a second; {counts}: [bold]{verdict}[/] "
        f"({report.seconds:.1f} s)."
    )


def _ranges(report: DataReport) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("feature")
    table.add_column("number", overflow="fold")
    for name in STATISTICS:
        table.add_column(name, justify="right")
    for row in report.ranges:
        cells = []
        for name in STATISTICS:
            text, stored = f"{row.computed[name]:.3g}", row.stored.get(name)
            if stored is not None and f"{stored:.3g}" != text:
                colour = "red" if differs(row, name) else "dim"
                text += f" [{colour}]({stored:.3g})[/]"
            cells.append(text)
        name = f"{row.number} {row.name}" if row.name != str(row.number) else str(row.number)
        table.add_row(escape(row.feature), escape(name), *cells)
    return table
