"""SIGINT and SIGTERM as a wish that the loop grants between two steps, never in the middle of a command."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignals:
    """While open as a context, keeps the first signal in `number` instead of raising.

    A second one, of somebody who has waited in vain because a robot or camera does not return, raises
    KeyboardInterrupt where the program is, unless `finishing`: then the robot is being brought to rest
    already. Outside the main thread, where signals cannot be caught, it does nothing.
    """

    CAUGHT = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number: int | None = None
        self.finishing = False

    def __enter__(self) -> StopSignals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._catch) for number in self.CAUGHT}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    @property
    def name(self) -> str:
        """The signal that has come: SIGINT; empty where none has."""
        return "" if self.number is None else signal.Signals(self.number).name

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self.finishing:
            raise KeyboardInterrupt
        self.number = number
