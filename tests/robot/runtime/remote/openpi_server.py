"""A policy server written from openpi's protocol alone: nothing of toyflow's is in it.

    python openpi_server.py PORT       serves until it is killed; prints its port

With the package openpi-client in its environment it packs as that does, else as the protocol says.
"""

import sys
import time

import msgpack
import numpy as np
from websockets.sync.server import serve

try:
    from openpi_client import msgpack_numpy as theirs  # pyright: ignore[reportMissingImports]
except ImportError:
    theirs = None


def packb(message):
    """A frame."""
    return theirs.packb(message) if theirs else msgpack.packb(message, default=_to_map)


def unpackb(frame):
    """The message in a frame."""
    return theirs.unpackb(frame) if theirs else msgpack.unpackb(frame, object_hook=_from_map)


def _to_map(value):
    if isinstance(value, np.ndarray):
        kind = {b"__ndarray__": True, b"data": value.tobytes()}
        return {**kind, b"dtype": value.dtype.str, b"shape": value.shape}
    return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}


def _from_map(entries):
    if b"__ndarray__" in entries:
        return np.ndarray(entries[b"shape"], np.dtype(entries[b"dtype"]), entries[b"data"])
    return entries


HORIZON = 10
REACH = 0.05
"""How far the points of `tests/robot/points.py` move in a step."""


def points_policy(observation):
    """The straight way of `tests/robot/points.py` from its state, in double precision as openpi answers."""
    state, chunk = np.array(observation["observation/state"], np.float32), []
    for _ in range(HORIZON):
        chunk.append(np.clip((state[2:] - state[:2]) / REACH, -1, 1).astype(np.float32))
        state[:2] += REACH * chunk[-1]
    return np.array(chunk, np.float64)


ALOHA_CAMERAS = {"cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"}


def aloha_policy(observation):
    """Stays where its state says, after it has read what openpi's `AlohaInputs` reads."""
    images, state = observation["images"], np.asarray(observation["state"])
    if set(images) - ALOHA_CAMERAS:
        raise ValueError(f"Expected images to contain {ALOHA_CAMERAS}, got {tuple(images)}")
    for image in (images["cam_high"], *images.values()):
        channels, height, width = image.shape
        assert channels == 3 and height == width == 224 and image.dtype == np.uint8
    assert state.shape == (14,) and isinstance(observation["prompt"], str)
    return np.tile(state.astype(np.float64), (HORIZON, 1))


def server(policy=points_policy, port=0, metadata=None):
    """openpi's loop: metadata, then an answer to every observation; an error is a text and the end."""

    def handle(connection):
        connection.send(packb(metadata or {}))
        before = None
        for frame in connection:
            began = time.monotonic()
            try:
                observation = unpackb(frame)
                actions = policy(observation)
                reply = {"actions": actions}
                reply["state"] = observation["state" if "images" in observation else "observation/state"]
            except Exception:
                import traceback

                connection.send(traceback.format_exc())
                connection.close(1011, "Internal server error. Traceback included in previous frame.")
                raise
            reply["policy_timing"] = {"infer_ms": 1e3 * (time.monotonic() - began)}
            reply["server_timing"] = {"infer_ms": 1e3 * (time.monotonic() - began)}
            if before is not None:
                reply["server_timing"]["prev_total_ms"] = 1e3 * before
            connection.send(packb(reply))
            before = time.monotonic() - began

    return serve(handle, "127.0.0.1", port, compression=None, max_size=None)


if __name__ == "__main__":
    with server(port=int(sys.argv[1])) as listening:
        print(listening.socket.getsockname()[1], flush=True)
        listening.serve_forever()
