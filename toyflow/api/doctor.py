"""`toyflow doctor`: what is installed, what is missing, and what for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from toyflow import plugins
from toyflow.errors import ToyflowError
from toyflow.machine import (
    check_torchvision,
    commit,
    cores,
    installed_version,
    processor,
    python_version_line,
)
from toyflow.version import __version__


class Check(NamedTuple):
    """One line of `toyflow doctor`."""

    subject: str
    passed: bool | None
    """Whether the check passed; None where the line is only information."""
    text: str


def examine() -> Iterator[Check]:
    """Check this installation, the quick checks first. Nothing is installed, unpacked or changed.

    Example:
        >>> next(examine()).subject
        'toyflow'
    """
    yield Check("toyflow", True, f"{__version__}, commit {commit() or 'unknown (installed package)'}")
    yield Check("python", True, python_version_line())
    yield Check("processor", True, f"{processor()}, {cores()} cores")
    for package in ("numpy", "scipy", "pandas", "matplotlib", "seaborn", "safetensors", "typer", "rich"):
        version = installed_version(package)
        yield Check(package, version is not None, version or f"missing: pip install {package}")
    yield from _torch()
    for group in plugins.GROUPS:
        try:
            points = plugins.available(group)
            foreign = [
                f"{name} ({p.value})" for name, p in points.items() if not p.value.startswith("toyflow.")
            ]
            text = ", ".join(sorted(points)) + (
                f"; from other packages: {', '.join(foreign)}" if foreign else ""
            )
            yield Check(group, bool(points), text or "none found: reinstall toyflow")
        except ToyflowError as error:
            yield Check(group, False, str(error))


def exit_code(checks: Iterable[Check]) -> int:
    """1 if a check failed, else 0."""
    return int(any(check.passed is False for check in checks))


def _torch() -> Iterator[Check]:
    pair = ", ".join(f"{name} {installed_version(name) or 'missing'}" for name in ("torch", "torchvision"))
    try:
        check_torchvision()
    except ToyflowError as error:
        yield Check("torch", False, f"{error} Every command but this one needs it.")
        return
    import torch

    yield Check("torch", True, f"{pair}; {torch.get_num_threads()} threads by default")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    devices = [
        "cpu",
        *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        *["mps"] * mps,
    ]
    yield Check("devices", True if cuda or mps else None, ", ".join(devices))
    yield from _videos()
    from toyflow.toy.mnist import mnist_state

    yield Check("mnist", None, mnist_state())


def _videos() -> Iterator[Check]:
    """What decodes the videos of data sets, where these can be read at all."""
    if installed_version("lerobot") is None:
        return
    from toyflow.robot.data.video_decoder import video_decoder

    decoder = video_decoder()
    if decoder.backend == "pyav":
        version = installed_version("av")
        text = f"PyAV {version} decodes those of data sets, more slowly than torchcodec would: {decoder.why}"
        yield Check(
            "videos", None if version else False, text if version else f"{decoder.why}, nor is PyAV (av)"
        )
    else:
        yield Check(
            "videos", True, f"torchcodec {installed_version('torchcodec')} decodes those of data sets"
        )
