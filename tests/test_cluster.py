"""What of a cluster can be tried without one; tests/sweep/executors has the rest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock

from toyflow.cluster import scratch_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_goes_and_so_do_those_of_killed_workers_but_not_of_living_ones(temporary):
    with scratch_folder() as first:
        root = Path(first).parent
        killed, living = root / "1-1", root / "2-2"
        for folder in (killed, living):
            folder.mkdir()
            folder.with_name(f"{folder.name}.lock").touch()
        with FileLock(f"{living}.lock"), scratch_folder() as second:
            assert first != second and Path(first).is_dir() and Path(second).is_dir()
            assert not killed.exists() and living.is_dir()
    assert not Path(first).exists() and not Path(second).exists()


@pytest.mark.slow
def test_a_driver_that_connects_in_vain_can_be_ended():
    """Of a port that listens and never answers; Ray would try for minutes, at this machine's own address."""
    with socket.create_server(("", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        words = ("sweep", "--executor", "ray", "--address", address, "--schedules", "beta", "--dry-run")
        process = subprocess.Popen([sys.executable, "-m", "toyflow", *words], start_new_session=True)
        try:
            server.settimeout(60)
            server.accept()[0].close()  # toyflow's own look whether anything listens
            server.accept()  # Ray
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 128 + signal.SIGTERM
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
