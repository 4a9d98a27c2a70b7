"""The policy server: openpi's websocket protocol, `/healthz` and `/metrics` on one port.

The server's first frame is a map of metadata. Then a client sends one observation per frame, and gets

    {"actions": float32 [horizon, action],
     "server_timing": {"infer_ms": .., "queue_ms": .., "prev_total_ms": ..}}

or a text frame that says in one line why there are no actions. After a client's mistake the connection stays
open. It is closed with 1011 after a fault of the server, with 1009 after a frame that is too large, and with
1001 when the server stops.

Source: openpi's `websocket_policy_server.py` and `openpi-client` 0.1.2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.http11 import Request, Response

from toyflow.errors import UsageError
from toyflow.robot.latency import Times
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.serving.access import SCHEME, is_allowed
from toyflow.robot.runtime.serving.batching import Batcher
from toyflow.robot.runtime.serving.faults import Fault, FrameFault
from toyflow.robot.runtime.serving.metrics import CONTENT_TYPE, Metrics
from toyflow.robot.runtime.serving.observations import (
    ObservationReader,
)
from toyflow.robot.runtime.serving.protocol import pack, unpack
from toyflow.robot.runtime.serving.session import Session

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.websockets")  # else a traceback for every client that breaks off
_quiet.setLevel(logging.CRITICAL)

GOING_AWAY, TOO_LARGE, INTERNAL_ERROR = 1001, 1009, 1011
CLOSING_SECONDS = 5.0
"""How long a client may take to answer the closing handshake."""
FRAMES_AHEAD = 1
"""Frames read ahead from a client that waits for its answer; TCP's flow control holds back more."""


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens, and its limits.

    Clients' messages take at most about 3 x `connections` x `message_bytes` of memory.

    Attributes:
        port: 0 takes any that is free.
        key: the API key that clients must send; None lets everybody in.
        noise_seed: seed of the noise of requests that bring no seed.
        timeout: seconds after which a request is given up, or a client that does not read is dropped.
        message_bytes: largest frame of a client.
        connections: most clients at a time.
        batch: most observations in one call of the policy.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = None
    noise_seed: int = 0
    timeout: float = 10.0
    message_bytes: int = 16 << 20
    connections: int = 16
    batch: int = 8


