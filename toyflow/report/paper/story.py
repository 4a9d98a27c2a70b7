"""The figure that tells the story: one step and many, on tasks whose condition says all, or little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from toyflow import stats
from toyflow.report.evidence import Data, defaults_of, is_current, tidy
from toyflow.report.figures import PANEL, Style
from toyflow.report.results import Results


@dataclass(frozen=True)
class Panel:
    """A task at its default options, by the metric that shows what one step does to it."""

    task: str
    metric: str
    label: str
    title: str
    is_proportion: bool = True


PANELS = (
    Panel("grid-to-sequence", "score", "exact match", "The condition says all:\n16 digits read off a grid"),
    Panel("dial", "valid", "joint validity", "One hidden coin for all tokens:\n4 digits that move together"),
    Panel(
        "class-to-image", "frechet_distance", "Fréchet distance (lower is better)",
        "The condition says little:\na class label to an image", is_proportion=False,
    ),
)  # fmt: skip


def story_parts(folders: Mapping[str, Results]) -> dict[Panel, pd.DataFrame]:
    """The rows of each panel: of the laws that all panels have, if there are several. Empty where there are
    not two tasks."""
    rows = tidy(folders, {panel.task for panel in PANELS})
    parts = {panel: part for panel in PANELS if len(part := _default(rows, panel))}
    if len(parts) < 2:
        return {}
    common = _common(parts)
    if len(common) > 1:
        parts = {panel: part[part["schedule"].isin(common)] for panel, part in parts.items()}
    return parts


def story(parts: Mapping[Panel, pd.DataFrame], stacked: bool = False) -> Figure:
    """A panel for each task, side by side or `stacked`, of two or more: its metric by steps, a line per law
    of flow, 95 % t-intervals over seeds, a dot per seed."""
    style = Style(dict.fromkeys(law for part in parts.values() for law in part["schedule"]))
    width, height = PANEL[0] * 0.8, PANEL[1]
    size = (width, height * len(parts) + 0.8) if stacked else (width * len(parts) + 1.5, height)
    shape = (len(parts), 1) if stacked else (1, len(parts))
    figure, line = plt.subplots(*shape, figsize=size, layout="constrained")
    handles = {}
    for axes, (panel, part) in zip(line, parts.items(), strict=True):
        _draw(axes, panel, part, style)
        handles.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    lines, names = list(handles.values()), list(handles)
    where = "outside lower center" if stacked else "outside center right"
    columns = min(len(names), 3) if stacked else 1
    laws = "laws that all have" if len(_common(parts)) > 1 else "law"
    figure.legend(lines, names, loc=where, frameon=False, title=laws, ncols=columns)  # pyright: ignore[reportArgumentType]
    title = "One step and many, by task", "(95 % t-intervals over seeds, a dot per seed)"
    figure.suptitle(("\n" if stacked else " ").join(title), fontsize=11)
    sns.despine(figure)
    return figure


def _common(parts: Mapping[Panel, pd.DataFrame]) -> set[str]:
    return set.intersection(*(set(part["schedule"]) for part in parts.values()))


def _default(rows: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Of the recipe that findings are judged by: this version's, with most seeds, the longest, with
    most decodings."""
    rows = rows[(rows["task"] == panel.task) & (rows["times"] == "stratified") & (rows["sampler"] == "euler")]
    if rows.empty:
        return rows
    flow = Data(rows, defaults_of(panel.task)).pick(objective="flow")
    if flow.empty or panel.metric not in flow:
        return flow.iloc[:0]
    best = max(
        flow.groupby("recipe"),
        key=lambda of: (is_current(str(of[0])), of[1]["seed"].nunique(), of[1]["drawn"].iloc[0], len(of[1])),
    )
    return best[1].dropna(subset=panel.metric)


def _draw(axes: Axes, panel: Panel, part: pd.DataFrame, style: Style) -> None:
    steps = sorted(part["steps"].unique())
    laws = list(dict.fromkeys(part["schedule"]))
    for place, law in enumerate(laws):
        nudge = 0.5 * ((place + 0.5) / len(laws) - 0.5)
        rows = part[part["schedule"] == law]
        by_steps = [rows.loc[rows["steps"] == k, panel.metric].tolist() for k in steps]
        known = [(i + nudge, values) for i, values in enumerate(by_steps) if values]
        for x, values in known:
            if len(values) > 1:
                interval = stats.over_seeds(values)
                color = style.line(law)["color"]
                axes.plot([x, x], [interval.low, interval.high], color=color, linewidth=1, zorder=1)
            axes.scatter([x] * len(values), values, s=7, color="0.25", zorder=3, linewidths=0)
        means = [sum(values) / len(values) for _, values in known]
        axes.plot([x for x, _ in known], means, **style.line(law))
    axes.set_xticks(range(len(steps)), [str(k) for k in steps])
    axes.set_xlabel("denoising steps K")
    axes.set_ylabel(panel.label)
    axes.set_title(panel.title, fontsize=10)
    axes.grid(axis="y", alpha=0.35)
    if panel.is_proportion:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(0, 1.02)
    else:
        axes.set_ylim(bottom=0)
