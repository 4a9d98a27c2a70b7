"""Twenty seconds of `benchmarks/control_loop.py`; `make soak` runs ten, and holds it to its jitter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
def test_every_action_is_checked_and_nothing_grows():
    done = subprocess.run(
        [sys.executable, "benchmarks/control_loop.py", "--seconds", "20", "--jitter-ms", "1000"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "held: " in done.stdout and " 0 actions unchecked" in done.stdout
