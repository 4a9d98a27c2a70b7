import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from robot.corrections import rotate

from toyflow.cluster import Cluster
from toyflow.errors import UsageError
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.robot_task import RobotTask
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained
from toyflow.sweep.sweep_options import SweepOptions


def test_a_device_that_only_a_clusters_nodes_have_is_no_hindrance_at_the_driver(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    here = RobotRunner("cuda", 1, str(tmp_path), {}, 1)
    with pytest.raises(UsageError, match="--device cuda: this machine has none"):
        here.environment()
    assert replace(here, cluster=Cluster("auto", 1, 1)).environment()["device"] == "cpu"


def test_a_policy_with_the_earlier_kind_of_fingerprint_is_not_taken_for_one_of_now(small, tmp_path, caplog):
    where = str(small[0])
    options = SweepOptions(
        task="robot", schedules=("beta",), seeds=(0,), out=str(tmp_path),
        set={"dataset": (where,), "suite": ("none",)},
    )  # fmt: skip
    [cell] = plan_sweep(options, RobotTask)
    assert "dataset" not in cell.training.data, "a data set may be renamed"
    runner = RobotRunner.from_options(RobotTask, options)
    runner.prepare([cell.training])
    assert not caplog.messages
    known = {"dataset": "data", "fingerprint": open_data_set(where).earlier_fingerprint}
    store = Store(tmp_path)
    store.prepare()
    store.write_training(replace(cell.training, data=known), Trained({}, pd.DataFrame(), {}), {})
    runner.prepare([cell.training])
    [line] = caplog.messages
    assert line.startswith("1 of the policies to train are in") and "trained anew" in line


def test_parts_may_have_data_sets_of_their_own(small, tmp_path):
    first, second = small[0], tmp_path / "second"
    shutil.copytree(first, second)
    rotate(second)
    parts = [{"seeds": [0]}, {"seeds": [1], "set": {"dataset": str(second)}}]
    values = {
        "task": "robot",
        "set": {"dataset": str(first), "suite": "none"},
        "iterations": 1,
        "parts": parts,
    }
    options = SweepOptions().updated(values, "preset x")
    runner = RobotRunner.from_options(RobotTask, options)
    cells = plan_sweep(options, RobotTask)
    assert len({cell.training.data["fingerprint"] for cell in cells}) == 2
    runner.prepare([cell.training for cell in cells])
    assert {Path(place) for place, _ in runner.data_sets.values()} == {first.resolve(), second.resolve()}


def test_an_estimate_times_iterations_without_reading_images(small, tmp_path):
    folder, _ = small
    options = SweepOptions().updated(
        {"task": "robot", "set": [f"dataset={folder}", "suite=none"], "iterations": 50, "out": str(tmp_path)},
        "flags",
    )
    cell = plan_sweep(options)[0]
    runner = RobotRunner.from_options(RobotTask, options)
    first = next(iter(runner.estimate(cell.training, cell.evaluations)))
    assert 0 < first.training.low <= first.training.high and first.decoding == (0, 0)
    assert not list(tmp_path.iterdir())
