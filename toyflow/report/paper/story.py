"""The figure that tells the story: one step and many, on tasks whose condition says all, or little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toyflow import stats
from toyflow.report.evidence import Data, Testbed, defaults_of, is_current, tidy
from toyflow.report.results import Results
from toyflow.report.style import PANEL, Style, legend, of_proportions


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
    """The rows of each panel: of the schedules that all panels have, if there are several. Empty where there
    are not two tasks."""
    rows = tidy(folders, {panel.task for panel in PANELS})
    parts = {panel: part for panel in PANELS if len(part := _default(rows, panel))}
    if len(parts) < 2:
        return {}
    common = _common(parts)
    if len(common) > 1:
        parts = {panel: part[part["schedule"].isin(common)] for panel, part in parts.items()}
    return parts


def story(folders: Mapping[str, Results], stacked: bool = False) -> Figure | None:
    """A panel per task, side by side or `stacked`: its metric by steps, a line per schedule of flow with 95 %
    intervals over seeds and a dot per seed. None where there are not two tasks."""
    parts = story_parts(folders)
    if not parts:
        return None
    style = Style(dict.fromkeys(schedule for part in parts.values() for schedule in part["schedule"]))
    width, height = PANEL[0] * 0.8, PANEL[1]
    size = (width, height * len(parts) + 0.8) if stacked else (width * len(parts) + 1.5, height)
    shape = (len(parts), 1) if stacked else (1, len(parts))
    figure, line = plt.subplots(*shape, figsize=size, layout="constrained")
    for axes, (panel, part) in zip(line, parts.items(), strict=True):
        _draw(axes, panel, part, style)
    title = "schedules that all have" if len(_common(parts)) > 1 else "schedule"
    if stacked:
        legend(figure, "outside lower center", title=title, ncols=min(len(style), 3))
    else:
        legend(figure, title=title)
    heading = "One step and many, by task", "(95 % intervals over seeds, a dot per seed)"
    figure.suptitle(("\n" if stacked else " ").join(heading), fontsize=11)
    sns.despine(figure)
    return figure


def _common(parts: Mapping[Panel, pd.DataFrame]) -> set[str]:
    return set.intersection(*(set(part["schedule"]) for part in parts.values()))


def _default(rows: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Rows of the recipe that claims are judged by: this version's, then with most seeds, then the longest,
    then with most decodings."""
    rows = rows[(rows["task"] == panel.task) & (rows["times"] == "stratified") & (rows["sampler"] == "euler")]
    if rows.empty:
        return rows
    flow = Data(rows, defaults_of(panel.task), Testbed(panel.task, panel.task)).pick(objective="flow")
    if flow.empty or panel.metric not in flow:
        return flow.iloc[:0]
    best = max(
        flow.groupby("recipe"),
        key=lambda of: (is_current(str(of[0])), of[1]["seed"].nunique(), of[1]["drawn"].iloc[0], len(of[1])),
    )
    return best[1].dropna(subset=panel.metric)


def _draw(axes: Axes, panel: Panel, part: pd.DataFrame, style: Style) -> None:
    steps = sorted(part["steps"].unique())
    schedules = list(dict.fromkeys(part["schedule"]))
    for place, schedule in enumerate(schedules):
        nudge = 0.5 * ((place + 0.5) / len(schedules) - 0.5)
        rows = part[part["schedule"] == schedule]
        by_steps = [rows[rows["steps"] == k] for k in steps]
        known = [(i + nudge, seeds) for i, seeds in enumerate(by_steps) if len(seeds)]
        for x, seeds in known:
            if (interval := _interval(panel, seeds)) is not None:
                color = style.line(schedule)["color"]
                axes.plot([x, x], [interval.low, interval.high], color=color, linewidth=1, zorder=1)
            axes.scatter([x] * len(seeds), seeds[panel.metric], s=7, color="0.25", zorder=3, linewidths=0)
        means = [seeds[panel.metric].mean() for _, seeds in known]
        axes.plot([x for x, _ in known], means, **style.line(schedule))
    axes.set_xticks(range(len(steps)), [str(k) for k in steps])
    axes.set_xlabel("denoising steps K")
    axes.set_ylabel(panel.label)
    axes.set_title(panel.title, fontsize=10)
    axes.grid(axis="y", alpha=0.35)
    axes.set_ylim(bottom=0)
    if panel.is_proportion:
        axes.set_ylim(0, 1)
        of_proportions(axes)


def _interval(panel: Panel, seeds: pd.DataFrame) -> stats.Interval | None:
    """At 95 %; None of a metric that is no proportion where seeds show no spread."""
    values = seeds[panel.metric]
    if panel.is_proportion:
        hits = (values * seeds["examples"]).round().astype(int)
        return stats.proportion_over_seeds(hits.tolist(), seeds["examples"].astype(int).tolist())
    return stats.over_seeds(values.tolist()) if stats.has_spread(values.tolist()) else None
