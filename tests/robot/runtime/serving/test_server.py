"""The server as clients see it. One file, as every test asks a running server."""

import asyncio
import gc
import socket
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robot.points import StraightPlanner, straight
from robot.runtime.serving.conftest import METADATA, Faulty, ask, bytes_of, http_get, observation, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.planner import Planner
from toyflow.robot.runtime import serving as serving_package
from toyflow.robot.runtime.serving import check_packages
from toyflow.robot.runtime.serving.batching import Batcher
from toyflow.robot.runtime.serving.description import serving_warnings
from toyflow.robot.runtime.serving.event_loop import run
from toyflow.robot.runtime.serving.faults import Fault, LateFault
from toyflow.robot.runtime.serving.observations import Keys, ObservationReader
from toyflow.robot.runtime.serving.protocol import pack, unpack
from toyflow.robot.runtime.serving.server import PolicyServer, ServerOptions


def test_a_request_gets_its_chunk(serving):
    with serving().client() as client:
        reply = ask(client, observation())
        again = ask(client, observation())
    assert reply["actions"].shape == (5, 2) and reply["actions"].dtype == np.float32
    assert (reply["actions"][0] == straight(np.array([0.1, 0.2, -0.3, 0.4], np.float32))).all()
    assert reply["server_timing"].keys() == {"infer_ms", "queue_ms"}
    assert again["server_timing"]["prev_total_ms"] > 0


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("text", "not as text"),
        (b"garbage", "no msgpack"),
        (
            b"\x80",
            "observation/front (or observation.images.front, images/front, observation.front) is missing",
        ),
    ],
)
def test_a_bad_request_gets_a_text_and_the_connection_lives(serving, frame, said):
    served = serving()
    with served.client() as client:
        client.send(frame)
        reply = client.recv(5)
        assert isinstance(reply, str) and said in reply
        assert ask(client, observation())["actions"].shape == (5, 2)
    assert sum(served.server.metrics.refusals.values()) == 1


def test_too_large_a_message_closes_its_connection_only(serving):
    served = serving(message_bytes=10_000)
    with served.client() as other:
        with served.client() as client, pytest.raises(ConnectionClosed) as closed:
            ask(client, {**observation(), "observation/front": np.zeros((100, 100, 3), np.uint8)})
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        assert ask(other, observation())["actions"].shape == (5, 2)
    assert served.server.metrics.refusals == {"too large": 1}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("raise", "the policy failed: ValueError: a fault was asked for"),
        ("nan", "the policy answered with actions that are not finite."),
    ],
)
def test_a_policy_that_fails_is_the_servers_fault(serving, prompt, said):
    served = serving(Faulty())
    with served.client() as other:
        with served.client() as client:
            assert ask(client, observation(prompt=prompt)) == said
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(5)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
        assert ask(other, observation())["actions"].shape == (5, 2)
    assert served.get("/healthz") == (200, "OK\n")
    assert served.get("/nope") == (404, "This is a policy server: a websocket, /healthz and /metrics.\n")


def test_one_clients_fault_spoils_no_others_plan(serving):
    planner = Faulty()
    served = serving(planner, timeout=30.0)
    replies = together(served, planner, ["go", "raise", "nan", "go"])
    texts = [reply for reply in replies if isinstance(reply, str)]
    assert sorted(text.split(":")[0] for text in texts) == [
        "the policy answered with actions that are not finite.", "the policy failed",
    ]  # fmt: skip
    assert [isinstance(reply, dict) for reply in replies] == [True, False, False, True]


def test_requests_that_coincide_are_one_batch(serving):
    planner = Faulty()
    served = serving(planner, batch=3, timeout=30.0)
    replies = together(served, planner, ["go"] * 4)
    assert all(isinstance(reply, dict) for reply in replies)
    assert planner.batches[-3:] == [1, 3, 1]
    lines = served.get("/metrics")[1].splitlines()
    for size, count in (("1.0", 2), ("2.0", 2), ("3.0", 3), ("+Inf", 3)):
        assert f'toyflow_batch_size_bucket{{le="{size}"}} {count:.1f}' in lines
    assert "toyflow_plan_seconds_count 3.0" in lines


def together(served, planner, prompts):
    """Replies to requests that all wait when a plan before them ends."""
    with ThreadPoolExecutor(len(prompts) + 1) as pool:

        def asked(prompt):
            with served.client() as client:
                return ask(client, observation(prompt=prompt), 30)

        first = pool.submit(asked, "hang")
        assert planner.is_hanging.wait(20)
        replies = pool.map(asked, prompts)
        wait_until(lambda: served.server.waiting == len(prompts))
        planner.go_on.set()
        assert isinstance(first.result(), dict)
        return list(replies)


