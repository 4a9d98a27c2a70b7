"""Checks a data set, for a report or before training."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path

from toyflow.robot.data.checks.contents import Contents
from toyflow.robot.data.checks.conventions import check_conventions, check_relative_training
from toyflow.robot.data.checks.data_report import DataReport
from toyflow.robot.data.checks.findings import Finding, by_level
from toyflow.robot.data.checks.numbers import check_numbers
from toyflow.robot.data.checks.pictures import check_camera
from toyflow.robot.data.checks.reading import UnreadableError, read_contents
from toyflow.robot.data.checks.statistics import check_statistics, statistics_table
from toyflow.robot.data.checks.structure import check_structure


def check_data_set(
    where: str,
    root: Path,
    renaming: Mapping[str, str] | None = None,
    cameras: Collection[str] | None = None,
    relative_except: str | None = None,
) -> DataReport:
    """Read the data set in the folder `root` once, and name what contradicts what. Pictures are sampled.

    Args:
        where: what the user calls it.
        renaming: {feature: name that it is read under}.
        cameras: those that a policy will see; None for all.
        relative_except: which numbers of an action stay absolute where a policy learns the others relative to
            the state, see `relative_numbers`; None where all do.

    Raises:
        UsageError: a camera or a renamed feature does not exist.
    """
    began = time.monotonic()
    try:
        contents = read_contents(where, root, renaming or {})
    except UnreadableError as error:
        finding = Finding("error", error.file, None, None, "", str(error))
        return DataReport(where, (finding,), seconds=time.monotonic() - began)
    seen = contents.names.cameras if cameras is None else cameras
    findings = [*contents.problems, *check_structure(contents), *check_numbers(contents)]
    if cameras is not None:
        findings = [each for each in findings if each.feature not in contents.names.unread]
    table = statistics_table(contents)
    scaled = [contents.names.state]
    if relative_except is None:  # relative actions are scaled by statistics of chunks, which are computed
        scaled.append(contents.names.action)
    findings.extend(check_statistics(contents, table, scaled))
    pictures: dict[str, bytes | None] = {}
    for camera in seen:
        contents.names.check_seen(camera, where)
        found = check_camera(contents, contents.names.cameras[camera])
        findings.extend(found.findings)
        pictures[camera] = found.first
    if not contents.names.cameras and cameras is None:
        findings.append(_no_camera(contents))
    findings.extend(check_conventions(contents))
    if relative_except is not None:
        findings.extend(check_relative_training(contents, relative_except))
    return DataReport(
        where,
        tuple(by_level(findings)),
        contents.frames,
        len({run[0] for run in contents.runs()}),
        contents.fps,
        pictures,
        tuple(table),
        time.monotonic() - began,
    )


def _no_camera(contents: Contents) -> Finding:
    return Finding(
        "warning", "meta/info.json", None, None, "", "no feature is of dtype image or video: robot-train "
        "needs "
        "--cameras none."
    )  # fmt: skip
