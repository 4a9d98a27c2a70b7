"""Connections to a policy server: frames go out, frames come back, within bounds of time and memory."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, connect

from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.robot.planner import PlanLost
from toyflow.robot.runtime.remote.addresses import FIRST
from toyflow.robot.runtime.serving.access import KEY_VARIABLE, SCHEME

MOST_BYTES = 16 << 20
"""Largest frame of a server; a chunk of actions takes a few thousand bytes."""
FRAMES_AHEAD = 2
"""Frames of a server that are held in memory, unread; TCP's flow control holds back more."""
CONNECTIONS = 8
"""Most connections to a server. Each has one request at a time."""
OPENING_SECONDS = 10.0
"""Longest wait for the opening handshake."""
CLOSING_SECONDS = 1.0
"""Longest wait for a server to answer the closing handshake."""
RECONNECT_SECONDS = 120.0
"""How long a server that is lost may take to come back."""
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to reconnect; the last one is repeated."""


class Refused(ToyflowError):
    """No connection; in one line."""


class Connections:
    """The connections to one server.

    Args:
        url: its address.
        key: its API key; None for none.
        timeout: seconds that an answer may take; the first one may take `FIRST` times as long.

    Attributes:
        metadata: the first frame of a connection.
    """

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        self.url, self.key, self.timeout = url, key, timeout
        self._open: list[ClientConnection] = []
        self._warm = False
        self._granted = CONNECTIONS  # the most that the server grants, as far as is known
        try:
            self.metadata = self._connect()
        except Refused as error:
            raise UsageError(str(error)) from error

    def ask(self, frames: Sequence[bytes]) -> list[bytes]:
        """The answer to each frame. All are asked at once, over as many connections as the server grants.

        Raises:
            PlanLost: a connection was lost, was silent for too long, or a text came in place of an answer.
                All connections are closed; the next call opens new ones.
            ToyflowError: the server is gone for good, or has become another one.
        """
        if not self._open:
            self._reconnect()
        answers: list[bytes] = []
        try:
            self._widen(len(frames))
            width = len(self._open)
            for start in range(0, len(frames), width):
                part = frames[start : start + width]
                for connection, frame in zip(self._open, part, strict=False):
                    connection.send(frame)
                deadline = time.monotonic() + self._patience
                answers += [
                    self._received(connection, deadline)
                    for connection, _ in zip(self._open, part, strict=False)
                ]
        except BaseException as error:
            self.drop()
            if isinstance(error, (ConnectionClosed, OSError)):
                raise PlanLost(self._why(error)) from error
            raise
        self._warm = True
        return answers

    def close(self) -> None:
        """Close all connections, as the protocol wants it; a server may take `CLOSING_SECONDS` over it."""
        for connection in self._open:
            with suppress(OSError, ConnectionClosed):
                connection.close()
        self._open = []

    def drop(self) -> None:
        """End all connections at once, without a word to the server."""
        for connection in self._open:
            _drop(connection)
        self._open = []

    @property
    def _patience(self) -> float:
        return self.timeout * (1 if self._warm else FIRST)

    def _received(self, connection: ClientConnection, deadline: float) -> bytes:
        try:
            answer = connection.recv(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise PlanLost(
                f"{self.url} gave no answer in {self._patience:g} s; --timeout allows it more."
            ) from error
        if isinstance(answer, str):
            raise PlanLost(f"{self.url} gave no plan: {said(answer)}")
        return answer

    def _why(self, error: Exception) -> str:
        if isinstance(error, ConnectionClosed):
            if error.sent and error.sent.code == 1009:
                return f"{self.url} sent a frame of more than {MOST_BYTES >> 20} MiB."
            closed = error.rcvd
            why = f"{closed.code} {said(closed.reason)}".strip() if closed else "without a word"
            return f"{self.url} closed the connection ({why})."
        return f"the connection to {self.url} is lost: {first_line(error)}"

    def _widen(self, count: int) -> None:
        """Open more connections, up to one for each of `count` requests; a server may grant fewer, and is
        then asked for no more until the next reconnection."""
        while len(self._open) < min(count, self._granted):
            try:
                self._check_same(self._connect())
            except Refused:
                self._granted = len(self._open)

    def _reconnect(self) -> None:
        deadline, attempt = time.monotonic() + RECONNECT_SECONDS, 0
        while True:
            try:
                self._check_same(self._connect())
            except Refused as error:
                pause = PAUSES[min(attempt, len(PAUSES) - 1)]
                attempt += 1
                if time.monotonic() + pause > deadline:
                    raise ToyflowError(
                        f"{first_line(error).rstrip('.')}, for {RECONNECT_SECONDS:g} s now."
                    ) from error
                time.sleep(pause)
            else:
                self._warm = False  # a server that was started anew may compile again
                self._granted = CONNECTIONS
                return

    def _check_same(self, metadata: bytes) -> None:
        if metadata != self.metadata:
            self.drop()
            raise ToyflowError(
                f"another policy answers at {self.url} now: what the server says of it has changed. Start "
                "the command again to use that one."
            )

    def _connect(self) -> bytes:
        """Open one more connection; returns the server's metadata."""
        headers = {"Authorization": f"{SCHEME} {self.key}"} if self.key else None
        try:
            # Without pings: openpi's server does not answer them while it plans or compiles. Entered, as
            # connect() wants to be, but ended by `_drop`: leaving it would wait for the server.
            connection = connect(
                self.url, additional_headers=headers, compression=None, max_size=MOST_BYTES,
                max_queue=FRAMES_AHEAD, ping_interval=None, open_timeout=OPENING_SECONDS,
                close_timeout=CLOSING_SECONDS,
            ).__enter__()  # fmt: skip
        except InvalidStatus as error:
            raise Refused(_status(self.url, error)) from error
        except (InvalidHandshake, InvalidMessage, InvalidURI, ValueError, EOFError) as error:
            raise Refused(f"{self.url} is no policy server: {first_line(error)}") from error
        except TimeoutError as error:
            raise Refused(f"{self.url} does not answer within {OPENING_SECONDS:g} s.") from error
        except OSError as error:
            raise Refused(
                f"no server answers at {self.url}: {error.strerror or first_line(error)}."
            ) from error
        try:
            metadata = connection.recv(timeout=self.timeout * FIRST)  # a server's policy may still be loading
        except TimeoutError as error:
            raise _closing(connection, f"{self.url} said nothing in {self.timeout * FIRST:g} s.") from error
        except (ConnectionClosed, OSError) as error:
            raise _closing(connection, self._why(error)) from error
        if isinstance(metadata, str):
            raise _closing(connection, f"{self.url} began with a text, no map of metadata: {said(metadata)}")
        _bound_sending(connection, self.timeout)
        self._open.append(connection)
        return metadata


def said(text: str, most: int = 300) -> str:
    """What a server said, in one printable line: the last line of a traceback."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    line = lines[-1] if lines[0].startswith("Traceback") else " ".join(lines)
    shown = "".join(each if each.isprintable() else "?" for each in line[:most])
    return shown + ("..." if len(line) > most else "")


def _closing(connection: ClientConnection, why: str) -> Refused:
    _drop(connection)
    return Refused(why)


def _drop(connection: ClientConnection) -> None:
    """End a connection at once, with the thread that reads it."""
    with suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.socket.close()


def _bound_sending(connection: ClientConnection, seconds: float) -> None:
    """Let sending to a server that does not read fail after so many seconds, where the system can."""
    if sys.platform != "win32":
        whole = int(seconds)
        limit = struct.pack("ll", whole, int(1e6 * (seconds - whole)) or 1)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _status(url: str, error: InvalidStatus) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return f"{url} wants another API key: give --api-key-file FILE, or set ${KEY_VARIABLE}."
    body = said((error.response.body or b"").decode(errors="replace"), 120)
    return f"{url} refuses the connection with status {status}{f': {body}' if body else ''}."
