"""`toyflow robot-serve`."""

import asyncio
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from robot.runtime.serving.conftest import ask, bytes_of
from websockets.sync.client import connect

from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.policy_opening import warnings_about
from toyflow.robot.runtime.serving.event_loop import run, until_signal
from toyflow.robot.runtime.serving.protocol import unpack
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

TRIALS = "environment=libero suite=libero_object tasks=0 states=0-9 replan=10 rendering=fast assets="


def made_policy(out: Path, objective: str = "flow", assets: str = "whole") -> Path:
    """An untrained policy's folder, as if evaluated with K = 1."""
    spec = PolicySpec("nano", Interface(("image", "image2"), 8, 7, 20), image_size=32)
    unit = {"mean": [0.0] * 8, "std": [1.0] * 8}
    normalisation = Normalisation.from_statistics(unit, {name: values[:7] for name, values in unit.items()})
    torch.manual_seed(0)
    schedule = "shift:4" if objective == "flow" else None
    record = TrainingRecord("robot", {"size": "nano"}, objective, schedule, None, seed=0, recipe={})
    details = {"policy": spec.as_dict(), "normalisation": normalisation.as_dict(), "made_of": {}}
    weights = {name: x.contiguous() for name, x in Policy(spec, normalisation).state_dict().items()}
    store = Store(out)
    store.prepare()
    store.write_training(record, Trained(weights, pd.DataFrame(), details), {})
    evaluated = Evaluated(pd.DataFrame({"success": [1.0]}), {"metrics": {"success": 1.0}})
    evaluation = EvaluationRecord("euler" if objective == "flow" else None, 1, 0, TRIALS + assets)
    store.write_evaluation(record, evaluation, evaluated, {})
    return store.training_folder(record)


@pytest.mark.slow
def test_it_serves_until_it_is_told_to_stop(toyflow, tmp_path):
    folder = made_policy(tmp_path / "out")
    process = toyflow.start("robot-serve", str(folder), "--steps", "3", "--port", "0", "--threads", "1")
    lines = [process.stdout.readline()]
    while "/metrics" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    said = "".join(lines)
    assert "was never evaluated with K=3, only with K=1" in said
    assert "shift:4, K=3, is served at ws://127.0.0.1:" in said and "a plan takes" in said
    assert "observation/image (camera image)" in said and "10 actions of 7" in " ".join(said.split())
    [port] = re.findall(r"ws://127\.0\.0\.1:(\d+)", said)
    image = np.zeros((48, 64, 3), np.uint8)
    message = {
        "observation/image": image, "observation/wrist_image": image, "observation/state": np.zeros(8),
        "prompt": "go", "seed": 3,
    }  # fmt: skip
    with connect(f"ws://127.0.0.1:{port}", compression=None) as client:
        about = unpack(bytes_of(client.recv(5)))
        assert about["steps"] == 3 and about["action_horizon"] == 10 and about["action_dim"] == 7
        assert about["keys"]["cameras"] == {"image": "observation/image", "image2": "observation/image2"}
        client.send(b"?")
        assert "not a map of entries" in str(client.recv(5))
        first, again, other = (ask(client, {**message, "seed": seed})["actions"] for seed in (3, 3, 4))
    assert first.shape == (10, 7) and (first == again).all() and (first != other).any()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (
        process.returncode == 0
        and re.search(r"3 requests were answered in p50 \S+, p95 \S+, p99 \S+ ms; refused: 1 x frame\.", out)
        and not err
    )


def test_signals_are_given_back_when_the_server_has_ended():
    async def serve(stop):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 5)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    run(until_signal(serve))
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == [signal.default_int_handler, signal.SIG_DFL]


def test_assets_that_are_not_the_suites_own_are_told(tmp_path):
    from toyflow.robot.policy.checkpoint import find_checkpoint
    from toyflow.robot.policy_opening import open_planner

    for assets, said in (
        ("whole", []),
        ("29-of-371-replaced", ["evaluated only with 29 of LIBERO's 371 asset files replaced."]),
        ("stand-in", ["evaluated only on generated stand-in assets"]),
    ):
        training = find_checkpoint(made_policy(tmp_path / assets, assets=assets))
        planner = open_planner(training, torch.device("cpu"))
        warnings = warnings_about(training, planner)
        assert len(warnings) == len(said) and all(a in b for a, b in zip(said, warnings, strict=True))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "an API key is required"),
        (("--api-key-file", "none"), "cannot be read: No such file"),
        (("--keys", "wrist=a"), "unknown input of the policy 'wrist'"),
        (("--keys", "wrist"), "--keys takes pairs"),
        (("--steps", "10"), "cannot decode in 10 steps"),
        (("--steps", "0"), "--steps"),
        (("--rename", "a=b"), "--rename is for LeRobot policies"),
        (("--device", "tpu"), "unknown device 'tpu'"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_starts(toyflow, tmp_path, monkeypatch, words, said):
    monkeypatch.delenv("TOYFLOW_API_KEY", raising=False)
    done = toyflow("robot-serve", str(made_policy(tmp_path / "out", objective="regression")), *words)
    assert done.returncode == 2 and said in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_checkpoint_is_a_usage_error(toyflow, tmp_path):
    done = toyflow("robot-serve", str(tmp_path))
    assert done.returncode == 2 and "is no checkpoint" in done.stderr
