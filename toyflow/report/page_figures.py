"""The figures of a report's page: small, on a light and on a dark ground."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib import colors
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from toyflow.report import figures
from toyflow.report.claims import Overview
from toyflow.report.results import Results
from toyflow.report.style import Style, save
from toyflow.report.tables import in_words

SHARPEST, MOST_PIXELS, PALETTE = 120, 1.5e6, 32
"""Dots per inch, pixels and colours of an embedded figure, so that the page stays small."""


@dataclass(frozen=True)
class FigureView:
    """A figure: data URIs for light and dark pages, and where `toyflow plot` has put it, if it has."""

    title: str
    alt: str
    light: str
    dark: str
    width: int
    """In CSS pixels; narrower than half of it, its text cannot be read."""
    path: str | None
    narrow: FigureView | None = None
    """The same for a narrow page, where this one would have to be scrolled."""


def drawn(results: Results, folder: Path, out: Path, draw: bool = True) -> Iterable[FigureView]:
    """Every figure that the results allow; those that `toyflow plot` has put there, without a picture, where
    `draw` is off."""
    labels = list(dict.fromkeys(results.frame["label"]))
    schedules = dict.fromkeys(
        e.training.record.schedule for e in results.evaluations if e.training.record.schedule
    )
    words = {
        "metric": in_words(results.metric),
        "labels": ", ".join(labels),
        "schedules": ", ".join(schedules),
    }
    with plt.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=1.1)
        for drawing in figures.DRAWINGS:
            if results.frame["variant"].nunique() > drawing.most_variants:
                continue
            title, alt = (_filled(text, words) for text in (drawing.title, drawing.alt))
            title, path = (
                title[:1].upper() + title[1:],
                _linked(folder / "figures" / f"{drawing.name}.png", out),
            )
            if not draw:
                yield FigureView(title, alt, "", "", 0, path)
            elif (figure := drawing.draw(results, Style(labels))) is not None:
                yield _view(figure, title, alt, path)


def draw_overview(
    overview: Overview, folders: Mapping[str, Results], out: Path, draw: bool = True
) -> FigureView | None:
    """The figure of several tasks together, also written into `out`; None where it would be of one. Where
    `draw` is off, the one that lies there, without a picture."""
    if not draw:
        path = _linked(out / overview.file, out)
        return FigureView(overview.title, overview.alt, "", "", 0, path) if path else None
    with plt.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=1.1)
        figure, stacked = (overview.draw(folders, stacked) for stacked in (False, True))
        if figure is None or stacked is None:
            return None
        path = save(figure, out / overview.file)
        narrow = _view(stacked, overview.title, overview.alt, None)
        return replace(_view(figure, overview.title, overview.alt, _linked(path, out)), narrow=narrow)


def _view(figure: Figure, title: str, alt: str, path: str | None) -> FigureView:
    """The figure on both grounds; it is closed."""
    _take_literally(figure)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # it is laid out; once is enough
    light = _picture(figure)
    _turn_greys(figure)
    dark = _picture(figure)
    plt.close(figure)
    return FigureView(title, alt, _uri(light), _uri(dark), _width(figure), path)


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def probed(folder: Path, out: Path) -> Iterable[FigureView]:
    """What `toyflow probe` has drawn there."""
    path = folder / "probe" / "velocity_error.png"
    if path.is_file():
        drawn = Image.open(path)
        picture, width = _with_few_colours(drawn), drawn.width * 96 // 160
        alt = "Line charts: error of the learned velocity against noise level, by schedule."
        yield FigureView("Velocity error by noise level", alt, _uri(picture), "", width, _linked(path, out))


def _linked(path: Path, out: Path) -> str | None:
    return path.relative_to(out).as_posix() if path.is_file() else None


def _picture(figure: Figure) -> bytes:
    """A small picture without a background."""
    width, height = figure.get_size_inches()
    dots, raw = min(SHARPEST, (MOST_PIXELS / (width * height)) ** 0.5), io.BytesIO()
    figure.savefig(raw, format="png", dpi=dots, bbox_inches="tight", transparent=True)
    return _with_few_colours(Image.open(raw))


def _with_few_colours(picture: Image.Image) -> bytes:
    small = io.BytesIO()
    few = picture.quantize(PALETTE, method=Image.Quantize.FASTOCTREE).convert("RGBA")
    few.save(small, "WEBP", lossless=True)  # three quarters of a PNG
    return small.getvalue()


def _width(figure: Figure) -> int:
    return round(figure.get_size_inches()[0] * 96)


def _uri(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _take_literally(figure: Figure) -> None:
    """A `$` in a name begins no formula; those of matplotlib's own tick labels do."""
    for artist in figure.findobj(Text):
        if isinstance(artist, Text) and "mathdefault" not in artist.get_text() and artist.get_text():
            artist.set_parse_math(False)


def _turn_greys(figure: Figure) -> None:
    """Make black white and light greys dark, for a dark page."""
    for artist in figure.findobj(Artist):
        if isinstance(artist, Text):
            artist.set_color(_turned(artist.get_color()))
        elif isinstance(artist, Line2D):
            artist.set_color(_turned(artist.get_color()))
            artist.set_markerfacecolor(_turned(artist.get_markerfacecolor()))
            artist.set_markeredgecolor(_turned(artist.get_markeredgecolor()))
        elif isinstance(artist, Collection | Patch):
            face, edge = artist.get_facecolor(), artist.get_edgecolor()
            artist.set_facecolor(_turned(face))
            artist.set_edgecolor(_turned(edge))


def _turned(color: Any) -> Any:
    """One colour or several; what has a hue, or says none, stays."""
    if isinstance(color, str) and color in ("none", "auto"):
        return color
    rgba = colors.to_rgba_array(color)
    grey = np.ptp(rgba[:, :3], axis=1) < 0.02
    rgba[grey, :3] = 1 - 0.88 * rgba[grey, :3]
    return rgba if len(rgba) != 1 else tuple(rgba[0])
