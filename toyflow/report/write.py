"""`toyflow plot`: figures and tables of a results folder, written into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from toyflow.atomic import atomic_file
from toyflow.errors import unknown
from toyflow.report import figures, paired_tables, tables
from toyflow.report.claims import Paper
from toyflow.report.losses import trained_only, write_losses
from toyflow.report.results import CELL, load_results
from toyflow.sweep.store import Store


def write_report(out: Path, formats: Sequence[str] = ("png",), paper: Paper | None = None) -> list[Path]:
    """Write OUT/figures/*.png and OUT/tables/*.csv; the files, in order. The numbers of `paper` are written
    beside those of `out` where both have the same setting. Where nothing was evaluated, the files are of the
    training losses.

    Raises:
        UsageError: no results in `out`, or a format that does not exist.
        DamagedError: a result's file is missing or altered.
    """
    for name in formats:
        if name not in figures.FORMATS:
            raise unknown("format", name, figures.FORMATS)
    if trained := trained_only(Store(out)):
        return write_losses(out, trained, formats)
    results = load_results(out)
    contents = {"summary": tables.summary(results, examples=True)}
    pairs = {
        "one_against_ten_steps": (paired_tables.paired(results), CELL),
        "draws_and_grids_against_none": (
            paired_tables.paired_decodings(results), [*CELL, *paired_tables.PAIR]
        ),
    }  # fmt: skip
    for name, (models, by) in pairs.items():
        if len(models):
            contents[name] = models.drop(columns="by_example")
            contents[f"{name}_by_setting"] = paired_tables.paired_by_setting(models, by)
    written = figures.draw_all(results, out / "figures", formats)
    if paper is not None:
        contents[paper.numbers_file] = paper.numbers(results)
    for name, frame in contents.items():
        if len(frame):
            written.append(write_csv(frame, out / "tables" / f"{name}.csv"))
    return written


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write `csv_of` a table, whole or not at all, and return the path."""
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(csv_of(frame), encoding="utf-8")
    return path


def csv_of(frame: pd.DataFrame) -> str:
    """A table as CSV. A column of caveats that says nothing is left out."""
    if "caveat" in frame and not frame["caveat"].any():
        frame = frame.drop(columns="caveat")
    return frame.to_csv(index=False, float_format="%.6g")
