"""Training and evaluating one policy, from Python."""

from dataclasses import fields, replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from toyflow.api import robot_training
from toyflow.api.command_options import ROBOT_TRAIN
from toyflow.api.plan_kind import PlanKind, replan_taken_over
from toyflow.api.robot_training import evaluation_cluster, train_policy
from toyflow.cli import app
from toyflow.cli.index import load
from toyflow.errors import UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining

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


def imported(tmp_path, kind: str, replan: int) -> StoredTraining:
    interface = Interface((), 4, 2, 0)
    of = {
        "type": kind,
        "interface": interface.as_dict(),
        "horizon": 50,
        "replan": replan,
        "takes_noise": True,
    }
    record = TrainingRecord("robot", {"policy": kind}, f"lerobot:{kind}", None, None, 0, {})
    return StoredTraining(tmp_path / "cells" / record.key, record, {}, {"imported": of})


def test_how_often_a_policy_of_lerobot_looks_is_said_before_its_episodes(tmp_path):
    often, seldom = (imported(tmp_path, "smolvla", replan) for replan in (10, 50))
    said = replan_taken_over(often, PlanKind.of(often))
    assert said == (
        "The policy looks anew after 10 of the 50 actions of a chunk, its own n_action_steps. "
        "--replan N changes that."
    )
    said = replan_taken_over(seldom, PlanKind.of(seldom))
    assert "after 50 of the 50 actions" in said and "published success rates look every 10 actions" in said
    ours = replace(seldom, details={"policy": {}, **seldom.details})
    assert replan_taken_over(ours, PlanKind.of(seldom)) == ""


def test_robot_train_and_robot_eval_choose_tasks_by_the_same_options(monkeypatch):
    """`robot-train` could not sample a benchmark's tasks."""
    train, evaluate = (
        {each.name: each for each in load(name).params} for name in ("robot-train", "robot-eval")
    )
    of_time = {"latency_steps", "handover"}
    shared = {each.name for each in fields(TrialOptions)} - of_time
    assert shared <= train.keys() and shared | of_time <= evaluate.keys()
    for name in shared:
        assert (train[name].opts, train[name].help) == (evaluate[name].opts, evaluate[name].help)  # pyright: ignore[reportAttributeAccessIssue]
    asked = []
    monkeypatch.setattr(robot_training, "train_policy", lambda *_, trials, **__: asked.append(trials))
    monkeypatch.setattr("toyflow.cli.training_commands.start_workers", lambda task: None)
    flags = "--perturb swap --levels 1-3 --sample 7 --sample-seed 2 --prompts official --suite any"
    CliRunner().invoke(app, ["robot-train", "--dataset", "x", *flags.split()], catch_exceptions=False)
    assert asked == [
        TrialOptions(suite="any", perturb="swap", levels="1-3", sample=7, sample_seed=2, prompts="official")
    ]


def test_several_policies_at_once_are_refused(small, tmp_path):
    options = ROBOT_TRAIN.updated({"learning_rate": "0.001,0.004", "out": str(tmp_path)}, "flags")
    with pytest.raises(UsageError, match="robot-train trains one policy, so each of its options takes one"):
        train_policy(
            options, Console(quiet=True), dataset=str(small[0]), policy=PolicyOptions(),
            trials=TrialOptions(suite="none"),
        )  # fmt: skip
    assert not any(tmp_path.iterdir())
