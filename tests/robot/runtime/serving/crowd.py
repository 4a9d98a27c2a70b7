"""Clients of a soak, in a process of their own: `python crowd.py PORT REQUESTS MESSAGE_BYTES`.

Eight well-behaved ones, which check that every answer is theirs, among others that break off, send garbage or
too much, do not read, and ask for a policy that raises or hangs. Prints what happened as JSON.
"""

import asyncio
import json
import sys
from collections import Counter

import numpy as np
from robot.points import REACH, straight
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from toyflow.robot.runtime.serving.protocol import pack, unpack

CLIENTS, HORIZON = 8, 5
seen: Counter[str] = Counter()
"""What happened, by name."""


def message(state: np.ndarray, prompt: str = "go") -> bytes:
    image = np.zeros((24, 32, 3), np.uint8)
    return pack({"observation/front": image, "observation/state": state, "prompt": prompt})


def expected(state: np.ndarray) -> np.ndarray:
    state, chunk = state.copy(), []
    for _ in range(HORIZON):
        chunk.append(straight(state))
        state[:2] += REACH * chunk[-1]
    return np.array(chunk)


class Crowd:
    def __init__(self, port: int, requests: int, message_bytes: int) -> None:
        self.address, self.left, self.large = f"ws://127.0.0.1:{port}", requests, bytes(message_bytes + 1)
        self.busy = asyncio.Event()

    async def run(self) -> None:
        others = [
            asyncio.create_task(forever(self.disturb, what))
            for what in (
                self.break_off, self.break_off, self.send_garbage, self.send_too_much, self.read_nothing,
                self.make_it_raise,
            )
        ]  # fmt: skip
        hang = asyncio.create_task(self.make_it_hang())
        await asyncio.gather(*(self.behave(number) for number in range(CLIENTS)))
        await hang
        for task in others:
            task.cancel()

    async def behave(self, number: int) -> None:
        generator = np.random.default_rng(number)
        while self.left > 0:
            try:
                async with self.connected() as client:
                    while self.left > 0:
                        state = generator.uniform(-1, 1, 4).astype(np.float32)
                        await client.send(message(state))
                        reply = await asyncio.wait_for(client.recv(), 20)
                        if isinstance(reply, str):
                            seen["refused"] += 1
                            break
                        same = np.array_equal(unpack(reply)["actions"], expected(state))
                        seen["right" if same else "wrong"] += 1
                        self.left -= 1
            except (ConnectionClosed, InvalidHandshake):
                seen["reconnected"] += 1
                await asyncio.sleep(0.05)

    async def disturb(self, how) -> None:
        try:
            async with self.connected() as client:
                await how(client)
                seen[how.__name__] += 1
        except (ConnectionClosed, InvalidHandshake):
            seen[how.__name__] += 1
        await asyncio.sleep(0.02)

    async def break_off(self, client: ClientConnection) -> None:
        await client.send(message(np.zeros(4)))
        client.transport.abort()

    async def send_garbage(self, client: ClientConnection) -> None:
        frame = bytearray(message(np.zeros(4)))
        for place in np.random.default_rng(seen["send_garbage"]).integers(0, 60, 5):
            frame[place] = 0xC1
        await client.send(bytes(frame))
        assert isinstance(await client.recv(), str)
        client.transport.write(b"\xff" * 100)  # no websocket frame at all
        await client.wait_closed()

    async def send_too_much(self, client: ClientConnection) -> None:
        await client.send(self.large)
        await client.recv()

    async def read_nothing(self, client: ClientConnection) -> None:
        client.transport.pause_reading()
        for _ in range(50):
            await client.send(message(np.zeros(4)))
        await asyncio.sleep(0.1)
        client.transport.abort()

    async def make_it_raise(self, client: ClientConnection) -> None:
        await client.send(message(np.zeros(4), "raise"))
        assert "ValueError" in str(await client.recv())
        await client.wait_closed()

    async def make_it_hang(self) -> None:
        await asyncio.sleep(2)
        async with self.connected() as client:
            await client.send(message(np.zeros(4), "hang"))
            assert "hangs" in str(await client.recv())
            seen["make_it_hang"] += 1

    def connected(self) -> "Greeted":
        return Greeted(self.address)


class Greeted:
    """A connection whose metadata has been read."""

    def __init__(self, address: str) -> None:
        self.connecting = connect(address, compression=None, close_timeout=1)

    async def __aenter__(self) -> ClientConnection:
        self.client = await self.connecting
        await self.client.recv()
        return self.client

    async def __aexit__(self, *error: object) -> None:
        await self.client.close()


async def forever(call, *arguments) -> None:
    while True:
        await call(*arguments)


if __name__ == "__main__":
    asyncio.run(Crowd(*map(int, sys.argv[1:])).run())
    print(json.dumps(seen))
