"""Servers to ask: toyflow's own, one of openpi's protocol alone, and some that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")
pytest.importorskip("msgpack")

from robot.points import StraightPlanner
from robot.runtime.remote import openpi_server
from robot.runtime.serving.conftest import Served, serving  # noqa: F401, a fixture
from websockets.sync.server import serve

from toyflow.errors import UsageError
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.remote.addresses import RemoteOptions, parse_addresses
from toyflow.robot.runtime.remote.remote_planner import RemotePlanner
from toyflow.robot.runtime.serving.description import policy_metadata
from toyflow.robot.runtime.serving.observations import Keys
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.stored import StoredTraining

PATIENT = RemoteOptions(timeout=20.0)
HASTY = RemoteOptions(timeout=0.3)


class Noisy(StraightPlanner):
    """The straight way with noise of the seed, less of it in more steps; some prompts ask for nan."""

    def answers(self, observations, seeds, draws):
        chunks = super().answers(observations, seeds, draws)
        for place, seed in enumerate(seeds):
            noise = np.random.default_rng(seed).normal(size=chunks.shape[2:]).astype(np.float32)
            chunks[:, place] += noise / (2 + self.decoding.steps)
            for earlier in observations[place].before:
                chunks[:, place] += earlier.state[0]
            if observations[place].prompt == "nan":
                chunks[:, place] = np.nan
        return chunks

    def set_decoding(self, decoding):
        if decoding.steps == 7:
            raise UsageError("it cannot decode in 7 steps.")
        super().set_decoding(decoding)


def metadata_of(planner: Planner, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """What toyflow's server says of a policy that was trained from this seed."""
    record = TrainingRecord("robot", {}, "flow", "shift:4", None, seed, {})
    training = StoredTraining(Path("out/cells/key"), record, {}, {})
    return {**policy_metadata(training, planner, Keys.of(planner.interface)), **changes}


@pytest.fixture
def toyflow_server(serving) -> Callable[..., Served]:  # noqa: F811
    """Starts a server of toyflow."""

    def start(
        planner: Planner | None = None, changes: dict[str, Any] | None = None, **options: Any
    ) -> Served:
        planner = planner or Noisy()
        return serving(planner, metadata=metadata_of(planner, **(changes or {})), **options)

    return start


@pytest.fixture
def listening() -> Iterator[Callable[[Any], int]]:
    """Runs websocket servers in threads until the test ends; gives their ports."""
    with ExitStack() as stack:

        def start(server: Any) -> int:
            return stack.enter_context(running(server))

        yield start


@contextmanager
def running(server: Any) -> Iterator[int]:
    """Run a server in a thread; its port."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        thread.join(10)


@pytest.fixture
def openpi(listening) -> Callable[..., int]:
    """Starts a server of openpi's protocol; its port."""
    return lambda *given, **named: listening(openpi_server.server(*given, **named))


@pytest.fixture
def misbehaving(listening) -> Callable[[Callable[[Any], None]], int]:
    """Starts a server that does with a connection what it is told; its port."""

    def start(handle: Callable[[Any], None]) -> int:
        return listening(serve(handle, "127.0.0.1", 0, compression=None, max_size=None))

    return start


@pytest.fixture
def remote() -> Iterator[Callable[..., RemotePlanner]]:
    """Opens planners that are closed in the end: `remote(port, port, ...)` or `remote("10=ws://...")`."""
    opened: list[RemotePlanner] = []

    def open_it(
        *where: int | str,
        options: RemoteOptions = PATIENT,
        otherwise=StraightPlanner.interface,
        environment: str | None = None,
    ):
        text = ",".join(f"ws://127.0.0.1:{each}" if isinstance(each, int) else each for each in where)
        opened.append(RemotePlanner(parse_addresses(text), options, otherwise, environment))
        return opened[-1]

    yield open_it
    for planner in opened:
        planner.close()
