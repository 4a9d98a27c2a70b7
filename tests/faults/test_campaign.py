"""Two trials of each family of the fault campaign's short form; `python tests/faults` is the whole."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lerobot")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_damaged_is_accepted():
    campaign = [sys.executable, str(Path(__file__).parent), "--short", "--rounds", "2"]
    done = subprocess.run(campaign, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "damage: every file is of a known kind" in done.stdout
