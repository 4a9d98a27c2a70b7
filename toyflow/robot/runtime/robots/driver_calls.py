"""Calls into a robot's driver that may ask questions, or never return, where nobody sits at a terminal."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toyflow.errors import ToyflowError

LET_GO_SECONDS = 10.0
"""How long a driver may take to let go of its robot where nobody can answer it."""


def is_attended() -> bool:
    """Whether somebody can be asked: standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def answerless(what: str) -> Iterator[None]:
    """Let `input()` fail where nobody can answer it. At a terminal a driver may ask.

    Args:
        what: the robot, and what is done with it, for the message.

    Raises:
        ToyflowError: the driver asked.
    """
    if is_attended():
        yield
        return
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    except EOFError as error:
        raise ToyflowError(
            f"{what} waits for ENTER or an answer, which nobody can give without a terminal."
        ) from error
    finally:
        sys.stdin = before


def call_bounded(call: Callable[[], object], what: str, seconds: float = LET_GO_SECONDS) -> None:
    """Call a driver that may never return; at a terminal without a bound, as the driver may be asking.

    Args:
        call: what is called, without a terminal in a thread of its own.
        what: as for `answerless`.
        seconds: how long it may take.

    Raises:
        ToyflowError: it has not returned, or it asked.
        BaseException: what the call raised.
    """
    if is_attended():
        call()
        return
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    with answerless(what):
        thread = threading.Thread(target=run, name="let go", daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            raise ToyflowError(
                f"{what} has not returned after {seconds:g} s; it may wait for an ENTER that never comes. "
                "Its motors may still be on: support the robot, then end this process."
            )
        if raised:
            raise raised[0]
