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

from toyflow.cluster import scratch_folder
from toyflow.errors import ToyflowError


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_goes_and_so_does_that_of_a_killed_worker_but_nothing_else(temporary):
    code = "from toyflow import cluster\nwith cluster.scratch_folder() as f: print(f, flush=True); input()"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=-1, stdout=-1, text=True, env=environment) as worker:
        assert worker.stdout is not None
        theirs = Path(worker.stdout.readline().strip())
        (theirs / "half").write_text("")
        others = theirs.with_name("uv")
        others.mkdir()
        others.with_name("uv.lock").touch()
        with scratch_folder() as ours:
            assert Path(ours).is_dir() and theirs.is_dir()
        worker.kill()
        worker.wait()
        with scratch_folder():
            assert not theirs.exists() and not Path(ours).exists()
    assert {path.name for path in theirs.parent.iterdir()} == {"uv", "uv.lock"}


def test_a_scratch_folder_is_not_made_in_somebody_elses(temporary):
    (temporary / "elsewhere").mkdir()
    (temporary / f"toyflow-workers-{os.getuid()}").symlink_to(temporary / "elsewhere")
    with pytest.raises(ToyflowError, match="is not this user's own folder"), scratch_folder():
        pass


@pytest.mark.slow
def test_a_driver_that_connects_in_vain_can_be_ended(tmp_path):
    """Of a port that listens and never answers; Ray would try for minutes, at this machine's own address."""
    with socket.create_server(("", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        words = ("sweep", "--executor", "ray", "--address", address, "--schedules", "beta", "--dry-run")
        # The folder holds no results of the same cells, which would leave nothing to run.
        process = subprocess.Popen(
            [sys.executable, "-m", "toyflow", *words], start_new_session=True, cwd=tmp_path
        )
        try:
            server.settimeout(60)
            server.accept()[0].close()  # toyflow's own look whether anything listens
            server.accept()  # Ray
            # A SIGTERM at this very moment is sometimes not noticed for a minute: a fault that is not mended.
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
