"""A runner for tests of what surrounds runners: every method that a test does not give fails."""

from typing import Any

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
