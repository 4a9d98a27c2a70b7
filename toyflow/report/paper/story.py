"""The overview figure: scores by number of steps, a panel per task."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toyflow import stats
from toyflow.report.claims import settings, told_apart
from toyflow.report.evidence import ANY, Testbed, is_current, tidy
from toyflow.report.paper.findings import DIAL, GRID, IMAGES, NUMBERS, TWO_ARMS, WAVE
from toyflow.report.results import Results
from toyflow.report.style import PANEL, Style, heading, legend, of_proportions
from toyflow.sweep.methods import VELOCITY


@dataclass(frozen=True)
class Panel:
    """A testbed, by the metric that shows what one step does to it."""

    testbed: Testbed
    metric: str
    label: str
    title: str
    is_proportion: bool = True


PANELS = (
    Panel(GRID, "score", "exact match", "Grid: 16 digits read,\nten numbers each"),
    Panel(NUMBERS, "score", "exact match", "Numbers: digits read,\none precise number each"),
    Panel(WAVE, "score", "close", "Wave: a phase\nto points of a sine wave"),
    Panel(TWO_ARMS, "score", "solved", "Two arms hand over a cube,\nfrom joint positions"),
    Panel(DIAL, "valid", "joint validity", "Dial: one hidden coin\nthat moves 4 digits together"),
    Panel(
        IMAGES, "frechet_distance", "Fréchet distance (lower is better)",
        "Images: a class label\nto an image of it", is_proportion=False,
    ),
)  # fmt: skip
MOST_ACROSS = 3
"""Panels in one row."""


def story_parts(folders: Mapping[str, Results]) -> dict[Panel, pd.DataFrame]:
    """The rows of each panel: of the trainings that most panels have, if these are several. Empty where there
    are not two panels."""
    rows = tidy(folders, {panel.testbed.task for panel in PANELS})
    parts = {panel: part for panel in PANELS if len(part := _plain(rows, panel))}
    if len(parts) < 2:
        return {}
    common = _common(parts)
    if len(common) > 1:
        parts = {panel: part[part["label"].isin(common)] for panel, part in parts.items()}
    return {panel: part for panel, part in parts.items() if len(part)}


def story(folders: Mapping[str, Results], stacked: bool = False) -> Figure | None:
    """A panel per testbed, side by side or `stacked`: its metric by steps, a line per training of flow, in
    one draw, with 95 % intervals over seeds, or over the examples of one, and a dot per seed. None where
    there are not two panels."""
    parts = story_parts(folders)
    if not parts:
        return None
    style = Style(dict.fromkeys(label for part in parts.values() for label in part["label"]))
    across = 1 if stacked else min(MOST_ACROSS, len(parts))
    down = -(-len(parts) // across)
    size = (PANEL[0] * (1 if stacked else 0.8) * across, PANEL[1] * down)
    figure, grid = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    for axes, (panel, part) in zip(grid.flat, parts.items(), strict=False):
        _draw(axes, panel, part, style)
    for axes in grid.flat[len(parts) :]:
        axes.remove()
    title = "trainings in most panels" if len(_common(parts)) > 1 else "training"
    legend(figure, title=title)
    alone = any(part.groupby(["label", "steps"])["seed"].nunique().min() < 2 for part in parts.values())
    of_one = "; of one seed over its examples" if alone else ""
    heading(figure, f"One step and many, by task (95 % intervals over seeds{of_one}; a dot per seed)")
    sns.despine(figure)
    return figure


def _common(parts: Mapping[Panel, pd.DataFrame]) -> set[str]:
    counts = Counter(label for part in parts.values() for label in set(part["label"]))
    return {label for label, count in counts.items() if 2 * count > len(parts)}


def _plain(rows: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Rows of one draw, with the training's `label`, under the recipe that claims are judged by: this
    version's, then with most seeds, then the longest, then with most decodings. Where there are several,
    `of_recipes` says what is this one's own."""
    rows = rows[(rows["times"] == "stratified") & (rows["sampler"] == "euler")]
    found = [
        (setting, part)
        for setting, data in settings(panel.testbed, rows)
        if len(part := data.pick(objective="flow", prediction=ANY)) and panel.metric in part
    ]
    if not found:
        return pd.DataFrame()
    chosen, best = max(
        found,
        key=lambda of: (is_current(of[0]), of[1]["seed"].nunique(), of[1]["drawn"].iloc[0], len(of[1])),
    )
    names = [chosen, *(setting for setting, _ in found if setting != chosen)]
    own = told_apart(names)[0] if len(names) > 1 else ""
    own = ", ".join(part for part in own.split(", ") if not part.startswith(("test set", "fingerprint")))
    velocity = best["prediction"] == VELOCITY
    labels = best["schedule"].where(velocity, best["prediction"].astype(str) + "(" + best["schedule"] + ")")
    return best.assign(label=labels, of_recipes=own).dropna(subset=panel.metric)


def _draw(axes: Axes, panel: Panel, part: pd.DataFrame, style: Style) -> None:
    steps = sorted(part["steps"].unique())
    labels = list(dict.fromkeys(part["label"]))
    for place, label in enumerate(labels):
        nudge = 0.5 * ((place + 0.5) / len(labels) - 0.5)
        rows = part[part["label"] == label]
        by_steps = [rows[rows["steps"] == k] for k in steps]
        known = [(i + nudge, seeds) for i, seeds in enumerate(by_steps) if len(seeds)]
        for x, seeds in known:
            if (interval := _interval(panel, seeds)) is not None:
                color = style.line(label)["color"]
                axes.plot([x, x], [interval.low, interval.high], color=color, linewidth=1, zorder=1)
            axes.scatter([x] * len(seeds), seeds[panel.metric], s=7, color="0.25", zorder=3, linewidths=0)
        means = [seeds[panel.metric].mean() for _, seeds in known]
        axes.plot([x for x, _ in known], means, **style.line(label))
    axes.set_xticks(range(len(steps)), [str(k) for k in steps])
    axes.set_xlabel("denoising steps K")
    axes.set_ylabel(panel.label)
    own = textwrap.fill(part["of_recipes"].iloc[0], 50)
    axes.set_title("\n".join(filter(None, (panel.title, own))), fontsize=10)
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
