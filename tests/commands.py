"""`toyflow` in a process of its own, with the tests' plug-ins."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def start(
    folder: Path, *words: str, fault: str = "", under: tuple[str, ...] = (), **environment: str
) -> subprocess.Popen[str]:
    """`toyflow` in `folder`, or `under` a launcher, as head of a process group; `fault` is the plug-in's."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, *under, "-m", "toyflow", *words],
        env={**os.environ, "PYTHONPATH": path, "TOYFLOW_TEST_FAULT": fault, **environment},
        cwd=folder,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
