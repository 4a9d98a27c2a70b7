"""The machine toyflow runs on: versions, processors, devices, commit; whether torch and torchvision match."""

from __future__ import annotations

import gc
import importlib
import math
import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from toyflow.errors import ToyflowError, UsageError, first_line, unknown
from toyflow.version import __version__

PAIR_HINT = (
    "Install both in one go: pip install --force-reinstall torch torchvision "
    "(the registry's torchvision does not fit a CPU-only torch; its plain torch runs on CPUs too)."
)

PACKAGE = Path(__file__).parent
"""The folder of the package; in a checkout the repository is around it."""


class BrokenTorchError(ToyflowError, ImportError):
    """torch or torchvision cannot be imported; the message says how to install them."""


def check_torch() -> None:
    """Import torch. Raises BrokenTorchError if that fails."""
    _import_half("torch", "torch cannot be imported")


def check_torchvision() -> None:
    """Import torch, then torchvision. Raises BrokenTorchError if one fails or they do not fit each other."""
    check_torch()
    installed = ", ".join(f"{name} {installed_version(name)}" for name in ("torch", "torchvision"))
    _import_half("torchvision", f"torchvision does not work with this torch ({installed})")


def _import_half(name: str, what: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        raise BrokenTorchError(f"{what}: {first_line(error)}. {PAIR_HINT}") from error


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, or None; imports nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def describe_environment() -> dict[str, Any]:
    """Versions, machine and commit, which are stored beside every result."""
    packages = ("torch", "torchvision", "numpy", "scipy")
    return {
        "toyflow": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: installed_version(name) for name in packages},
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
    }


def synchronise(device: str) -> None:
    """Wait until a device has finished all work that was queued on it."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()


def free_memory() -> None:
    """Release unused GPU memory to other processes."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def allow_open_files() -> None:
    """Raise this process's limit of open files to the most that the system allows it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cores() -> int:
    """Number of processors that this process may use: its affinity, and its container's quota, rounded up."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no cgroups, or no quota ("max")
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def device_name(device: str) -> str:
    """Name of the GPU, or of the processor."""
    import torch

    return torch.cuda.get_device_name() if device.startswith("cuda") else processor()


def commit() -> str | None:
    """The commit of the checkout that toyflow runs from, `+` appended where tracked files differ from
    it; None where it runs from an installed package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
            )
            for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def cache_folder() -> Path:
    """Folder of files that can be regenerated: $TOYFLOW_CACHE, or the system's folder for caches."""
    chosen = os.environ.get("TOYFLOW_CACHE")
    return Path(chosen) if chosen else user_cache_path("toyflow")


def check_device_name(name: str) -> None:
    """Raise UsageError unless `name` is one that `choose_device` knows."""
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise unknown("device", name, ("auto", "cpu", "cuda", "mps"))


def choose_device(name: str) -> str:
    """The device for `auto`, `cpu`, `cuda` or `mps`. Raises UsageError if this machine has no such device."""
    check_device_name(name)
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present[name]:
        has = ", ".join(device for device, there in present.items() if there)
        raise UsageError(
            f"--device {name}: this machine has none that torch can use. Available: auto, {has}."
        )
    return name


def python_version_line() -> str:
    """Python's version and the path of its executable."""
    return f"{platform.python_version()} ({sys.executable})"
