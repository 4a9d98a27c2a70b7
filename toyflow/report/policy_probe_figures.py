"""Figures of `toyflow probe` of a policy."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toyflow.report.anatomy_report import anatomy_figure
from toyflow.report.policy_probe import DEVIATIONS, TIME, ProbedPolicy, anatomy_rows, errors_of
from toyflow.report.style import Style, legend
from toyflow.stats import Interval, rms_over_conditions


def anatomy_figure_by_joint(probed: ProbedPolicy) -> Figure:
    """A bar for the whole chunk and for each joint: one step's error as leak, bias^2 + spread, and a diamond
    for the variance of the model's samples."""
    figure = anatomy_figure([row for kind, _, row in anatomy_rows(probed) if kind != TIME])
    figure.suptitle(f"What one step's error is made of: {probed.model.label}\n{probed.where}", fontsize=10)
    figure.axes[-1].set_xlabel("mean square, in variances of each joint (95 % intervals over episodes)")
    return figure


def errors_figure(probed: ProbedPolicy) -> Figure:
    """Action errors by joint, their differences from the reference by joint, errors by time of the chunk, and
    the anatomy by time."""
    size = (12.5, 4.2 + 0.32 * max(4, len(probed.moving)))
    figure, grid = plt.subplots(
        2,
        2,
        figsize=size,
        layout="constrained",
        gridspec_kw={"height_ratios": [0.32 * len(probed.moving) + 1, 3]},
    )
    style = Style([each.label for each in probed.squares])
    _by_joint(grid[0, 0], grid[0, 1], probed, style)
    _by_time(grid[1, 0], probed, style)
    legend(figure, "outside lower center", ncols=len(probed.squares))
    _anatomy_by_time(grid[1, 1], probed)
    figure.suptitle(
        f"Action error of {probed.model.label} (95 % intervals over episodes)\n{probed.where}", fontsize=11
    )
    sns.despine(figure)
    return figure


def _by_joint(errors: Axes, differences: Axes, probed: ProbedPolicy, style: Style) -> None:
    parts = [
        (name, squares)
        for kind, name, unit, squares in errors_of(probed)
        if kind != TIME and unit == DEVIATIONS
    ]
    count = len(probed.squares)
    for number, decoding in enumerate(probed.squares):
        look = {**style.line(decoding.label), "linestyle": "none", "capsize": 2, "markersize": 4.5}
        places = np.arange(len(parts)) + 0.16 * (number - (count - 1) / 2)
        found = [rms_over_conditions(squares(decoding), groups=probed.groups) for _, squares in parts]
        _dots(errors, found, places, look)
        if decoding != probed.reference:
            less = [rms_over_conditions(of(decoding), of(probed.reference), probed.groups) for _, of in parts]
            _dots(differences, less, places, look)
    for axes in (errors, differences):
        axes.set_yticks(range(len(parts)), [name for name, _ in parts])
        axes.set_ylim(len(parts) - 0.5, -0.5)
        axes.axhline(0.5, color="0.7", linewidth=0.8)
        axes.grid(axis="x", alpha=0.35)
    errors.set_xlim(left=0)
    errors.set_xlabel("rms action error, in standard deviations of the joint")
    differences.axvline(0, color="0.3", linewidth=1)
    differences.set_xlabel(f"rms less that of {probed.reference.label}, same frames and noises")
    differences.set_visible(count > 1)


def _dots(axes: Axes, found: list[Interval], places: np.ndarray, look: dict[str, Any]) -> None:
    middle = np.array([part.estimate for part in found])
    half = np.array([part.high - part.estimate for part in found])
    axes.errorbar(middle, places, xerr=half, **look)


def _by_time(axes: Axes, probed: ProbedPolicy, style: Style) -> None:
    times = [squares for kind, _, _, squares in errors_of(probed) if kind == TIME]
    for decoding in probed.squares:
        found = [rms_over_conditions(squares(decoding), groups=probed.groups) for squares in times]
        look = {**style.sparse(decoding.label), "label": "_" + decoding.label}
        _band(axes, found, look)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time of the action chunk, in actions")
    axes.set_ylabel("rms action error, in standard deviations")
    axes.grid(axis="y", alpha=0.35)


def _anatomy_by_time(axes: Axes, probed: ProbedPolicy) -> None:
    rows = [row.parts for kind, _, row in anatomy_rows(probed) if kind == TIME]
    words = {"leak": "leak", "bias_and_spread": "bias² + spread"}
    if probed.model.steps:
        words["model_spread"] = f"variance of samples, K={probed.model.steps}"
    style = Style(words.values())
    for measure, label in words.items():
        _band(axes, [parts[measure] for parts in rows], style.sparse(label))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time of the action chunk, in actions")
    axes.set_ylabel("one step's error, in variances")
    axes.legend(frameon=False, fontsize=9)
    axes.grid(axis="y", alpha=0.35)


def _band(axes: Axes, found: list[Interval], look: dict[str, Any]) -> None:
    times = np.arange(len(found))
    axes.plot(times, [part.estimate for part in found], **look)
    low, high = [part.low for part in found], [part.high for part in found]
    axes.fill_between(times, low, high, color=look["color"], alpha=0.15, linewidth=0)
