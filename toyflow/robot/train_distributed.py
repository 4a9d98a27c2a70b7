"""Training one policy by all processes of a launch."""

from __future__ import annotations

from collections.abc import Callable

from toyflow.errors import UsageError
from toyflow.machine import describe_environment
from toyflow.robot.robot_runner import RobotRunner
from toyflow.sweep.events import Event, Progress, Started
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store


def train_distributed(record: TrainingRecord, runner: RobotRunner, show: Callable[[Event], None]) -> None:
    """Train the policy of `record`, unless it is trained already. Only the main process of `runner.group`
    reads and writes the results folder; the others need none.

    Args:
        show: called with events of the main process.

    Raises:
        UsageError: another run is training the policy, or the processes were given different options.
        ToyflowError: training failed.
    """
    group = runner.group
    if group.any(group.broadcast(record.key) != record.key):
        raise UsageError(
            "the processes were not given the same data and options; see that all machines agree."
        )

    def on_progress(stage: str, done: int, total: int, note: str | None = None) -> None:
        show(Progress(record.key, stage, done, total, note))

    if not group.is_main:
        if group.broadcast(False):
            runner.train(record, lambda *progress: None)
        return
    store = Store(runner.out)
    store.check_task(record.task)
    store.prepare()
    with store.try_claim(record) as claimed:
        if not claimed:
            raise UsageError("another run is training this policy; wait for it, or choose another --out.")
        if group.broadcast(not store.has_training(record)):
            show(Started(record.key))
            trained = runner.train(record, on_progress)
            store.write_training(
                record, trained, {**describe_environment(), **runner.environment(), "jobs": 1}
            )
            runner.finish(store, record.key)
