"""SmolVLA, pi0 and pi05, small and with random weights, from their files to plans, trials and a server."""

import contextlib
import os
import signal
import socket
import threading
from collections import Counter

import numpy as np
import pytest
import torch

pytest.importorskip("lerobot")
pytest.importorskip("num2words", reason="SmolVLA's processor needs num2words")
pytest.importorskip("websockets", reason="robot-serve needs websockets and msgpack")
pytest.importorskip("msgpack")

from robot.lerobot.small_pi import FLOW_KINDS, install, save_pi
from robot.lerobot.small_smolvla import options, save_vlm
from robot.lerobot_policies import save
from robot.runtime.serving.conftest import ask, bytes_of
from robot.runtime.serving.conftest import observation as message
from websockets.sync.client import connect

from toyflow import load_results
from toyflow.flow import Decoding
from toyflow.robot.interface import Observation
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.runtime.serving.protocol import unpack


@pytest.fixture(params=FLOW_KINDS)
def folder(request, monkeypatch, tmp_path):
    """A policy of this kind for `points`, in LeRobot's files; those of pi0 and pi05 can be loaded in this
    process, and in those that have `small_pi.install`."""
    if request.param == "smolvla":
        return save(tmp_path / "policy", "smolvla", **options(save_vlm(tmp_path / "vlm")))
    return save_pi(tmp_path / "policy", request.param, monkeypatch)


def planner(folder, steps=1, draws=1):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    made = LeRobotPlanner(checkpoint, torch.device("cpu"))
    made.set_decoding(Decoding(steps, draws=draws))
    return made


def observation(fill):
    image = np.full((32, 32, 3), fill, np.uint8)
    return Observation({"front": image}, np.full(4, fill / 255, np.float32), "go to goal 1")


@pytest.mark.parametrize("steps", [1, 3])
def test_a_plan_of_several_draws_is_the_mean_of_their_answers(folder, steps):
    seen = [observation(20), observation(200)]
    plans = planner(folder, steps)
    single, answers = plans.plan(seen, [3, 4]), plans.answers(seen, [3, 4], 8)
    assert answers.shape == (8, 2, 6, 2) and answers.std(0).min() > 0.01
    np.testing.assert_allclose(answers[0], single, atol=2e-3)  # SmolVLA attends in bfloat16
    np.testing.assert_allclose(answers[:2, 1:], plans.answers(seen[1:], [4], 2), atol=2e-3)
    plans.set_decoding(Decoding(steps, draws=8))
    np.testing.assert_allclose(plans.plan(seen, [3, 4]), answers.mean(0), atol=2e-3)


def test_answers_are_lerobots_own_from_each_noise(folder):
    """LeRobot is given each observation once for each of its noises, and has none of our changes."""
    seen = [observation(20), observation(200)]
    plans, theirs = planner(folder, 3), planner(folder, 3)
    answers = plans.answers(seen, [3, 4], 4)
    policy, before, after = theirs.checkpoint.load(theirs.device)
    for name in ("num_steps", "num_inference_steps"):
        if hasattr(policy.config, name):
            setattr(policy.config, name, 3)
    noise = torch.randn(6, 32, generator=torch.Generator().manual_seed(4))
    batch = before(theirs._batch([seen[1]] * 2))
    policy.reset()
    expected = after(policy.predict_action_chunk(batch, noise=torch.stack([noise, -noise])))
    np.testing.assert_allclose(answers[:2, 1], expected, atol=2e-3)


def test_the_condition_is_encoded_once(folder, monkeypatch):
    plans, rows = planner(folder, 3, draws=8), Counter()
    model = plans.policy.model
    embed_prefix, embed_suffix = model.embed_prefix, model.embed_suffix

    def prefix(images, *others, **named):
        rows[f"condition of {len(images[0])}"] += 1
        return embed_prefix(images, *others, **named)

    def suffix(*given):
        rows[f"step of {len(given[-1])}"] += 1
        return embed_suffix(*given)

    monkeypatch.setattr(model, "embed_prefix", prefix)
    monkeypatch.setattr(model, "embed_suffix", suffix)
    plans.plan([observation(20), observation(200)], [3, 4])
    assert rows == {"condition of 2": 1, "step of 16": 3} and plans.model_calls == 3


@pytest.mark.slow
def test_it_is_tried_with_draws(folder, toyflow, tmp_path, monkeypatch):
    """`robot-eval`, whose policy is in a process of its own."""
    if "pi" in LeRobotCheckpoint("", folder).kind:
        monkeypatch.setenv("PYTHONPATH", str(install(tmp_path / "plug-in")))
    done = toyflow.apart(
        "robot-eval", str(folder), "--environment", "points", "--suite", "points", "--tasks", "0", "--states",
        "1", "--steps", "1", "--draws", "1,8", "--threads", "1", "--simulators", "1", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = load_results(toyflow.folder / "out").frame
    assert sorted(zip(results["steps"], results["draws"], strict=True)) == [(1, 1), (1, 8)]
    assert set(results["model_calls"]) == {1} and results["prediction"].isna().all()


@pytest.mark.slow
def test_it_is_served_with_draws(folder, toyflow):
    """`robot-serve` in this process, which a client in a thread ends."""
    port, replies, over = free_port(), [], threading.Event()

    def client():
        while not over.wait(0.2):
            with contextlib.suppress(OSError), connect(f"ws://127.0.0.1:{port}", compression=None) as server:
                replies.append(unpack(bytes_of(server.recv(5))))
                replies.extend(ask(server, message(prompt="go to goal 1", seed=seed)) for seed in (3, 3, 4))
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=client)
    thread.start()
    done = toyflow("robot-serve", str(folder), "--draws", "8", "--port", str(port), "--threads", "1")
    over.set()
    thread.join()
    assert done.returncode == 0, done.stderr
    assert "M=8" in done.stdout
    about, first, again, other = replies
    assert about["draws"] == 8 and about["action_horizon"] == 6
    assert first["actions"].shape == (6, 2)
    np.testing.assert_array_equal(first["actions"], again["actions"])
    assert not np.array_equal(first["actions"], other["actions"])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
