"""`toyflow doctor`: what is here, what is missing, and for what."""

from __future__ import annotations

from collections.abc import Iterator
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


class Finding(NamedTuple):
    """One line: a subject, whether it is well (None: worth knowing, no fault), and what there is to say."""

    subject: str
    well: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """All findings, quick ones first. Nothing is installed, unpacked or changed."""
    yield Finding("toyflow", True, f"{__version__}, commit {commit() or 'unknown (installed package)'}")
    yield Finding("python", True, python_version_line())
    yield Finding("processor", True, f"{processor()}, {cores()} cores")
    for package in ("numpy", "scipy", "pandas", "matplotlib", "seaborn", "safetensors", "typer", "rich"):
        version = installed_version(package)
        yield Finding(package, version is not None, version or f"missing: pip install {package}")
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
            yield Finding(group, bool(points), text or "none found: reinstall toyflow")
        except ToyflowError as error:
            yield Finding(group, False, str(error))


def _torch() -> Iterator[Finding]:
    pair = ", ".join(f"{name} {installed_version(name) or 'missing'}" for name in ("torch", "torchvision"))
    try:
        check_torchvision()
    except ToyflowError as error:
        yield Finding("torch", False, f"{error} Needed by every command but this one")
        return
    import torch

    yield Finding("torch", True, f"{pair}; {torch.get_num_threads()} threads by default")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    devices = [
        "cpu",
        *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        *["mps"] * mps,
    ]
    yield Finding("devices", True if cuda or mps else None, ", ".join(devices))
    from toyflow.toy.mnist import mnist_state

    yield Finding("mnist", None, mnist_state())
