"""A folder of small wheels in place of the package registry, which pip itself reads, and a process that is
killed while it unpacks one."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toyflow.robot.simulation.environments.registry_wheels import Wheel

ROOT = Path(__file__).parents[4]


def registry_in(home: Path, monkeypatch) -> Path:
    """An empty registry in a new folder below `home`; pip knows no other from now on."""
    folder = home / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@contextmanager
def packing(folder: Path, name: str, version: str) -> Iterator[zipfile.ZipFile]:
    """A wheel of the registry, to be filled."""
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        yield archive
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{stem}.dist-info/METADATA", about)
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")


def offered(folder: Path, name: str, version: str) -> Wheel:
    """A wheel of the registry with its checksum."""
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return Wheel(name, version, hashlib.sha256(path.read_bytes()).hexdigest())


def run_until_killed(program: str) -> None:
    """Run a program in a process of its own, in which `kill()` kills it by SIGKILL; it must come to that."""
    begin = (
        "import os, signal\n"
        "from toyflow.robot.simulation.environments.registry_wheels import Wheel\n"
        "def kill(): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", begin + program], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