def test_a_policy_that_hangs_is_given_up_until_it_returns(serving):
    planner = Faulty()
    served = serving(planner, timeout=0.3)
    with served.client() as client, served.client() as other, served.client() as third:
        assert "no plan after 0.3 s: the policy hangs" in ask(client, observation(prompt="hang"))
        assert planner.is_hanging.is_set()
        status, text = served.get("/healthz")
        assert (status, text) == (503, "the policy hangs\n")
        assert "toyflow_ready 0" in served.get("/metrics")[1]
        assert "the policy hangs" in ask(other, observation())
        planner.go_on.set()
        wait_until(lambda: served.get("/healthz")[0] == 200)
        assert ask(third, observation())["actions"].shape == (5, 2)
    assert served.server.metrics.refusals == {"late": 2}


def test_health_and_metrics(serving):
    served = serving()
    assert served.get("/healthz") == (200, "OK\n")
    with served.client() as client:
        for _ in range(3):
            ask(client, observation())
        client.send(b"?")
        client.recv(5)
        status, text = served.get("/metrics")
    assert status == 200
    for line in (
        "toyflow_ready 1.0",
        "toyflow_clients 1.0",
        "toyflow_requests_total 3.0",
        'toyflow_refusals_total{reason="frame"} 1.0',
        'toyflow_refusals_total{reason="late"} 0.0',
        "toyflow_request_seconds_count 3.0",
        "toyflow_plan_seconds_count 3.0",
        "toyflow_batch_size_count 3.0",
    ):
        assert line in text.splitlines()
    for stage in ("read", "queue", "pack", "send"):
        assert f'toyflow_stage_seconds_count{{stage="{stage}"}} 3.0' in text.splitlines()


def test_only_so_many_clients_at_a_time(serving):
    served = serving(connections=2)
    with served.client(), served.client() as client:
        with pytest.raises(InvalidStatus, match="503") as refused, served.client():
            pass
        assert b"takes 2 clients" in refused.value.response.body
        assert served.get("/healthz")[0] == 200
        assert ask(client, observation())["actions"].shape == (5, 2)
    wait_until(lambda: not served.server.clients)
    with served.client():
        pass


def test_a_key_is_asked_for(serving):
    served = serving(key="secret-key")
    with served.client(additional_headers={"Authorization": "Api-Key secret-key"}) as client:
        assert ask(client, observation())["actions"].shape == (5, 2)
    for header in ({}, {"Authorization": "Api-Key wrong"}, {"Authorization": "Bearer secret-key"}):
        with pytest.raises(InvalidStatus, match="401") as refused, served.client(additional_headers=header):
            pass
        assert b"Authorization: Api-Key KEY" in refused.value.response.body
        assert b"secret" not in refused.value.response.body
    assert served.get("/healthz")[0] == 200
    assert served.get("/metrics")[0] == 401
    assert served.get("/metrics", Authorization="Api-Key secret-key")[0] == 200
    assert served.server.metrics.refusals == {"key": 4}


