"""What `toyflow robot-serve` adds to a plan, and `RemotePlanner` to a request: calls in turns of the policy
here, through a server, and through a server by `RemotePlanner`.

    python benchmarks/serving.py                    # an untrained nano policy with two cameras
    python benchmarks/serving.py results/robot/cells/KEY --steps 10

The server runs in a process of its own on loopback; the client sends one 224-pixel image for each camera, as
openpi's client does. As many requests go to an empty websocket server in that process, which answers at once
with as many bytes: no server can add less. Exit code 1 if server or client adds more than its limits.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.sync.client import ClientConnection, connect

from toyflow.flow import Decoding, make_objective, parse_schedule
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.planner import Planner
from toyflow.robot.policy.checkpoint import find_checkpoint
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.policy_opening import open_planner
from toyflow.robot.runtime.remote.addresses import Address, RemoteOptions
from toyflow.robot.runtime.remote.remote_planner import RemotePlanner
from toyflow.robot.runtime.serving.event_loop import run
from toyflow.robot.runtime.serving.observations import Keys, ObservationReader
from toyflow.robot.runtime.serving.protocol import pack, unpack
from toyflow.robot.runtime.serving.server import FRAMES_AHEAD, PolicyServer, ServerOptions

LIMITS = {50: 2.0, 95: 5.0}
"""Milliseconds that the server may add, by percentile."""
CLIENT_LIMIT = 1.0
"""Milliseconds that `RemotePlanner` may add at p50 to what openpi's client takes, packing included."""
WARM_UP = 20
"""Requests before the first that counts."""
SIDE = 224


class Times(NamedTuple):
    """Milliseconds."""

    bare: list[float]
    """Of a plan in the client's process."""
    served: list[float]
    """Of a request to the policy's server."""
    inside: list[float]
    """Of the plan within it."""
    empty: list[float]
    """Of a request to a websocket that answers at once."""
    remote: list[float]
    """Of a request by `RemotePlanner`."""


def main() -> int:
    parser = argparse.ArgumentParser(description="What the server adds to a plan.")
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, asked), daemon=True)
    server.start()
    planner = made(asked)
    port, empty = here.recv()
    times = measure(planner, port, empty, asked.requests)
    server.terminate()
    return int(not show(times))


def made(asked: argparse.Namespace) -> Planner:
    """The same policy in both processes."""
    torch.set_num_threads(asked.threads)
    if asked.checkpoint is None:
        torch.manual_seed(0)
        spec = PolicySpec("nano", Interface(("image", "image2"), state_dim=8, action_dim=7, fps=20))
        unit = {"mean": [0.0] * 8, "std": [1.0] * 8}
        normal = Normalisation.from_statistics(unit, {name: values[:7] for name, values in unit.items()})
        planner: Planner = FlowPlanner(
            Policy(spec, normal).eval(), make_objective("flow", parse_schedule("shift:4"))
        )
    else:
        planner = open_planner(find_checkpoint(asked.checkpoint), torch.device("cpu"))
    planner.set_decoding(Decoding(asked.steps))
    return planner


def serve(pipe: Connection, asked: argparse.Namespace) -> None:
    """Run the policy's server and the empty one, and send their ports through `pipe`."""
    planner = made(asked)
    reader = ObservationReader(planner.interface, Keys.of(planner.interface))
    server = PolicyServer(planner, reader, {}, ServerOptions(port=0))

    chunk = np.zeros((planner.horizon, planner.interface.action_dim), np.float32)
    answer = pack(
        {"actions": chunk, "server_timing": {"infer_ms": 0.1, "queue_ms": 0.1, "prev_total_ms": 0.1}}
    )

    async def echo(connection: ServerConnection) -> None:
        await connection.send(answer)
        async for _ in connection:
            await connection.send(answer)

    async def until_told() -> None:
        async with listen(
            echo, "127.0.0.1", 0, compression=None, max_size=None, max_queue=FRAMES_AHEAD
        ) as empty:
            other = next(iter(empty.sockets)).getsockname()[1]
            await server.run(asyncio.Event(), lambda port, _: pipe.send((port, other)))

    run(until_told())


