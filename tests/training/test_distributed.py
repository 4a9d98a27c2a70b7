"""How one of several processes fails; tests/robot/test_train_distributed.py has what they compute."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

from toyflow.errors import UsageError
from toyflow.launch import Launch
from toyflow.training.distributed import joined as join

CODE = """
from pathlib import Path
from toyflow.errors import ToyflowError
from toyflow.launch import launch
from toyflow.training.distributed import joined
try:
    with joined(launch(), "cpu", Path("logs/traceback.txt")) as group:
        assert group.any(True)
        {inside}
except (ToyflowError, OSError) as error:
    print(type(error).__name__, error)
"""


def joined(folder: Path, inside: str) -> str:
    """What a process, the only one of its launch, prints that does `inside`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    launched = {
        "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    words = [sys.executable, "-c", CODE.format(inside=inside)]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **launched}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_failure_is_one_line_and_its_traceback_is_kept_until_a_try_succeeds(tmp_path):
    log = tmp_path / "logs" / "traceback.txt"
    said = joined(tmp_path, "1 / 0")
    assert said == "ToyflowError ZeroDivisionError: division by zero (traceback: logs/traceback.txt)"
    assert "ZeroDivisionError" in log.read_text()
    assert joined(tmp_path, "raise RuntimeError('[/src/gloo/pair.cc:1] reset')").startswith(
        "ToyflowError another process of this training has ended"
    )
    assert joined(tmp_path, "open('nowhere/file')").startswith("FileNotFoundError") and log.exists()
    assert joined(tmp_path, "pass") == "" and not log.exists()


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("mps", 0, "on cpu or cuda, not on mps: --device cpu"),
        ("cuda", 1, "2 processes were started here for 1 GPUs: start one for each"),
    ],
)
def test_a_device_that_processes_cannot_share_is_refused(tmp_path, monkeypatch, device, gpus, said):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    second = Launch(rank=1, world_size=2, local_rank=1, local_world_size=2)
    with pytest.raises(UsageError, match=said), join(second, device, tmp_path / "log"):
        pytest.fail("it joined")