def test_stopping_finishes_what_runs(serving):
    planner = Faulty()
    served = serving(planner, timeout=30.0)
    with served.client() as busy, served.client() as idle:
        busy.send(pack(observation(prompt="hang")))
        assert planner.is_hanging.wait(20)
        served.stop()
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        planner.go_on.set()
        assert unpack(bytes_of(busy.recv(20)))["actions"].shape == (5, 2)
        with pytest.raises(ConnectionClosed) as closed:
            busy.recv(5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    served.thread.join(5)
    with pytest.raises(OSError):
        connect(f"ws://127.0.0.1:{served.port}")


def test_early_clients_wait_until_the_policy_is_warm(serving):
    class Cold(StraightPlanner):
        def __init__(self):
            super().__init__()
            self.warm = threading.Event()

        def plan(self, observations, seeds):
            assert self.warm.wait(30)
            return super().plan(observations, seeds)

    planner, port = Cold(), free_port()
    started = threading.Thread(target=serving, args=(planner,), kwargs={"port": port})
    started.start()
    wait_until(lambda: status_of(port) == 503)
    with (
        connect(f"ws://127.0.0.1:{port}", compression=None) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        greeting = pool.submit(client.recv, 30)
        for _ in range(5):  # each is a turn of the server's loop after the client's handshake
            assert status_of(port) == 503
        assert not greeting.done()
        planner.warm.set()
        assert unpack(bytes_of(greeting.result())) == METADATA
    started.join(10)
    assert status_of(port) == 200


def test_what_is_given_up_is_forgotten_without_the_collector():
    async def ask_in_vain() -> weakref.ref[np.ndarray]:
        planner = Faulty()
        batcher = Batcher(planner, timeout=0.1, largest=1)
        image = np.zeros((24, 32, 3), np.uint8)
        with pytest.raises(LateFault):
            await batcher.plan(Observation({"front": image}, np.zeros(4, np.float32), "hang"), 0)
        batcher.timeout = 30
        planner.go_on.set()
        await batcher.plan(Observation({}, np.zeros(4, np.float32), "go"), 0)  # the thread holds its last
        batcher.close()
        return weakref.ref(image)

    gc.disable()
    try:
        assert asyncio.run(ask_in_vain())() is None
    finally:
        gc.enable()


def test_without_uvloop_asyncios_own_loop_serves(serving, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    served = serving()
    with served.client() as client:
        assert ask(client, observation())["actions"].shape == (5, 2)
    assert type(served.loop).__module__.startswith("asyncio")


def served_in_vain(planner: Planner, **options) -> None:
    reader = ObservationReader(planner.interface, Keys.of(planner.interface))
    server = PolicyServer(planner, reader, METADATA, ServerOptions(**options))

    async def until_told():
        await server.run(asyncio.Event(), lambda port, plan: None)

    run(until_told())


def test_a_policy_that_cannot_plan_is_not_served():
    class Broken(StraightPlanner):
        def plan(self, observations, seeds):
            raise RuntimeError("no weights")

    with pytest.raises(Fault, match="the policy failed: RuntimeError: no weights"):
        served_in_vain(Broken(), port=0)


def test_a_port_in_use_is_a_usage_error(serving):
    with pytest.raises(UsageError, match=r"cannot listen on 127.0.0.1 port .*--port"):
        served_in_vain(StraightPlanner(), port=serving().port)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def status_of(port: int) -> int | None:
    try:
        return http_get(port, "/healthz")[0]
    except OSError:
        return None


def test_a_page_in_a_browser_is_not_let_in(serving):
    served = serving(StraightPlanner())
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{served.port}", compression=None, origin=Origin("https://example.com"))


def test_whatever_frames_come_each_gets_one_answer_and_the_connection_lives(serving):
    good = pack(observation())
    frames = st.one_of(
        st.text(max_size=50),
        st.binary(max_size=80),
        st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)).map(
            lambda at: good[: at[0]] + bytes([at[1]]) + good[at[0] + 1 :]
        ),
        st.integers(0, len(good)).map(lambda end: good[:end]),
    )
    with serving().client() as client:

        @given(st.lists(frames, min_size=1, max_size=4))
        @settings(max_examples=60)
        def send(every):
            for frame in every:
                client.send(frame)
                reply = client.recv(5)
                if isinstance(reply, str):
                    assert reply and "\n" not in reply
                else:
                    assert unpack(reply)["actions"].shape == (5, 2)

        send()
        assert ask(client, observation())["actions"].shape == (5, 2)


def test_a_policy_with_a_history_has_a_warning():
    planner = StraightPlanner()
    assert serving_warnings(planner) == []
    planner.history = 3
    [warning] = serving_warnings(planner)
    assert "reads 3 observations" in warning and "ask at every control step" in warning


def test_packages_that_are_missing_are_named(monkeypatch):
    check_packages()
    monkeypatch.setattr(serving_package, "installed_version", lambda name: None)
    with pytest.raises(UsageError, match=r"needs websockets and msgpack and prometheus-client: pip install"):
        check_packages()


@pytest.mark.parametrize(
    ("error", "reply", "reason"),
    [
        (UsageError("it lacks a hand."), "it lacks a hand.", "observation"),
        (None, "the policy answered with actions of shape (1, 4, 2), not (1, 5, 2).", "policy"),
    ],
)
def test_what_a_policy_refuses_and_what_it_should_not_answer(serving, error, reply, reason):
    class Odd(StraightPlanner):
        def plan(self, observations, seeds):
            if observations[0].prompt != "odd":
                return super().plan(observations, seeds)
            if error is not None:
                raise error
            return super().plan(observations, seeds)[:, :4]

    served = serving(Odd())
    with served.client() as client:
        assert ask(client, observation(prompt="odd")) == reply
    assert served.server.metrics.refusals == {reason: 1}


def test_an_error_of_the_servers_own_closes_its_connection_only(serving):
    class Reader(ObservationReader):
        def read(self, message):
            if message["prompt"] == "break":
                raise RuntimeError("a bug")
            return super().read(message)

    served = serving(make_reader=Reader)
    with served.client() as other:
        with served.client() as client, pytest.raises(ConnectionClosed) as closed:
            ask(client, observation(prompt="break"))
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
        assert ask(other, observation())["actions"].shape == (5, 2)
    assert served.server.metrics.refusals == {"internal": 1}
