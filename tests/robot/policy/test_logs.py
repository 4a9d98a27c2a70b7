"""A training's logs."""

from __future__ import annotations

import threading

import pytest
from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.summary.writer import record_writer

from toyflow.robot.policy.logs import Logs
from toyflow.sweep.records import TrainingRecord
from toyflow.training import CurvePoint

RECORD = TrainingRecord("robot", {}, "flow", "beta", "stratified", 0, {})
POINT = CurvePoint(7, 0.5, [0.25] * 10, 1e-3, 2.0)


def test_a_point_is_there_for_tensorboard(tmp_path):
    with Logs(tmp_path / "logs", RECORD) as logs:
        logs.write(POINT, 100.0)
    [path] = (tmp_path / "logs").iterdir()
    written = {}
    with gfile.GFile(str(path), "rb") as file:
        content = file.read()
    while content:
        size = int.from_bytes(content[:8], "little")
        for value in Event.FromString(content[12 : 12 + size]).summary.value:
            written[value.tag] = value.simple_value
        content = content[12 + size + 4 :]
    assert written["loss"] == 0.5 and written["samples_per_second"] == 100.0
    assert written["loss_by_noise/s0.0"] == 0.25


def test_a_full_disk_is_an_error_and_no_traceback_of_a_thread(tmp_path, monkeypatch):
    def full(writer, data):
        raise OSError(28, "No space left on device")

    said: list[object] = []
    monkeypatch.setattr(record_writer.RecordWriter, "write", full)
    monkeypatch.setattr(threading, "excepthook", said.append)
    before = threading.excepthook
    with pytest.raises(OSError, match="No space left"), Logs(tmp_path / "logs", RECORD) as logs:
        for _ in range(100):
            logs.write(POINT, 100.0)
    assert not said and threading.excepthook is before
