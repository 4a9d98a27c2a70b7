"""A server in a thread of this process, and policies that go wrong."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")
pytest.importorskip("msgpack")

from robot.points import StraightPlanner
from websockets.sync.client import ClientConnection, connect

from toyflow.robot.interface import Observation
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.serving.event_loop import run
from toyflow.robot.runtime.serving.observations import Keys, ObservationReader
from toyflow.robot.runtime.serving.protocol import pack, unpack
from toyflow.robot.runtime.serving.server import PolicyServer, ServerOptions

METADATA = {"action_horizon": 5}


class Faulty(StraightPlanner):
    """Does what the prompt says: `raise`, `nan`, or `hang` until `go_on` is set; else plans straight.
    `is_hanging` is set while it hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.is_hanging, self.go_on = threading.Event(), threading.Event()

    def plan(self, observations: Sequence[Observation], seeds: Sequence[int]) -> np.ndarray:
        prompts = [observation.prompt for observation in observations]
        if "raise" in prompts:
            raise ValueError("a fault was asked for\nand has two lines")
        if "hang" in prompts:
            self.is_hanging.set()
            assert self.go_on.wait(30)
            self.is_hanging.clear()
        chunks = super().plan(observations, seeds)
        chunks[[prompt == "nan" for prompt in prompts]] = np.nan
        return chunks


class Served:
    """A running server, from outside."""

    def __init__(
        self,
        planner: Planner,
        options: ServerOptions,
        prompt: str | None,
        make_reader: type[ObservationReader],
        metadata: Mapping[str, Any] = METADATA,
        to_openpi: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.planner = planner
        reader = make_reader(planner.interface, Keys.of(planner.interface), prompt)
        self.server = PolicyServer(planner, reader, metadata, options, to_openpi)
        self.port = 0
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self.thread = threading.Thread(target=lambda: run(self._run()), daemon=True)
        self.thread.start()
        assert self._ready.wait(20)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.server.run(self._stop, self._on_ready)

    def _on_ready(self, port: int, plan: object) -> None:
        self.port = port
        self._ready.set()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)

    @contextmanager
    def client(self, **options: Any) -> Iterator[ClientConnection]:
        """A client that has been greeted."""
        with connect(f"ws://127.0.0.1:{self.port}", compression=None, **options) as client:
            assert unpack(bytes_of(client.recv(5))) == METADATA
            yield client

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """(status, text) of an HTTP request."""
        return http_get(self.port, path, **headers)


def http_get(port: int, path: str, **headers: str) -> tuple[int, str]:
    """(status, text)."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def bytes_of(frame: str | bytes) -> bytes:
    assert isinstance(frame, bytes), frame
    return frame


def observation(state: Sequence[float] = (0.1, 0.2, -0.3, 0.4), prompt: str = "go", **more: Any) -> dict:
    return {
        "observation/front": np.zeros((24, 32, 3), np.uint8),
        "observation/state": np.array(state),
        "prompt": prompt,
        **more,
    }


def ask(client: ClientConnection, message: dict, timeout: float = 10) -> Any:
    """The reply's message, or its text."""
    client.send(pack(message))
    reply = client.recv(timeout)
    return reply if isinstance(reply, str) else unpack(reply)


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Return once `condition` holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


@pytest.fixture
def serving():
    """Starts servers that end with the test."""
    running: list[Served] = []

    def start(
        planner: Planner | None = None,
        prompt: str | None = None,
        make_reader: type[ObservationReader] = ObservationReader,
        metadata: Mapping[str, Any] = METADATA,
        **options: Any,
    ) -> Served:
        chosen = ServerOptions(**{"port": 0, "timeout": 5.0, **options})
        running.append(Served(planner or StraightPlanner(), chosen, prompt, make_reader, metadata))
        return running[-1]

    yield start
    for served in running:
        if isinstance(served.planner, Faulty):
            served.planner.go_on.set()
        served.stop()
        served.thread.join(20)
        assert not served.thread.is_alive()
