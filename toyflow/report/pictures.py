"""A figure within a page: small, on light and dark ground, with a checksum of what it was drawn from."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.spines import Spine
from matplotlib.text import Text
from PIL import Image

SHARPEST, MOST_PIXELS, PALETTE = 120, 1.5e6, 32
"""Dots per inch, pixels and colours of an embedded figure, so that the page stays small."""
CSS_DPI = 96
"""CSS pixels per inch."""
GREY = 5
"""Channels of a grey differ by no more, of 255."""


@dataclass(frozen=True)
class FigureView:
    """A figure: data URIs for light and dark pages, and where `toyflow plot` has put it, if it has."""

    title: str
    alt: str
    light: str
    dark: str
    """Empty for one that is shown on white on dark pages, too."""
    width: int
    """In CSS pixels; narrower than half of it, its text cannot be read."""
    path: str | None
    drawn_from: str
    """See `checksum_of`."""
    narrow: FigureView | None = None
    """The same for a narrow page, where this one would have to be scrolled."""


def view_of(figure: Figure, title: str, alt: str, path: str | None, pixels: bool = True) -> FigureView:
    """The figure on both grounds; it is closed. Without `pixels` its two pictures are empty."""
    width, height = figure.get_size_inches()
    light, dark, checksum = b"", b"", checksum_of(figure)
    if pixels:
        _take_literally(figure)
        dots, raw = min(SHARPEST, (MOST_PIXELS / (width * height)) ** 0.5), io.BytesIO()
        figure.savefig(raw, format="png", dpi=dots, bbox_inches="tight", transparent=True)
        light, dark = on_both_grounds(Image.open(raw))
    plt.close(figure)
    return FigureView(title, alt, uri(light), uri(dark), round(width * CSS_DPI), path, checksum)


def on_both_grounds(picture: Image.Image) -> tuple[bytes, bytes]:
    """A picture without a background, made small, for a light page; and for a dark one, where black is white
    and light greys are dark. What has a hue stays."""
    few = _in_few_colours(picture)
    turned = np.array(few)
    grey = np.ptp(turned[..., :3].astype(int), axis=-1) <= GREY
    turned[grey, :3] = np.round(255 - 0.88 * turned[grey, :3].astype(float))
    return _webp(few), _webp(Image.fromarray(turned))


def small(picture: Image.Image) -> bytes:
    """The picture in few bytes."""
    return _webp(_in_few_colours(picture))


def uri(picture: bytes) -> str:
    """An address that holds the picture."""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def checksum_of(figure: Figure) -> str:
    """A checksum of what a figure shows: its texts, and the numbers and colours that it was drawn from.

    Pixels differ between platforms, fonts and versions of matplotlib; this does not. Numbers count to their
    fifth digit.
    """
    digest = hashlib.sha256()
    for part in _contents(figure):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()[:16]


def _contents(artist: Artist) -> Iterator[str]:
    """What is drawn, in its order; without ticks and spines, whose places are matplotlib's choice."""
    if isinstance(artist, Text):
        if artist.get_text():
            yield artist.get_text()
    elif isinstance(artist, Line2D):
        look = f"{artist.get_marker()} {artist.get_linestyle()} {artist.get_color()}"
        yield f"{look} {_told(artist.get_xydata())}"
    elif isinstance(artist, Collection):
        paths = [_told(path.vertices) for path in artist.get_paths()]
        yield f"{_told(artist.get_offsets())} {_told(artist.get_facecolor())} {paths}"
    elif isinstance(artist, Patch):
        shape = artist.get_patch_transform().transform(artist.get_path().vertices)
        yield f"{_told(artist.get_facecolor())} {_told(shape)}"
    elif isinstance(artist, AxesImage):
        yield _told(artist.get_array())
    elif isinstance(artist, Legend):
        yield from (text.get_text() for text in artist.get_texts())
    elif isinstance(artist, Axis):
        yield from _contents(artist.label)
    else:
        for child in artist.get_children():
            if not isinstance(child, Spine):
                yield from _contents(child)


def _told(numbers: Any) -> str:
    return " ".join(f"{number:.5g}" for number in np.round(np.asarray(numbers, float), 9).ravel() + 0.0)


def _take_literally(figure: Figure) -> None:
    """A `$` in a name begins no formula; those of matplotlib's own tick labels do."""
    for artist in figure.findobj(Text):
        if isinstance(artist, Text) and "mathdefault" not in artist.get_text() and artist.get_text():
            artist.set_parse_math(False)


def _in_few_colours(picture: Image.Image) -> Image.Image:
    return picture.quantize(PALETTE, method=Image.Quantize.FASTOCTREE).convert("RGBA")


def _webp(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", lossless=True)  # three quarters of a PNG
    return written.getvalue()
