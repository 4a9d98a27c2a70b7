"""The figures of a report's page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import seaborn as sns
from PIL import Image

from toyflow.report import figures
from toyflow.report.claims import Overview
from toyflow.report.pictures import FigureView, small, uri, view_of
from toyflow.report.results import Results
from toyflow.report.style import Style, save
from toyflow.report.tables import in_words


def drawn(results: Results, folder: Path, out: Path, pixels: bool = True) -> Iterable[FigureView]:
    """Every figure that the results allow; without `pixels` their pictures are empty."""
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
            if (figure := drawing.draw(results, Style(labels))) is not None:
                yield view_of(figure, title, alt, path, pixels)


def draw_overview(
    overview: Overview, folders: Mapping[str, Results], out: Path, pixels: bool = True
) -> FigureView | None:
    """The figure of several tasks together, also written into `out`; None where it would be of one. Without
    `pixels` nothing is written, and its pictures are empty."""
    with plt.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=1.1)
        figure, stacked = (overview.draw(folders, stacked) for stacked in (False, True))
        if figure is None or stacked is None:
            return None
        if pixels:
            save(figure, out / overview.file)
        path = _linked(out / overview.file, out)
        narrow = view_of(stacked, overview.title, overview.alt, None, pixels)
        return replace(view_of(figure, overview.title, overview.alt, path, pixels), narrow=narrow)


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def probed(folder: Path, out: Path, pixels: bool = True) -> Iterable[FigureView]:
    """What `toyflow probe` has drawn there; without `pixels` its picture is empty."""
    path = folder / "probe" / "velocity_error.png"
    if path.is_file():
        drawn = Image.open(path)
        picture, width = uri(small(drawn) if pixels else b""), drawn.width * 96 // 160
        alt = "Line charts: error of the learned velocity against noise level, by schedule."
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        yield FigureView(
            "Velocity error by noise level", alt, picture, "", width, _linked(path, out), checksum
        )


def _linked(path: Path, out: Path) -> str | None:
    return path.relative_to(out).as_posix() if path.is_file() else None
