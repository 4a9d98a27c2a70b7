"""The event loop that serves: uvloop where it is installed, which is faster, else asyncio's own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end, as `asyncio.run` does."""
    try:
        import uvloop  # optional: there is none for Windows
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def until_signal(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `serve` with an event that SIGINT or SIGTERM sets. On Windows Ctrl-C ends the program at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with suppress(NotImplementedError):  # on Windows
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
    try:
        await serve(stop)
    finally:  # uvloop would keep them, and only SIGKILL would end a process whose policy hangs
        with suppress(NotImplementedError):
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