def measure(planner: Planner, port: int, empty: int, requests: int) -> Times:
    """Alternate plans here and requests to the policy's server; then the same with the empty server, so that
    neither goes cold."""
    times = Times([], [], [], [], [])
    generator = np.random.default_rng(0)
    address = Address(f"ws://127.0.0.1:{port}", planner.decoding.steps)
    remote = RemotePlanner([address], RemoteOptions(), planner.interface)
    with opened(port) as served, opened(empty) as alone:
        check(planner, served, generator)
        for _ in range(WARM_UP + requests):
            bare, taken, reply = paired(planner, served, generator)
            times.bare.append(bare)
            times.served.append(taken)
            times.inside.append(reply["server_timing"]["infer_ms"])
            times.remote.append(asked_by(planner, remote, looked(planner, generator)[0]))
        for _ in range(WARM_UP + requests):
            times.empty.append(paired(planner, alone, generator)[1])
    return Times(*(taken[WARM_UP:] for taken in times))


def asked_by(planner: Planner, remote: RemotePlanner, seen: Observation) -> float:
    """Milliseconds of a plan by `RemotePlanner`, after a plan here, which fills the processor's caches, as in
    `paired`."""
    planner.plan([seen], [0])
    began = time.perf_counter()
    remote.plan([seen], [0])
    return 1e3 * (time.perf_counter() - began)


@contextmanager
def opened(port: int) -> Iterator[ClientConnection]:
    """A connection as openpi's client makes it, after the server's first frame."""
    with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as client:
        client.recv()
        yield client


def paired(
    planner: Planner, client: ClientConnection, generator: np.random.Generator
) -> tuple[float, float, dict[str, Any]]:
    """Milliseconds of a plan here and of a request there, and the answer."""
    seen, message = looked(planner, generator)
    began = time.perf_counter()
    planner.plan([seen], [0])
    planned = time.perf_counter()
    client.send(pack(message))
    reply = unpack(bytes(client.recv()))  # pyright: ignore[reportArgumentType]
    return 1e3 * (planned - began), 1e3 * (time.perf_counter() - planned), reply


def check(planner: Planner, client: ClientConnection, generator: np.random.Generator) -> None:
    """Assert that the server's plan is the one made here."""
    seen, message = looked(planner, generator)
    client.send(pack({**message, "seed": 7}))
    reply = unpack(bytes(client.recv()))  # pyright: ignore[reportArgumentType]
    assert np.allclose(reply["actions"], planner.plan([seen], [7])[0], atol=1e-5), "another plan"


def looked(planner: Planner, generator: np.random.Generator) -> tuple[Observation, dict[str, Any]]:
    """An observation, and the message of it."""
    images = {
        camera: generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for camera in planner.interface.cameras
    }
    seen = Observation(images, np.zeros(planner.interface.state_dim, np.float32), "pick up the soup")
    keys = {f"observation/{camera}": image for camera, image in images.items()}
    return seen, {**keys, "observation/state": seen.state, "prompt": seen.prompt}


def show(times: Times) -> bool:
    """Print the table; returns whether the limits are kept."""
    bare, served, inside, empty, remote = times
    added = np.subtract(served, inside)
    table = Table("milliseconds", *(f"p{q}" for q in LIMITS), "p99", title=f"{len(bare)} of each, CPU")
    rows = {
        "a plan, bare": bare, "a request": served, "  the plan within it": inside, "  all else": added,
        "a request by RemotePlanner": remote,
        "a request without a policy": empty,
    }  # fmt: skip
    for name, values in rows.items():
        table.add_row(name, *(f"{np.percentile(values, q):.2f}" for q in (*LIMITS, 99)))
    difference = {q: np.percentile(served, q) - np.percentile(bare, q) for q in (*LIMITS, 99)}
    table.add_row("request minus bare plan", *(f"{value:.2f}" for value in difference.values()))
    table.add_row("limit", *(f"{limit:g}" for limit in LIMITS.values()), "")
    Console().print(table)
    ours = float(np.median(np.subtract(remote, served)))
    print(
        f"RemotePlanner adds {ours:.2f} ms at p50 to a client that only packs; its limit is {CLIENT_LIMIT:g}."
    )
    return ours <= CLIENT_LIMIT and all(difference[q] <= limit for q, limit in LIMITS.items())


if __name__ == "__main__":
    sys.exit(main())
