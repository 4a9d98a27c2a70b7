"""Shapes and types of every annotated function are checked while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("toyflow", "typechecker.checked")

import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

PLUGIN = '''
import math
from dataclasses import dataclass
import torch
from torch import nn
from toyflow import Batch, Model, Schedule, Task


@dataclass(frozen=True)
class Power(Schedule):
    """t = u^p."""
    p: float
    key = "power"
    source = "the tests"

    def icdf(self, u):
        return u ** self.p


class PointModel(Model):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 32), nn.SiLU(), nn.Linear(32, 2))

    def encode(self, observation):
        return observation

    def forward(self, x, t, condition):
        return self.net(torch.cat([x, t[:, None], condition], 1))


class Points(Task):
    """Copy a point. `TOYFLOW_TEST_FAULT` breaks one cell's training: raise, kill or wait."""
    name = "points"
    metrics = ("close",)

    def train_batch(self, size, generator):
        self.fault(generator)
        x = torch.randn(size, 2, generator=generator)
        return Batch(x, x)

    def test_set(self):
        x = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
        return Batch(x, x)

    def build_model(self, options):
        return PointModel()

    def score(self, sample, target):
        return {"close": ((sample - target).norm(dim=1) < 0.5).float()}

    def fault(self, generator):
        import os, signal, time
        fault, _, path = os.environ.get("TOYFLOW_TEST_FAULT", "").partition("@")
        if not fault:
            return
        if fault == "slow":
            time.sleep(0.02)
            return
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # the first to come is hit
        except FileExistsError:
            return
        if fault == "raise":
            raise RuntimeError("a fault was asked for")
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
'''
ENTRY_POINTS = """
[toyflow.schedules]
power = toyflow_test_plugin:Power
[toyflow.tasks]
points = toyflow_test_plugin:Points
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds another package's plug-ins, as pip would have installed them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toyflow_test_plugin.py").write_text(PLUGIN)
    info = folder / "toyflow_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyflow-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def toyflow(plugin_path: Path, tmp_path: Path):
    """Runs the command line in a process of its own, in an empty folder, with the test plug-ins."""

    def command(*words: str, fault: str = "", **environment: str) -> dict:
        env = {**os.environ, "PYTHONPATH": str(plugin_path), "TOYFLOW_TEST_FAULT": fault, **environment}
        return {
            "args": [sys.executable, "-m", "toyflow", *words],
            "env": {**env, "COLUMNS": "140"},
            "cwd": tmp_path,
            "text": True,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }

    def run(*words: str, fault: str = "", **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(**command(*words, fault=fault, **environment), timeout=120)

    run.start = lambda *words, fault="", **environment: subprocess.Popen(  # type: ignore[attr-defined]
        **command(*words, fault=fault, **environment)
    )
    return run
