"""A runner for tests of what surrounds runners: every method that a test does not give fails."""

import os
import signal
import threading
from multiprocessing import parent_process
from typing import Any

from toyflow.errors import UsageError
from toyflow.sweep.runner import Runner


class StubRunner(Runner):
    """Override what is to be called."""

    @classmethod
    def from_options(cls, subject, options) -> Any:
        raise AssertionError

    @classmethod
    def bench(cls, training, examples, device, data_dir=None) -> Any:
        raise AssertionError

    def train(self, record, on_progress) -> Any:
        raise AssertionError

    def evaluate(self, training, evaluations, on_progress) -> Any:
        raise AssertionError

    def estimate(self, record, evaluations) -> Any:
        raise AssertionError

    def prepare(self, records):
        pass

    def environment(self):
        return {}


class TrialRunner(StubRunner):
    """Yields these estimates; then ends, waits for ever and hears no signal, after it sent its parent one or
    not, or raises."""

    def __init__(self, *estimates, then="end") -> None:
        self.estimates, self.then = estimates, then

    def estimate(self, record, evaluations) -> Any:
        yield from self.estimates
        if self.then == "interrupt":
            parent = parent_process()
            assert parent is not None and parent.pid is not None
            os.kill(parent.pid, signal.SIGUSR1)
        if self.then in ("hang", "interrupt"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            threading.Event().wait()
        if self.then == "refuse":
            raise UsageError("name the demonstrations")
        if self.then == "raise":
            raise ValueError("of another shape")
