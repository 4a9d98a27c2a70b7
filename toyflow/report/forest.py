"""The picture of the claims' differences with their intervals, all on one axis, cut into a strip per claim.

A claim's text and verdict stand beside its strip as text, so that the page can be read aloud, searched, and
narrowed without a smaller picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from toyflow.report.effects import Effect
from toyflow.report.page_claims import Group, VerdictView
from toyflow.report.pictures import CSS_DPI, checksum_of, small, uri

WIDTH, LINE, ROOM, AXIS = 300, 8, 7, 16
"""CSS pixels: of a strip's width, a mark's line, the room of a row beside its lines, the axis' height."""
SHARPNESS = 2
"""Pixels of a picture by CSS pixel."""
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "agree": {"marker": "o", "color": "#2f9e51", "markersize": 4.6},
    "disagree": {"marker": "X", "color": "#d64545", "markersize": 5.6, "markeredgewidth": 0},
    "undecided": {"marker": "D", "color": "#b7791f", "markersize": 3.8, "markerfacecolor": "none"},
}
"""By the first word of a verdict. The colours can be seen on white and on black."""
GREYS: Sequence[Mapping[str, str]] = (
    {"claimed": "0.9", "rule": "0.8", "zero": "0.4", "words": "0.3"},
    {"claimed": "0.21", "rule": "0.3", "zero": "0.65", "words": "0.75"},
)
"""On a light and on a dark ground: of where a claim says that the difference lies, of the lines at ticks and
at zero, and of text."""
WIDEST = 2.0
"""No difference of two differences of proportions is beyond; an interval that goes there is cut."""


@dataclass(frozen=True)
class Strip:
    """The picture of a row, or of the axis, as data URIs for light and dark pages."""

    light: str
    dark: str
    height: int
    """In CSS pixels; its width is `WIDTH`."""


@dataclass(frozen=True)
class Forest:
    """The claims by group, and their pictures."""

    groups: Sequence[Group]
    strips: Mapping[str, Strip]
    """By the claim's name; none for a claim without a difference in points."""
    axis: Strip
    drawn_from: str
    """See `toyflow.report.pictures.checksum_of`."""
    width: int = WIDTH


def forest_of(groups: Sequence[Group], pixels: bool = True) -> Forest:
    """Draw the marks of each row. Without `pixels` the pictures are empty."""
    marks = {
        view.claim.name: in_points
        for group in groups
        for view in group.claims
        if (in_points := [each for each in view.in_order if each.in_points])
    }
    heights = [AXIS, *(LINE * len(of_row) + ROOM for of_row in marks.values())]
    on_grounds = [_drawn(list(marks.values()), heights, greys) for greys in GREYS]
    checksum = checksum_of(on_grounds[0])
    pictures = [list(_cut(figure, heights)) if pixels else [uri(b"")] * len(heights) for figure in on_grounds]
    for figure in on_grounds:
        plt.close(figure)
    axis, *strips = map(Strip, *pictures, heights)
    return Forest(groups, dict(zip(marks, strips, strict=True)), axis, checksum)


def _drawn(rows: Sequence[Sequence[VerdictView]], heights: Sequence[int], greys: Mapping[str, str]) -> Figure:
    """The axis and all rows beneath each other."""
    total = sum(heights)
    figure = plt.figure(figsize=(WIDTH / CSS_DPI, total / CSS_DPI))
    axes = figure.add_axes((0, 0, 1, 1), ylim=(total, 0))
    axes.set_xlim(_limits([mark for row in rows for mark in row]))
    axes.set_axis_off()
    _draw_axis(axes, greys)
    top = AXIS
    for row, height in zip(rows, heights[1:], strict=True):
        for place, mark in enumerate(row):
            _draw(axes, mark, top + (ROOM + LINE) / 2 + LINE * place, greys)
        top += height
    return figure


def _cut(figure: Figure, heights: Sequence[int]) -> Iterator[str]:
    """A data URI of each part, from the top."""
    raw, top = io.BytesIO(), 0
    figure.savefig(raw, format="png", dpi=SHARPNESS * CSS_DPI, transparent=True)
    picture = Image.open(raw)
    for height in heights:
        part = picture.crop((0, SHARPNESS * top, picture.width, SHARPNESS * (top + height)))
        yield uri(small(part))
        top += height


def _limits(marks: Sequence[VerdictView]) -> tuple[float, float]:
    """Of the axis: all that is drawn, and zero, with a little room."""
    ends = [0.0]
    for mark in marks:
        low, high = _ends(mark.effect) or (0.0, 0.0)
        ends += [low, high, mark.effect.of.difference.mean(), mark.effect.floor]
    low, high = max(min(ends), -WIDEST), min(max(ends), WIDEST)
    room = 0.05 * max(high - low, 0.1)
    return low - room, high + room


def _ends(effect: Effect) -> tuple[float, float] | None:
    """Of the interval that decides, if there is one."""
    interval = effect.of.deciding(effect.confidence)
    return interval and (interval.low, interval.high)


def _draw_axis(axes: Axes, greys: Mapping[str, str]) -> None:
    """Ticks in points, and a line across all rows at each."""
    low, high = axes.get_xlim()
    for tick in MaxNLocator(nbins=9, steps=[1, 2, 5, 10]).tick_values(low, high):
        if low < tick < high:
            is_zero = abs(tick) < 1e-9
            color, order = ("zero", 1) if is_zero else ("rule", 0)
            axes.plot(
                [tick, tick], [AXIS - 3, axes.get_ylim()[0]], color=greys[color], linewidth=0.7, zorder=order
            )
            words = "0" if is_zero else f"{100 * tick:+g}"
            axes.text(tick, AXIS - 4, words, color=greys["words"], fontsize=7.5, ha="center", va="bottom")


def _draw(axes: Axes, mark: VerdictView, y: float, greys: Mapping[str, str]) -> None:
    """A difference with its interval, and where the claim says that it lies."""
    effect, (_, most) = mark.effect, axes.get_xlim()
    right = -effect.floor if effect.kind == "equivalent" else most
    corner, size = (effect.floor, y - LINE / 2), (right - effect.floor, LINE)
    axes.add_patch(Rectangle(corner, *size, color=greys["claimed"], linewidth=0, zorder=-1))
    look = LOOKS[mark.judgement.verdict.split(" ")[0]]
    if ends := _ends(effect):
        axes.plot(ends, [y, y], color=look["color"], linewidth=1.3)
    axes.plot([effect.of.difference.mean()], [y], linestyle="none", zorder=3, **look)
