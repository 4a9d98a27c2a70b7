"""A sample of LIBERO-Pro's and LIBERO-Plus's tasks loads, resets and steps; `benchmarks/every_task.py` tries
all of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments.libero import Libero

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "every_task.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "sample", "missing"), [("libero_pro", 8, "0"), ("libero_plus", 10, "3047")]
)
def test_a_sample_of_every_perturbation_runs(libero, suite, sample, missing):
    if suite not in libero.suites():
        pytest.skip(f"{suite} is not installed")
    command = [sys.executable, SCRIPT, suite, "--sample", str(sample), "--seed", "1", "--jobs", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    said = f"{sample} of {sample} tasks load, reset and step; {missing} are missing"
    assert re.search(said, result.stdout)


def test_what_does_not_exist_is_one_line():
    try:
        Libero.suites()
    except UsageError:
        pytest.skip("LIBERO is not installed")
    result = subprocess.run([sys.executable, SCRIPT, "libero_pros"], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.strip().startswith("unknown suite 'libero_pros'")
    assert len(result.stderr.strip().splitlines()) == 1
