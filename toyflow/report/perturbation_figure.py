"""The figure of evaluations on benchmarks that vary tasks: success by perturbation, a marker per decoding."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toyflow.report.perturbation_tables import ALL, Policy, perturbation_rates
from toyflow.report.results import Results, in_number_order
from toyflow.report.style import PANEL, Style, heading, in_lines, legend, of_proportions
from toyflow.report.tables import in_words

LEVEL = "level"
BESIDE = 0.16
"""Distance of two decodings of one policy, where 1 is that of two perturbations."""


def success_by_perturbation(results: Results, style: Style) -> Figure | None:
    """Success with Wilson's 95 % intervals by perturbation, a marker per decoding and a panel per policy; a
    second panel by level of difficulty where the benchmark grades it. None where nothing varies a task."""
    frame = perturbation_rates(results)
    if frame.empty:
        return None
    frame = frame[(frame["suite"] == ALL) & (frame["episodes"] > 0)]
    decodings = sorted(frame["decoding"].unique(), key=lambda name: in_number_order(name))
    style = Style(decodings)
    owners = [str(Policy(*row)._replace(decoding="")) for row in frame[[*Policy._fields]].to_numpy()]
    frame = frame.assign(owner=owners)
    policies = list(dict.fromkeys(owners))
    by_kind = frame[frame[LEVEL] == ALL]
    by_level = frame[(frame[LEVEL] != ALL) & (frame["perturbation"] == ALL)]
    kinds = [("perturbation", by_kind)] + ([] if by_level.empty else [(LEVEL, by_level)])
    size = (PANEL[0] * len(kinds), PANEL[1] * len(policies))
    figure, grid = plt.subplots(
        len(policies), len(kinds), figsize=size, squeeze=False, layout="constrained", sharey=True,
        width_ratios=[1.4, 1][: len(kinds)],
    )  # fmt: skip
    for row, policy in zip(grid, policies, strict=True):
        for axes, (by, part) in zip(row, kinds, strict=True):
            _panel(axes, part[part["owner"] == policy], by, _in_order(part[by]), style)
            axes.set_title(in_lines(policy), fontsize=10)
        row[0].set_ylabel(in_words(results.metric))
    of_proportions(grid[0][0])  # the others share its axis
    legend(figure)
    heading(figure, "Success by perturbation (95 % intervals: Wilson, over episodes of one policy)")
    sns.despine(figure)
    return figure


def _panel(axes: Axes, frame: pd.DataFrame, by: str, cells: list[Any], style: Style) -> None:
    decodings = [name for name in style.labels if name in set(frame["decoding"])]
    for place, decoding in enumerate(decodings):
        part = frame[frame["decoding"] == decoding].set_index(by)
        part = part.loc[[cell for cell in cells if cell in part.index]]
        x = [cells.index(cell) + BESIDE * (place - (len(decodings) - 1) / 2) for cell in part.index]
        errors = [part["score"] - part["low_95"], part["high_95"] - part["score"]]
        look = {**style.line(decoding), "linestyle": "none"}
        axes.errorbar(x, part["score"], yerr=errors, capsize=2.5, elinewidth=1, **look)
    axes.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    axes.set_xlim(-0.5, len(cells) - 0.5)
    axes.set_xlabel(by)
    axes.grid(axis="y", alpha=0.35)


def _in_order(cells: pd.Series) -> list[Any]:
    """Perturbations as the results have them, with all together at the end; levels by number."""
    found = list(dict.fromkeys(cells))
    return sorted(found, key=lambda cell: (cell == ALL, cell if isinstance(cell, int) else 0))
