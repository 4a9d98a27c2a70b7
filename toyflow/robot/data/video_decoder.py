"""Which library decodes a data set's videos on this machine."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from toyflow.errors import first_line
from toyflow.machine import installed_version

FFMPEG = "Debian, Ubuntu: apt install ffmpeg; conda: conda install ffmpeg"


class Decoder(NamedTuple):
    """What decodes videos.

    Attributes:
        backend: LeRobot's name of it, torchcodec or pyav.
        why: why it is not torchcodec, LeRobot's first choice; empty where it is.
    """

    backend: str
    why: str


@cache
def video_decoder() -> Decoder:
    """torchcodec where it can be loaded, which needs the libraries of FFmpeg; else PyAV, which brings its
    own."""
    if installed_version("torchcodec") is None:
        return Decoder("pyav", "torchcodec is not installed")
    try:
        import torchcodec  # heavy and optional  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except Exception as error:  # RuntimeError or OSError where FFmpeg is missing
        if "libtorchcodec" in str(error):
            return Decoder("pyav", f"torchcodec finds no libraries of FFmpeg ({FFMPEG})")
        return Decoder("pyav", f"torchcodec cannot be loaded: {first_line(error)}")
    return Decoder("torchcodec", "")


def video_backend() -> str:
    """LeRobot's name of what decodes videos here."""
    return video_decoder().backend
