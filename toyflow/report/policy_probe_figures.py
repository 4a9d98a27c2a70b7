"""Figures of `toyflow probe` of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toyflow.report.anatomy_report import anatomy_figure
from toyflow.report.policy_probe import (
    ROBOT,
    TIME,
    PartErrors,
    PlanErrors,
    ProbedPolicy,
    dissected_parts,
    error_parts,
)
from toyflow.report.style import PANEL, Style, heading, legend
from toyflow.stats import Interval


def anatomy_figure_by_joint(probed: ProbedPolicy) -> Figure:
    """A bar for the whole chunk and for each joint: one step's error of actions as leak and bias^2 + spread,
    and a diamond for the variance of the model's samples."""
    parts = dissected_parts(probed, probed.actions)
    figure = anatomy_figure([part.row for part in parts if part.kind != TIME])
    heading(figure, f"What one step's error of actions is made of: {probed.model.label}, {probed.where}")
    figure.axes[-1].set_xlabel("mean square, in variances of each joint (95 % intervals over episodes)")
    return figure


def errors_figure(probed: ProbedPolicy) -> Figure:
    """A column of panels for actions and one for moves: errors of each decoding by joint, by time of the
    chunk, and the anatomy of one step by time where it was dissected."""
    columns, joints = len(probed.errors), len(probed.actions.moving) + 1
    heights = [0.3 * joints + 0.9, 2.4, *([2.4] if probed.dissected else [])]
    size = (PANEL[0] * columns, sum(heights) + 0.4)
    figure, grid = plt.subplots(
        len(heights), columns, figsize=size, squeeze=False, layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    style = Style([each.label for each in probed.decodings])
    for errors, (by_joint, by_time, *_) in zip(probed.errors, grid.T, strict=True):
        _by_joint(by_joint, probed, errors, style)
        _by_time(by_time, probed, errors, style)
    legend(figure)
    for row in grid[2:]:
        for errors, axes in zip(probed.errors, row, strict=True):
            _anatomy_by_time(axes, probed, errors)
    heading(
        figure,
        f"Plans of {probed.model.label} against the data set's actions, {probed.where} "
        "(95 % intervals over episodes)",
    )
    sns.despine(figure)
    return figure


def _by_joint(axes: Axes, probed: ProbedPolicy, errors: PlanErrors, style: Style) -> None:
    parts = [part for part in error_parts(probed, errors) if part.kind != TIME and part.unit != ROBOT]
    for number, decoding in enumerate(probed.decodings):
        look = {**style.line(decoding.label), "linestyle": "none", "capsize": 2, "markersize": 4.5}
        places = np.arange(len(parts)) + 0.16 * (number - (len(probed.decodings) - 1) / 2)
        found = [part.rms(probed, decoding) for part in parts]
        half = [part.high - part.estimate for part in found]
        axes.errorbar([part.estimate for part in found], places, xerr=half, **look)
    axes.set_yticks(range(len(parts)), [part.name for part in parts])
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.axhline(0.5, color="0.7", linewidth=0.8)
    axes.set_xlim(left=0)
    if errors.of == "moves":
        axes.axvline(1, color="0.3", linewidth=1, linestyle=(0, (1, 1.5)))  # as large as the data's moves
    axes.set_xlabel(f"rms error of {errors.of},\nin {_units(errors)}")
    axes.grid(axis="x", alpha=0.35)


def _by_time(axes: Axes, probed: ProbedPolicy, errors: PlanErrors, style: Style) -> None:
    times = [part for part in error_parts(probed, errors) if part.kind == TIME]
    for decoding in probed.decodings:
        look = {**style.sparse(decoding.label), "label": f"_{decoding.label}"}  # named by the panel above
        _band(axes, [part.rms(probed, decoding) for part in times], look)
    axes.set_ylabel(f"rms error of {errors.of}")
    _of_time(axes, times)


def _anatomy_by_time(axes: Axes, probed: ProbedPolicy, errors: PlanErrors) -> None:
    rows = [part.row.parts for part in dissected_parts(probed, errors) if part.kind == TIME]
    words = {"leak": "leak", "bias_and_spread": "bias² + spread"}
    if errors.model.steps:
        words["model_spread"] = f"variance of samples, K={errors.model.steps}"
    style = Style(words.values())
    for measure, label in words.items():
        _band(axes, [parts[measure] for parts in rows], style.sparse(label))
    axes.set_ylabel(f"one step's squared\nerror of {errors.of}")
    axes.legend(frameon=False, fontsize=9)
    _of_time(axes, rows)


def _of_time(axes: Axes, times: Sequence[PartErrors] | Sequence[Any]) -> None:
    axes.set_xlim(-0.02 * len(times), len(times) - 1 + 0.02 * len(times))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("time of the action chunk, in actions")
    axes.grid(axis="y", alpha=0.35)


def _band(axes: Axes, found: list[Interval], look: dict[str, Any]) -> None:
    times = np.arange(len(found))
    axes.plot(times, [part.estimate for part in found], **look)
    low, high = [part.low for part in found], [part.high for part in found]
    axes.fill_between(times, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _units(errors: PlanErrors) -> str:
    return (
        "standard deviations of the joint"
        if errors.of == "actions"
        else "rms moves of the joint (1: as in the data)"
    )
