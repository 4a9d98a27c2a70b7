"""Ten thousand requests among clients that misbehave."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from robot.points import StraightPlanner
from robot.runtime.serving.conftest import Faulty, ask, observation, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from toyflow.robot.runtime.serving.protocol import pack

REQUESTS, MESSAGE_BYTES, CONNECTIONS = 10_000, 1 << 20, 24
TESTS = Path(__file__).parents[3]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
def test_nobody_gets_anothers_answer_and_nothing_grows(serving):
    class Stuck(Faulty):
        def plan(self, observations, seeds):
            if any(observation.prompt == "hang" for observation in observations):
                wait_until(lambda: served.server.metrics.refusals.get("late"))  # its client was told
                self.go_on.set()
            return super().plan(observations, seeds)

    served = serving(Stuck(), timeout=0.7, message_bytes=MESSAGE_BYTES, connections=CONNECTIONS)
    with served.client() as client:
        ask(client, observation())
    threads, peak = threading.active_count(), peak_bytes()
    numbers = map(str, (served.port, REQUESTS, MESSAGE_BYTES))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("crowd.py")), *numbers],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["right"] >= REQUESTS and "wrong" not in seen, seen
    for name in ("break_off", "send_garbage", "send_too_much", "read_nothing", "make_it_raise"):
        assert seen[name] > 10, seen
    assert seen["make_it_hang"] == 1
    refusals = served.server.metrics.refusals
    assert "internal" not in refusals, refusals
    assert refusals.keys() >= {"frame", "policy", "late", "too large"}, refusals
    wait_until(lambda: not served.server.clients)
    assert threading.active_count() <= threads
    assert peak_bytes() - peak < 3 * CONNECTIONS * MESSAGE_BYTES
    assert served.get("/healthz") == (200, "OK\n")


def test_who_does_not_read_is_dropped_and_keeps_nobody_waiting(serving):
    class Wordy(StraightPlanner):
        horizon = 50_000

        def plan(self, observations, seeds):
            return np.zeros((len(seeds), self.horizon, 2), np.float32)

    served = serving(Wordy(), timeout=0.5)
    slow = connect(f"ws://127.0.0.1:{served.port}", compression=None, max_size=None, max_queue=1)
    with slow, served.client(max_size=None) as other:
        for _ in range(200):
            slow.send(pack(observation()))
        end = time.monotonic() + 10
        while not served.server.metrics.refusals.get("slow reader"):
            assert time.monotonic() < end
            assert ask(other, observation())["actions"].shape == (50_000, 2)
        with pytest.raises(ConnectionClosed):
            for _ in range(200):
                slow.recv(5)
        assert ask(other, observation())["actions"].shape == (50_000, 2)
