"""Servers that break off, are silent or answer nonsense: one line says what, in bounded time and memory."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robot.points import StraightPlanner
from robot.runtime.remote.conftest import HASTY, Noisy, metadata_of
from robot.runtime.remote.openpi_server import packb
from websockets.exceptions import ConnectionClosed

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.planner import PlanLost
from toyflow.robot.runtime.remote import connection
from toyflow.robot.runtime.remote.connection import said
from toyflow.robot.runtime.remote.server_facts import ServerFacts
from toyflow.robot.runtime.serving.protocol import pack

LOOK = Observation({"front": np.zeros((24, 32, 3), np.uint8)}, np.zeros(4, np.float32), "go")
CHUNK = np.zeros((10, 2))
MET = packb({"steps": 10})
HUGE = b"\x00" * (connection.MOST_BYTES + 1)


def torn(client) -> None:
    """Break off in the middle of a frame of 4096 bytes."""
    client.socket.sendall(b"\x82\x7e\x10\x00half")
    client.socket.shutdown(socket.SHUT_RDWR)


def silent(client) -> None:
    """Say nothing until the other side goes."""
    with suppress(ConnectionClosed):
        client.recv(timeout=60)


BAD_BEGINNINGS = {
    "a text": (
        lambda c: c.send("Traceback\n  File x\nValueError: no\tweights"),
        "with a text.*no weights|no\\?w",
    ),
    "silence": (silent, "said nothing in 3 s"),
    "garbage": (lambda c: (c.send(b"\xc1\xff"), silent(c)), "began with no map of metadata: .*no msgpack"),
    "a list": (lambda c: (c.send(msgpack.packb([1])), silent(c)), "holds a list, not a map"),
    "the end": (lambda c: c.close(1011, "out\nof memory"), r"closed the connection \(1011 out of memory\)"),
    "half a frame": (torn, "closed the connection .without a word|connection .* is lost"),
    "too much": (lambda c: c.send(HUGE), "sent a frame of more than 16 MiB"),
}


@pytest.mark.parametrize("what", BAD_BEGINNINGS)
def test_a_server_that_begins_with(what, misbehaving, remote):
    handle, words = BAD_BEGINNINGS[what]
    with pytest.raises(UsageError, match=words) as caught:
        remote(f"10=ws://127.0.0.1:{misbehaving(handle)}", options=HASTY)
    assert "\n" not in str(caught.value) and "ws://127.0.0.1:" in str(caught.value)


def answering(answer):
    """Greets, answers the first observation well, and the later ones as it is told."""

    def handle(client):
        client.send(MET)
        client.recv()
        client.send(packb({"actions": CHUNK}))
        for _ in client:
            answer(client)

    return handle


def sends(**message):
    return lambda client: client.send(packb(message))


BAD_ANSWERS = {
    "a text": (lambda c: c.send("a\nb \x1b[31m"), "gave no plan: a b "),
    "a traceback": (lambda c: c.send("Traceback (most\n  x\nKeyError: 'state'\n"), "plan: KeyError: 'state'"),
    "silence": (silent, "gave no answer in 0.3 s; --timeout allows it more"),
    "garbage": (lambda c: c.send(b"\xff\x00"), "answered with no map of actions"),
    "no actions": (sends(action=CHUNK), "answered without an array `actions`; it has action"),
    "actions in a list": (sends(actions=CHUNK.tolist()), "without an array `actions`"),
    "actions in words": (sends(actions="up"), "without an array `actions`"),
    "booleans": (sends(actions=CHUNK > 0), "without an array `actions`"),
    "fewer actions": (sends(actions=CHUNK[:4]), "actions of shape 4x2, not 10x2"),
    "more numbers": (sends(actions=np.zeros((10, 3))), "actions of shape 10x3, not 10x2"),
    "a batch": (sends(actions=CHUNK[None]), "actions of shape 1x10x2, not 10x2"),
    "no dimensions": (sends(actions=np.array(1.0)), "shape none, not 10x2"),
    "a forged array": (
        lambda c: c.send(msgpack.packb({"actions": {
            b"__ndarray__": True, b"data": b"", b"dtype": "<f4", b"shape": [2**40, 2**20]
        }})), "answered with no map of actions: an array of shape",
    ),
    "too much": (lambda c: c.send(HUGE), "sent a frame of more than 16 MiB"),
    "the end": (lambda c: c.close(), r"closed the connection \(1000\)"),
    "half a frame": (torn, "closed the connection .without a word|connection .* is lost"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_a_server_that_answers_with(what, misbehaving, remote):
    answer, words = BAD_ANSWERS[what]
    there = remote(f"10=ws://127.0.0.1:{misbehaving(answering(answer))}", options=HASTY)
    began = time.monotonic()
    with pytest.raises(PlanLost, match=words) as caught:
        there.plan([LOOK], [0])
    assert time.monotonic() - began < 3 and there.lives == 1
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()
    assert (there.plan([LOOK], [0]) == 0).all()  # on a new connection


def test_numbers_that_are_not_finite_are_the_policys_to_answer_for(misbehaving, remote):
    bad = np.full((10, 2), 1e300)
    bad[3, 1] = np.nan
    there = remote(f"10=ws://127.0.0.1:{misbehaving(answering(sends(actions=bad)))}", options=HASTY)
    [chunk] = there.plan([LOOK], [0])
    assert np.isnan(chunk[3, 1]) and np.isinf(chunk[0, 0]) and chunk.dtype == np.float32


def test_timing_that_is_nonsense_is_ignored(misbehaving, remote):
    for timing in (
        {"infer_ms": "soon"},
        {"infer_ms": -1e9},
        {"infer_ms": float("nan")},
        5,
        {"infer_ms": 1e300},
    ):
        handle = answering(sends(actions=CHUNK, server_timing=timing))
        there = remote(f"10=ws://127.0.0.1:{misbehaving(handle)}", options=HASTY)
        there.plan([LOOK], [0])
        assert there.stage_seconds["decoding"] == 0 < there.stage_seconds["network"] < 3


def test_what_is_too_much_takes_no_memory(misbehaving, remote):
    def flood(client):
        for _ in range(3):
            client.socket.sendall(b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * (1 << 20))

    there = remote(f"10=ws://127.0.0.1:{misbehaving(answering(flood))}", options=HASTY)
    tracemalloc.start()
    with pytest.raises(PlanLost, match=r"more than 16 MiB|closed the connection|is lost"):
        there.plan([LOOK], [0])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_server_that_does_not_read_is_given_up(misbehaving, remote):
    given_up = threading.Event()

    def deaf(client):
        client.send(pack(metadata_of(Noisy())))
        assert given_up.wait(60)

    there = remote(misbehaving(deaf), options=HASTY)
    large = LOOK._replace(images={"front": np.zeros((4000, 4000, 3), np.uint8)})
    began = time.monotonic()
    with pytest.raises(PlanLost):
        there.plan([large], [0])
    assert time.monotonic() - began < 6
    given_up.set()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "refuses the connection with status 200: hi"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "refuses the connection with status 404"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is no policy server|does not answer"),
        (b"", "is no policy server|does not answer|no server answers"),
    ],
)
def test_what_is_no_websocket(reply, words, remote, monkeypatch):
    monkeypatch.setattr(connection, "OPENING_SECONDS", 1.0)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        answered = threading.Event()

        def answer():
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                client.sendall(reply)
                assert answered.wait(60)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UsageError, match=words):
            remote(f"1=ws://127.0.0.1:{listening.getsockname()[1]}", options=HASTY)
        answered.set()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lower": None}, "TypeError"),
        ({"lower": "ab"}, "motion.lower, motion.upper and motion.step are not 2 finite"),
        ({"upper": [1.0]}, "are not 2 finite numbers"),
        ({"step": [0.1, float("nan")]}, "are not 2 finite numbers"),
        ({"lower": [0.0, 2.0]}, "a motion.lower is above its motion.upper"),
        ({"step": [0.1, -0.1]}, "a motion.step below 0"),
    ],
)
def test_a_motion_that_makes_no_sense_is_one_line(changes, words):
    motion = {"lower": [-1, -1.0], "upper": [1.0, 1], "step": [0.1, 0.0]}
    good = ServerFacts.read("ws://gpu", pack({**METADATA, "motion": motion}), None)
    assert good.motion == motion
    with pytest.raises(UsageError, match=f"make no sense: .*{words}") as caught:
        ServerFacts.read("ws://gpu", pack({**METADATA, "motion": {**motion, **changes}}), None)
    assert "\n" not in str(caught.value)


METADATA = metadata_of(StraightPlanner())
PLAIN = st.none() | st.booleans() | st.integers(-(2**40), 2**63) | st.floats() | st.text(max_size=9)
JUNK = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)


@given(st.dictionaries(st.sampled_from(sorted(METADATA)), JUNK, min_size=1, max_size=3))
@settings(deadline=None)
def test_metadata_of_toyflow_that_make_no_sense_are_one_line(changes):
    try:
        frame = pack({**METADATA, **changes})
    except (OverflowError, ValueError):
        return
    try:
        facts = ServerFacts.read("ws://gpu", frame, StraightPlanner.interface)
    except ToyflowError as error:
        assert "\n" not in str(error) and "ws://gpu" in str(error)
    else:
        assert facts.horizon * facts.interface.action_dim <= 100_000 and facts.image_size <= 4096


def test_what_a_server_says_is_one_printable_line():
    assert said("") == "" and said("a\n\n b\x07") == "a b?"
    assert said("Traceback (most recent call last):\n  File\nValueError: no\n") == "ValueError: no"
    assert len(said("x" * 1000)) == 303
