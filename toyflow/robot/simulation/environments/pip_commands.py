"""pip, run quietly in this environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from toyflow.errors import ToyflowError, UsageError


class CommandError(ToyflowError):
    """A command failed; `said` is the first error that it named, else the last line that it wrote."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        super().__init__(f"`{' '.join(command)}` failed: {said}")
        self.said = said


Run = Callable[[list[str], dict[str, str]], None]
"""Runs a command in an environment of variables, and raises CommandError if it fails."""


def run_command(command: list[str], environment: dict[str, str]) -> None:
    """Run `command` quietly. Raises CommandError if it fails."""
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        raise CommandError(command, _what_failed(result.stderr or result.stdout))


def pip(command: str, *words: str) -> list[str]:
    """The command line of `pip COMMAND`. Raises UsageError where this Python has no pip."""
    if find_spec("pip") is None:
        raise UsageError(f"{sys.executable} has no pip; `{sys.executable} -m ensurepip` installs it.")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    return [sys.executable, "-m", "pip", command, *quiet, *words]


def last_line(text: str) -> str:
    """The last line of what a command wrote."""
    return (text.strip() or "no output").splitlines()[-1]


def _what_failed(text: str) -> str:
    """pip's first error; after one of its own exceptions, as of any other command, the last line."""
    errors = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: ")]
    return next((error for error in errors if error != "Exception:"), last_line(text))
