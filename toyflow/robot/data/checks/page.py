"""A checked data set as one HTML page, with its cameras' first pictures and the ranges of its numbers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment

from toyflow.robot.data.checks.data_report import DataReport
from toyflow.robot.data.checks.statistics import DimensionStatistics, differs

STATISTICS = ("mean", "std", "min", "max", "q01", "q99")

TEMPLATE = Path(__file__).with_name("page.html")


def page(report: DataReport) -> str:
    """The page, which refers to no other file."""
    cameras = {
        name: base64.b64encode(picture).decode() if picture else ""
        for name, picture in report.cameras.items()
    }
    spans: dict[str, tuple[float, float]] = {}
    for row in report.ranges:
        low, high = spans.get(row.feature, (row.computed["min"], row.computed["max"]))
        spans[row.feature] = min(low, row.computed["min"]), max(high, row.computed["max"])
    rows = [_row(each, *spans[each.feature]) for each in report.ranges]
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text())
    return template.render(report=report, cameras=cameras, rows=rows, statistics=STATISTICS)


def _row(row: DimensionStatistics, low: float, high: float) -> dict[str, Any]:
    def percent(value: float) -> float:
        return round(100 * (value - low) / ((high - low) or 1), 2)

    left, right = percent(row.computed["q01"]), percent(row.computed["q99"])
    return {
        "feature": row.feature,
        "label": f"{row.number} {row.name}" if row.name != str(row.number) else str(row.number),
        "cells": [_cell(row, name) for name in STATISTICS],
        "left": left,
        "width": max(right - left, 0.5),
        "mean": percent(row.computed["mean"]),
    }


def _cell(row: DimensionStatistics, name: str) -> dict[str, Any]:
    text = f"{row.computed[name]:.4g}"
    stored = f"{row.stored[name]:.4g}" if name in row.stored else ""
    wrong = name in row.stored and differs(row, name)
    return {"text": text, "stored": stored if stored != text else "", "wrong": wrong}
