import pytest
from rich.console import Console

from toyflow.api import robot_training
from toyflow.robot.robot_runner import RobotRunner
from toyflow.sweep.options import SweepOptions

pytest.importorskip("lerobot")


@pytest.mark.parametrize(("asked", "used"), [(None, 7), (2, 2)])
def test_a_policy_is_trained_by_all_processors_unless_told(small, tmp_path, monkeypatch, asked, used):
    ran: list[RobotRunner] = []
    monkeypatch.setattr(robot_training, "cores", lambda: 7)
    monkeypatch.setattr(robot_training, "_run", lambda cell, study, out, console: ran.append(study))
    chosen = {"dataset": (str(small[0]),), "suite": ("none",)}
    options = SweepOptions(
        task="robot", schedules=("shift:4",), seeds=(0,), set=chosen, out=str(tmp_path / "out")
    )
    robot_training.train_one(
        options, Console(quiet=True), threads=asked, accumulate=1, simulators=None, videos=0, wandb=None
    )
    assert [study.threads for study in ran] == [used]
