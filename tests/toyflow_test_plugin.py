"""Another package's plug-ins, which the folder toyflow_test_plugin-1.0.dist-info declares as pip would have.

`TOYFLOW_TEST_FAULT` breaks one cell's training: FAULT@FILE has it unless FILE exists, and makes FILE first;
FAULT is raise, kill (as the system does where memory is short) or hoard (until there is none left). `slow`
takes time. Several are separated by semicolons.
"""

import os
import resource
import signal
import time
from dataclasses import dataclass

import torch

from toyflow import Batch, Schedule, Task, VectorModel


@dataclass(frozen=True)
class Power(Schedule):
    """t = u^p."""

    p: float
    key = "power"
    source = "the tests"

    def icdf(self, u):
        return u**self.p


class Points(Task):
    """Copy a point."""

    name = "points"
    metrics = ("close",)

    @property
    def target_shape(self):
        return (2,)  # without a batch, which is what goes wrong

    def train_batch(self, size, generator):
        for fault in os.environ.get("TOYFLOW_TEST_FAULT", "").split(";"):
            _go_wrong(*fault.split("@"))
        x = torch.randn(size, 2, generator=generator)
        return Batch(x, x)

    def test_set(self):
        x = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
        return Batch(x, x)

    def build_model(self, options):
        return VectorModel(observation=2, target=2, width=32, depth=1)

    def score(self, sample, test):
        return {"close": ((sample - test.target).norm(dim=1) < 0.5).float()}


def _go_wrong(fault, path=""):
    if fault == "slow":
        time.sleep(0.02)
    if not path:
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # the first to come is hit
    except FileExistsError:
        return
    if fault == "raise":
        raise RuntimeError("a fault was asked for")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hoard":
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        hoarded = []
        while True:
            hoarded.append(torch.empty(1 << 30, dtype=torch.uint8))
