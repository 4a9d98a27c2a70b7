"""What all figures share: how series look, the size of a panel, heading and legend, axes of proportions, how
a file is written.

Colour, marker and line style tell series apart, so figures can be printed in grey. One panel fits the column
of a paper (3.25 in), two beside each other fit its page, with text of 5 points or more.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from toyflow.atomic import atomic_file

MARKERS = "osD^vPX*<>"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
DARK = ("#5b1a52", "#4c5a0f", "#12284f", "#222222")
"""Colours of further series, darker than the palette's."""
PANEL = (4.2, 2.9)
"""Width and height of one panel, in inches."""
ACROSS = 2
"""Most panels beside each other."""
CHARACTERS = 12
"""Of a heading or a legend, in an inch."""
LINE = 0.2
"""Height of a line of text, in inches."""


def in_lines(variant: str) -> str:
    """A variant's name as the title of a panel, in lines that are not wider than the panel."""
    width = round(0.9 * CHARACTERS * PANEL[0])
    return textwrap.fill(variant, width, break_long_words=False, break_on_hyphens=False)


def heading(figure: Figure, words: str) -> None:
    """The title of the whole figure, in lines that are no wider than it; the figure grows by their height."""
    most = round(0.95 * CHARACTERS * figure.get_figwidth())
    even = 8 + len(words) // len(textwrap.wrap(words, most))  # no last line of one word
    lines = textwrap.wrap(words, min(most, even))
    figure.suptitle("\n".join(lines), fontsize=11)
    _grow(figure, len(lines))


class Style:
    """One colour, marker and line style per series, the same in every figure of a folder."""

    def __init__(self, labels: Iterable[str]) -> None:
        labels = list(dict.fromkeys(labels))
        # Seaborn's colour-blind palette without its pale pink and yellow, which vanish on white.
        bright = [c for i, c in enumerate(sns.color_palette("colorblind", 10)) if i not in (6, 8)]
        colours = [*bright, *DARK]
        self._of = {
            label: {
                "color": colours[i % len(colours)],
                "marker": MARKERS[i % len(MARKERS)],
                "linestyle": DASHES[(i + i // len(colours)) % len(DASHES)],
            }
            for i, label in enumerate(labels)
        }

    def __len__(self) -> int:
        """How many series."""
        return len(self._of)

    @property
    def labels(self) -> list[str]:
        """The series, in order."""
        return list(self._of)

    def line(self, label: str) -> dict[str, Any]:
        """Keywords for a line with markers."""
        return {**self._of[label], "label": label, "markersize": 5.5, "linewidth": 1.6}

    def sparse(self, label: str) -> dict[str, Any]:
        """Keywords for a dense line with a few markers, at other places for each series."""
        place = list(self._of).index(label)
        return {**self.line(label), "markersize": 4, "markevery": (0.02 * place, 0.2)}


class _WithinBounds(MaxNLocator):
    """Ticks from 0 to 1 only: no proportion is outside."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        ticks = np.asarray(super().tick_values(vmin, vmax))
        return ticks[(ticks > -1e-9) & (ticks < 1 + 1e-9)]


def of_proportions(axes: Axes) -> None:
    """Make `y` an axis of proportions, in per cent. It ends a little beyond what is drawn, and no tick leaves
    0 to 100 %. To be called when everything is drawn."""
    low, high = axes.get_ylim()
    room = 0.028 * (min(high, 1.0) - max(low, 0.0))
    axes.set_ylim(max(low, -room), 1 + room if high >= 1 else high)
    axes.yaxis.set_major_locator(_WithinBounds(nbins=9, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))


def legend(figure: Figure, last: str = "", title: str = "", **options: Any) -> None:
    """One legend under all panels for the series of all panels, each once, in the order in which panels first
    draw them. It has as many columns as fit the figure's width, and the figure grows by its height.

    Args:
        figure: drawn already.
        last: the label of a series to be named after all others.
        title: in lines, above the series.
        options: of matplotlib's legend.
    """
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if last in handles:
        handles[last] = handles.pop(last)
    widest = max(map(len, handles), default=0) / CHARACTERS + 0.5  # with its line
    columns = min(len(handles), max(1, int(figure.get_figwidth() / widest)))
    _grow(figure, -(-len(handles) // columns) + len(title.splitlines()))
    where: Any = {"loc": "outside lower center", "ncols": columns, "frameon": False, "title": title or None}
    figure.legend(list(handles.values()), list(handles), **where, **options)


def _grow(figure: Figure, lines: int) -> None:
    figure.set_figheight(figure.get_figheight() + LINE * lines)


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` in the format that the name ends in, whole or not at all; the path. The same
    figure gives the same bytes."""
    extension = path.suffix.removeprefix(".")
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(extension)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=extension, dpi=160, bbox_inches="tight", metadata=undated)
    return path
