"""`run`, as asyncio's, on the event loop that serves: uvloop's, which is faster, or asyncio's own."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        import asyncio

        asyncio.run(main)
    else:
        uvloop.run(main)
