"""What setting up a simulator needs: missing packages, OpenGL, and an image in another process as a check."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from packaging.requirements import Requirement
from rich.console import Console

from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import PACKAGE, installed_version
from toyflow.robot.simulation.environment import Environment
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.pip_commands import Run, last_line, pip, run_command


def install_missing(
    needs: Mapping[str, str], console: Console, run: Run = run_command, options: Sequence[str] = ()
) -> None:
    """Install missing packages with pip, under the checkout's constraints.txt where there is one.

    Args:
        needs: requirement by module.
        run: runs pip's command.
        options: of `pip install`.
    """
    wanted = [requirement for module, requirement in needs.items() if not is_met(module, requirement)]
    if wanted:
        console.print(f"installing {', '.join(wanted)} ...")
        run(pip("install", *_bounds(), *options, *wanted), dict(os.environ))
    importlib.invalidate_caches()


def is_met(module: str, requirement: str) -> bool:
    """Whether `module` is installed, and in a version that fits if the required distribution provides it. A
    fork of LIBERO, or another build of OpenCV, is accepted."""
    needed = Requirement(requirement)
    version = installed_version(needed.name)
    return find_spec(module) is not None and (version is None or version in needed.specifier)


def provide_opengl(console: Console, run: Run = run_command) -> None:
    """Install Debian's packages where no OpenGL works, by commands that `run` runs. Raises UsageError, which
    names the packages, without root."""
    try:
        rendering.choose_backend()
    except UsageError:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise
        console.print(f"installing {', '.join(rendering.DEBIAN_PACKAGES)} ...")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], environment)
        run(["apt-get", "install", "-qq", "--no-install-recommends", *rendering.DEBIAN_PACKAGES], environment)
        rendering.choose_backend()


def look(environment: type[Environment], suite: str, task: int) -> dict[str, Any]:
    """Render a task; what was seen, as JSON values. Runs in the process of `seen_apart`."""
    start = time.perf_counter()
    simulator = environment(suite, task)
    simulator.reset(seed=0)
    images = simulator.observe().images
    simulator.close()
    return {
        "scene": f"{suite} task {task}",
        "cameras": {name: list(image.shape) for name, image in images.items()},
        "contrast": min(float(image.std()) for image in images.values()),
        "seconds": time.perf_counter() - start,
    }


def seen_apart(title: str, program: str, *words: str) -> dict[str, Any]:
    """What a program that prints `look`'s values as JSON has seen: in another process, as a driver may abort
    it and new packages must be importable.

    Args:
        title: the simulator's, for messages.
        program: Python's text.
        words: its arguments.

    Raises:
        ToyflowError: it renders nothing, or images of one colour.
    """
    result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    if result.returncode:
        raise ToyflowError(f"{title} renders no image: {last_line(result.stderr)}")
    seen = json.loads(last_line(result.stdout))
    if seen["contrast"] < 1:
        raise ToyflowError(
            f"{title}'s images of {seen['scene']} are of a single colour; try another MUJOCO_GL."
        )
    return seen


def image_row(seen: Mapping[str, Any]) -> tuple[str, str]:
    """The line of a summary about what `seen_apart` has seen."""
    cameras = ", ".join(f"{name} {height}x{width}" for name, (height, width, _) in seen["cameras"].items())
    return "image", f"{seen['scene']}: {cameras}, {seen['seconds']:.1f} s with all imports"


def _bounds() -> list[str]:
    """The versions that the checkout asks for, where there is one."""
    constraints = PACKAGE.parent / "constraints.txt"
    return ["--constraint", str(constraints)] if constraints.is_file() else []
