"""Training and evaluating one policy, from Python."""

import pytest
from rich.console import Console

from toyflow.api import robot_training
from toyflow.api.command_options import ROBOT_TRAIN
from toyflow.api.robot_training import evaluation_cluster, train_policy
from toyflow.errors import UsageError
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.sweep.store import Store

pytest.importorskip("lerobot")


@pytest.mark.parametrize(("asked", "used"), [(None, 2), (1, 1)])
def test_a_policy_is_trained_by_all_processors_unless_told(small, tmp_path, monkeypatch, asked, used):
    monkeypatch.setattr(robot_training, "cores", lambda: 2)
    options = ROBOT_TRAIN.updated({"iterations": 1, "batch_size": 2, "out": str(tmp_path)}, "flags")
    policy, trials = PolicyOptions(horizon=4, attention="cross"), TrialOptions(suite="none")
    train_policy(
        options, Console(quiet=True), dataset=str(small[0]), policy=policy, trials=trials, threads=asked
    )
    [training] = Store(tmp_path).trainings()
    assert training.environment["threads"] == used
    assert (training.record.model["horizon"], training.record.model["attention"]) == ("4", "cross")


def test_an_evaluation_runs_here_or_on_ray():
    assert evaluation_cluster("local", None, 1, 0) is None
    cluster = evaluation_cluster("ray", "auto", 2, 0.5)
    assert cluster is not None and cluster.address == "auto"
    with pytest.raises(UsageError, match=r"unknown executor 'debug'.*Available: local, ray"):
        evaluation_cluster("debug", None, 1, 0)


def test_several_policies_at_once_are_refused(small, tmp_path):
    options = ROBOT_TRAIN.updated({"learning_rate": "0.001,0.004", "out": str(tmp_path)}, "flags")
    with pytest.raises(UsageError, match="robot-train trains one policy, so each of its options takes one"):
        train_policy(
            options, Console(quiet=True), dataset=str(small[0]), policy=PolicyOptions(),
            trials=TrialOptions(suite="none"),
        )  # fmt: skip
    assert not any(tmp_path.iterdir())
