import resource
import subprocess
import sys

import pytest

from toyflow.errors import UsageError
from toyflow.machine import choose_device


def test_devices(monkeypatch):
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        choose_device("gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda: this machine has none"):
        choose_device("cuda")


def test_as_many_files_may_be_opened_as_the_system_allows():
    """In a process of its own, which first allows itself fewer."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = f"""
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from toyflow.machine import allow_open_files
setrlimit(RLIMIT_NOFILE, (64, {most}))
allow_open_files()
print(getrlimit(RLIMIT_NOFILE))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str((most, most))
