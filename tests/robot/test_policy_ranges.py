"""What a cell tells of the states and actions that its policy was trained on."""

from dataclasses import replace

import pytest

pytest.importorskip("lerobot")

from robot.lerobot_policies import save_act

from toyflow.robot.lerobot.imported import import_checkpoint
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint, statistics_of
from toyflow.robot.policy_ranges import trained_ranges
from toyflow.robot.simulation.conventions import Ranges
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining

RECORD = TrainingRecord("robot", {}, "flow", "beta", None, 0, {})


def test_a_policy_of_toyflow_has_them_in_its_details(tmp_path):
    details = {
        "normalisation": {"state": {"centre": [0.5, 3.0], "scale": [0.1, 0.0]}},
        "state": {"names": ["x", "roll"], "lower": [0.0, 3.0], "upper": [1.0, 3.0]},
        "motion": {"lower": [-1.0], "upper": [1.0], "step": [0.1]},
    }
    cell = StoredTraining(tmp_path, RECORD, {}, details)
    state = Ranges(("x", "roll"), (0.5, 3.0), (0.1, 0.0), (0.0, 3.0), (1.0, 3.0))
    assert trained_ranges(cell) == (state, Ranges(low=(-1.0,), high=(1.0,)))
    older = replace(cell, details={"normalisation": details["normalisation"]})
    assert trained_ranges(older) == (replace(state, names=(), low=(), high=()), Ranges())


def test_a_policy_of_lerobot_has_them_in_its_processors(tmp_path):
    folder = save_act(tmp_path / "act")
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    cell = import_checkpoint(checkpoint, {}, Store(tmp_path / "out"))
    state, action = trained_ranges(cell)
    assert state == Ranges((), (0.0,) * 4, (1.0,) * 4, (-1.0,) * 4, (1.0,) * 4)
    assert (action.low, action.high) == ((-1.0,) * 2, (1.0,) * 2)
    for file in folder.glob("*normalizer*"):
        file.write_bytes(b"?")
    assert statistics_of(folder) == {}
    folder.rename(tmp_path / "moved")
    assert trained_ranges(cell) == (Ranges(), Ranges())