class PolicyServer:
    """A policy behind openpi's protocol; `run` serves it.

    Args:
        planner: the policy, which only the server's planning thread calls.
        reader: turns clients' messages into observations.
        metadata: the map that every client is sent first; see `policy_metadata`.
        to_openpi: makes of the policy's actions what openpi's ALOHA clients expect; None where they are that.

    Attributes:
        metrics: counts and times since the start.
    """

    def __init__(
        self,
        planner: Planner,
        reader: ObservationReader,
        metadata: Mapping[str, Any],
        options: ServerOptions,
        to_openpi: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.options, self._to_openpi = options, to_openpi
        self.metrics = Metrics(lambda: self._state() == "OK", lambda: self.clients)
        self._history, self._reader = planner.history, reader
        self._batcher = Batcher(planner, options.timeout, options.batch, self._planned)
        self._metadata = pack(metadata)
        self._sessions: dict[ServerConnection, Session] = {}
        self._connected = 0
        self._open, self._stopping = asyncio.Event(), False

    @property
    def clients(self) -> int:
        """Clients connected now."""
        return len(self._sessions)

    @property
    def waiting(self) -> int:
        """Requests that wait for the policy; those of the running call are not among them."""
        return self._batcher.waiting

    async def run(self, stop: asyncio.Event, on_ready: Callable[[int, Times], object]) -> None:
        """Serve until `stop` is set; then answer what is being planned, and close.

        Args:
            on_ready: called once when the policy is warm, with the port and the time of a plan. Clients that
                connect earlier wait for their first frame.

        Raises:
            UsageError: the address cannot be listened on.
            Fault: the policy cannot plan.
        """
        options = self.options
        # `origins`: browsers send one, robots none; so no web page can reach the policy.
        server = serve(
            self._handle, options.host, options.port, process_request=self._answer_http, compression=None,
            max_size=options.message_bytes, max_queue=FRAMES_AHEAD, close_timeout=CLOSING_SECONDS,
            origins=[None], logger=_quiet,
        )  # fmt: skip
        try:
            listening = await server
        except OSError as error:
            raise UsageError(
                f"cannot listen on {options.host} port {options.port}: {error.strerror or error}. Choose "
                "another with --host and --port."
            ) from error
        try:
            await self._serve(listening, stop, on_ready)
        finally:
            await self._finish(listening)

    async def _serve(
        self, server: Server, stop: asyncio.Event, on_ready: Callable[[int, Times], object]
    ) -> None:
        stopped, warm = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._batcher.warm_up())
        try:
            await asyncio.wait({stopped, warm}, return_when=asyncio.FIRST_COMPLETED)
            if warm.done():
                times = warm.result()
                self._open.set()
                on_ready(next(iter(server.sockets)).getsockname()[1], times)
                await stopped
        finally:
            stopped.cancel()
            warm.cancel()

    async def _finish(self, server: Server) -> None:
        self._stopping = True
        self._open.set()
        server.close(close_connections=False)
        idle = [connection for connection, session in self._sessions.items() if not session.busy]
        await asyncio.gather(*(self._close(connection, GOING_AWAY) for connection in idle))
        await server.wait_closed()
        self._batcher.close()

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response to a plain HTTP request, or a refusal; None opens the websocket."""
        path = request.path.partition("?")[0]
        if path == "/healthz":
            state = self._state()
            return connection.respond(
                HTTPStatus.OK if state == "OK" else HTTPStatus.SERVICE_UNAVAILABLE, f"{state}\n"
            )
        if not is_allowed(request.headers.get_all("Authorization"), self.options.key):
            self.metrics.refused("key")
            hint = f"This server wants its API key in a header: `Authorization: {SCHEME} KEY`.\n"
            response = connection.respond(HTTPStatus.UNAUTHORIZED, hint)
            response.headers["WWW-Authenticate"] = SCHEME
            return response
        if path == "/metrics":
            response = connection.respond(HTTPStatus.OK, self.metrics.text().decode())
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = CONTENT_TYPE
            return response
        if path != "/" and "Upgrade" not in request.headers:
            hint = "This is a policy server: a websocket, /healthz and /metrics.\n"
            return connection.respond(HTTPStatus.NOT_FOUND, hint)
        if self.clients >= self.options.connections:
            self.metrics.refused("connections")
            return connection.respond(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"This server takes {self.options.connections} clients at a time.\n",
            )
        return None

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        if not self._open.is_set():
            return "starting"
        return "the policy hangs" if self._batcher.hangs else "OK"

    def _planned(self, batch_size: int, seconds: float) -> None:
        if self._open.is_set():  # before, the policy is warming up
            self.metrics.planned(batch_size, seconds)

    async def _handle(self, connection: ServerConnection) -> None:
        session = Session(self._connected, self._history, self.options.noise_seed)
        self._connected += 1
        self._sessions[connection] = session
        try:
            await self._open.wait()
            await self._send(connection, self._metadata)
            while not self._stopping:
                frame = await connection.recv()
                session.busy = True
                await self._answer(connection, session, frame)
                session.busy = False
            await self._close(connection, GOING_AWAY)
        except ConnectionClosed as closed:
            if isinstance(closed, ConnectionClosedError) and closed.sent and closed.sent.code == TOO_LARGE:
                self.metrics.refused("too large")
        except Exception:
            log.exception("a connection failed")
            self.metrics.refused("internal")
            await self._close(connection, INTERNAL_ERROR)
        finally:
            del self._sessions[connection]

    async def _answer(self, connection: ServerConnection, session: Session, frame: str | bytes) -> None:
        began = time.perf_counter()
        try:
            if isinstance(frame, str):
                raise FrameFault("observations come as binary frames of msgpack, not as text.")
            request = self._reader.read(unpack(frame))
            read = time.perf_counter()
            planned = await self._batcher.plan(
                *session.plan_inputs(request), request.steps, request.committed
            )
        except Fault as fault:
            self.metrics.refused(fault.kind)
            await self._send(connection, " ".join(str(fault).split()))
            if fault.closes:
                await self._close(connection, INTERNAL_ERROR)
            return
        answered = time.perf_counter()
        timing = {"infer_ms": 1e3 * planned.planned, "queue_ms": 1e3 * planned.queued}
        if session.last_seconds is not None:
            timing["prev_total_ms"] = 1e3 * session.last_seconds
        actions = planned.actions
        if request.is_aloha and self._to_openpi is not None:
            actions = self._to_openpi(actions).astype(np.float32)
        reply = pack({"actions": actions, "server_timing": timing})
        packed = time.perf_counter()
        await self._send(connection, reply)
        sent = time.perf_counter()
        session.last_seconds = sent - began
        stages = {
            "read": read - began, "queue": planned.queued, **planned.stages, "pack": packed - answered,
            "send": sent - packed,
        }  # fmt: skip
        self.metrics.answered(sent - began, stages)

    async def _send(self, connection: ServerConnection, frame: str | bytes) -> None:
        late = asyncio.get_running_loop().call_later(self.options.timeout, self._give_up, connection)
        try:
            await connection.send(frame)
        finally:
            late.cancel()

    def _give_up(self, connection: ServerConnection) -> None:
        self.metrics.refused("slow reader")
        connection.transport.abort()

    async def _close(self, connection: ServerConnection, code: int) -> None:
        reason = {GOING_AWAY: "the server is stopping", INTERNAL_ERROR: "see the text frame before"}[code]
        await connection.close(code, reason)
